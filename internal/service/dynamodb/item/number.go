package item

import (
	"bytes"
	"math/big"
	"strconv"
	"strings"
)

// Limits of a number: 38 significant digits, magnitude from 1E-130 to 9.99…E+125 (Developer Guide,
// "Number").
const (
	maxDigits = 38
	maxExp    = 126  // value = 0.d1d2… × 10^exp
	minExp    = -129 //
)

const (
	notNumeric = "The parameter cannot be converted to a numeric value"
	overflow   = "Number overflow. Attempting to store a number with magnitude larger than supported range"
	underflow  = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
	tooPrecise = "Attempting to store more than 38 significant digits in a Number"
)

// decimal is a number taken apart: 0.d1d2…dn × 10^exp, with neither leading nor trailing zero
// digits; zero has n = 0.
type decimal struct {
	neg bool
	exp int
	n   int
	d   [maxDigits]byte // '0' to '9'
}

// canonical is the form in which DynamoDB returns a number: plain decimal notation without
// exponent, leading zeros or trailing fraction zeros. The second result says why text is refused.
func canonical(text string) (string, string) {
	if isPlainInt(text) {
		return text, ""
	}
	d, msg := parseDecimal(text)
	if msg != "" {
		return "", msg
	}
	return d.String(), ""
}

// isPlainInt is the fast path: an integer of at most 38 digits that is canonical as it stands.
func isPlainInt(s string) bool {
	if s == "0" {
		return true
	}
	digits := s
	if len(s) > 0 && s[0] == '-' {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) > maxDigits || digits[0] == '0' {
		return false
	}
	for i := 0; i < len(digits); i++ {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

// parseDecimal reads [+-]digits[.digits][e[+-]digits].
func parseDecimal(text string) (decimal, string) {
	var d decimal
	if text == "" {
		return d, notNumeric
	}
	s := text
	if s[0] == '+' || s[0] == '-' {
		d.neg = s[0] == '-'
		s = s[1:]
	}
	mantissa, exp, ok := cutExponent(s)
	if !ok {
		return d, notNumeric + ": " + clip(text)
	}
	whole, frac, dotted := strings.Cut(mantissa, ".")
	if (whole == "" && frac == "") || (dotted && strings.IndexByte(frac, '.') >= 0) || !allDigits(whole) || !allDigits(frac) {
		return d, notNumeric + ": " + clip(text)
	}
	whole = strings.TrimLeft(whole, "0")
	frac = strings.TrimRight(frac, "0")
	d.exp = len(whole) + exp
	if whole == "" {
		trimmed := strings.TrimLeft(frac, "0")
		d.exp -= len(frac) - len(trimmed)
		frac = trimmed
	}
	if frac == "" {
		whole = strings.TrimRight(whole, "0")
	}
	if whole == "" && frac == "" {
		return decimal{}, ""
	}
	switch {
	case d.exp > maxExp:
		return d, overflow
	case d.exp < minExp:
		return d, underflow
	case len(whole)+len(frac) > maxDigits:
		return d, tooPrecise
	}
	d.n = copy(d.d[:], whole)
	d.n += copy(d.d[d.n:], frac)
	return d, ""
}

func cutExponent(s string) (mantissa string, exp int, ok bool) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, 0, true
	}
	e := strings.TrimPrefix(s[i+1:], "+")
	digits := strings.TrimPrefix(e, "-")
	if digits == "" || !allDigits(digits) || (len(digits) != len(e) && len(s[i+1:]) != len(e)) {
		return "", 0, false
	}
	digits = strings.TrimLeft(digits, "0")
	if len(digits) > 6 { // far outside the range; the sign alone decides between over- and underflow
		digits = "999999"
	}
	n, _ := strconv.Atoi("0" + digits)
	if e[0] == '-' {
		n = -n
	}
	return s[:i], n, true
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// String is the canonical form.
func (d decimal) String() string {
	if d.n == 0 {
		return "0"
	}
	b := make([]byte, 0, d.n+8)
	if d.neg {
		b = append(b, '-')
	}
	digits := d.d[:d.n]
	switch {
	case d.exp <= 0:
		b = append(b, "0."...)
		for i := d.exp; i < 0; i++ {
			b = append(b, '0')
		}
		b = append(b, digits...)
	case d.exp >= d.n:
		b = append(b, digits...)
		for i := d.n; i < d.exp; i++ {
			b = append(b, '0')
		}
	default:
		b = append(append(append(b, digits[:d.exp]...), '.'), digits[d.exp:]...)
	}
	return string(b)
}

// compareNumbers orders two canonical numbers: -1, 0 or 1.
func compareNumbers(a, b string) int {
	if a == b {
		return 0
	}
	x, _ := parseDecimal(a)
	y, _ := parseDecimal(b)
	sx, sy := x.sign(), y.sign()
	if sx != sy {
		if sx < sy {
			return -1
		}
		return 1
	}
	c := 0
	if x.exp != y.exp {
		c = 1
		if x.exp < y.exp {
			c = -1
		}
	} else {
		c = bytes.Compare(x.d[:x.n], y.d[:y.n])
	}
	if sx < 0 {
		return -c
	}
	return c
}

func (d decimal) sign() int {
	switch {
	case d.n == 0:
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// Add is a + b for two numbers. When the sum leaves DynamoDB's range or precision it is an invalid
// value, which Err explains.
func Add(a, b Value) Value { return sum(a, b, false) }

// Sub is a − b under the same rules as Add.
func Sub(a, b Value) Value { return sum(a, b, true) }

func sum(a, b Value, negate bool) Value {
	if len(a.text) <= 18 && len(b.text) <= 18 { // both fit an int64 and so does their sum
		x, err1 := strconv.ParseInt(a.text, 10, 64)
		y, err2 := strconv.ParseInt(b.text, 10, 64)
		if err1 == nil && err2 == nil {
			if negate {
				y = -y
			}
			return Value{typ: Number, text: strconv.FormatInt(x+y, 10)}
		}
	}
	x, _ := parseDecimal(a.text)
	y, _ := parseDecimal(b.text)
	if negate {
		y.neg = !y.neg
	}
	scale := min(x.exp-x.n, y.exp-y.n)
	total := x.scaled(scale)
	total.Add(total, y.scaled(scale))
	return N(total.String() + "e" + strconv.Itoa(scale))
}

// scaled is the number as an integer multiple of 10^scale.
func (d decimal) scaled(scale int) *big.Int {
	out := new(big.Int)
	if d.n == 0 {
		return out
	}
	out.SetString(string(d.d[:d.n]), 10)
	shift := big.NewInt(int64(d.exp - d.n - scale))
	out.Mul(out, shift.Exp(big.NewInt(10), shift, nil))
	if d.neg {
		out.Neg(out)
	}
	return out
}

// numberSize is the number's length in bytes as DynamoDB counts it: one, plus one for each pair of
// digits aligned on the decimal point, plus one when negative. The Developer Guide's "one byte per
// two significant digits" is its approximation.
func numberSize(canon string) int {
	d, _ := parseDecimal(canon)
	if d.n == 0 {
		return 1
	}
	odd := d.exp & 1
	size := 1 + (d.n+odd+1)/2
	if d.neg {
		size++
	}
	return size
}
