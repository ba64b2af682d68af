package policy

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// condition is one operator with one key and its values. The values of a key are alternatives; all
// conditions of a statement must hold.
type condition struct {
	family   family
	set      setOperator
	ifExists bool
	negated  bool
	order    ordering
	key      string // lower case
	patterns []pattern
	numbers  []number
	instants []instant
	networks []netip.Prefix
	texts    []string // Bool and Null: "true" or "false"; Binary: base64
}

type family uint8

const (
	familyString family = iota
	familyStringFold
	familyARN
	familyNumeric
	familyDate
	familyBool
	familyBinary
	familyIP
	familyNull
)

type setOperator uint8

const (
	setNone setOperator = iota
	setAll
	setAny
)

// ordering is what a Numeric or Date comparison accepts of request value against policy value.
type ordering uint8

const (
	orderEqual ordering = iota
	orderLess
	orderLessEqual
	orderGreater
	orderGreaterEqual
)

func (o ordering) accepts(cmp int) bool {
	switch o {
	case orderLess:
		return cmp < 0
	case orderLessEqual:
		return cmp <= 0
	case orderGreater:
		return cmp > 0
	case orderGreaterEqual:
		return cmp >= 0
	}
	return cmp == 0
}

type operator struct {
	name    string
	family  family
	dialect dialect
	negated bool
	order   ordering
}

// operators are all of the IAM reference, in lower case: operator names are not case-sensitive.
var operators = map[string]operator{
	"stringequals":              {name: "StringEquals"},
	"stringnotequals":           {name: "StringNotEquals", negated: true},
	"stringequalsignorecase":    {name: "StringEqualsIgnoreCase", family: familyStringFold},
	"stringnotequalsignorecase": {name: "StringNotEqualsIgnoreCase", family: familyStringFold, negated: true},
	"stringlike":                {name: "StringLike", dialect: dialectGlob},
	"stringnotlike":             {name: "StringNotLike", dialect: dialectGlob, negated: true},
	"numericequals":             {name: "NumericEquals", family: familyNumeric},
	"numericnotequals":          {name: "NumericNotEquals", family: familyNumeric, negated: true},
	"numericlessthan":           {name: "NumericLessThan", family: familyNumeric, order: orderLess},
	"numericlessthanequals":     {name: "NumericLessThanEquals", family: familyNumeric, order: orderLessEqual},
	"numericgreaterthan":        {name: "NumericGreaterThan", family: familyNumeric, order: orderGreater},
	"numericgreaterthanequals":  {name: "NumericGreaterThanEquals", family: familyNumeric, order: orderGreaterEqual},
	"dateequals":                {name: "DateEquals", family: familyDate},
	"datenotequals":             {name: "DateNotEquals", family: familyDate, negated: true},
	"datelessthan":              {name: "DateLessThan", family: familyDate, order: orderLess},
	"datelessthanequals":        {name: "DateLessThanEquals", family: familyDate, order: orderLessEqual},
	"dategreaterthan":           {name: "DateGreaterThan", family: familyDate, order: orderGreater},
	"dategreaterthanequals":     {name: "DateGreaterThanEquals", family: familyDate, order: orderGreaterEqual},
	"bool":                      {name: "Bool", family: familyBool},
	"binaryequals":              {name: "BinaryEquals", family: familyBinary},
	"ipaddress":                 {name: "IpAddress", family: familyIP},
	"notipaddress":              {name: "NotIpAddress", family: familyIP, negated: true},
	"arnequals":                 {name: "ArnEquals", family: familyARN, dialect: dialectARN},
	"arnnotequals":              {name: "ArnNotEquals", family: familyARN, dialect: dialectARN, negated: true},
	"arnlike":                   {name: "ArnLike", family: familyARN, dialect: dialectARN},
	"arnnotlike":                {name: "ArnNotLike", family: familyARN, dialect: dialectARN, negated: true},
	"null":                      {name: "Null", family: familyNull},
}

// parseOperator reads "ForAllValues:StringLikeIfExists" and gives its canonical spelling too.
func parseOperator(s string) (condition, operator, string, bool) {
	var c condition
	rest, spelled := strings.ToLower(s), ""
	if r, ok := strings.CutPrefix(rest, "forallvalues:"); ok {
		c.set, rest, spelled = setAll, r, "ForAllValues:"
	} else if r, ok := strings.CutPrefix(rest, "foranyvalue:"); ok {
		c.set, rest, spelled = setAny, r, "ForAnyValue:"
	}
	if r, ok := strings.CutSuffix(rest, "ifexists"); ok {
		c.ifExists, rest = true, r
	}
	op, ok := operators[rest]
	if !ok || op.family == familyNull && (c.ifExists || c.set != setNone) {
		return c, op, "", false
	}
	spelled += op.name
	if c.ifExists {
		spelled += "IfExists"
	}
	c.family, c.negated, c.order = op.family, op.negated, op.order
	return c, op, spelled, true
}

// add compiles one policy value. A number, date, address or other typed value that is not one is
// refused: a Deny that can never match would be a silent hole.
func (c *condition) add(v string, op operator, vars bool) *fault {
	bad := func(what string) *fault { return faultAt(0, "", "%q is not %s", clip(v), what) }
	switch c.family {
	case familyString, familyStringFold, familyARN:
		p, f := compilePattern(v, op.dialect, vars)
		c.patterns = append(c.patterns, p)
		return f
	case familyNumeric:
		n, ok := parseNumber(v)
		if !ok {
			return bad("a number")
		}
		c.numbers = append(c.numbers, n)
	case familyDate:
		t, ok := parseInstant(v)
		if !ok {
			return bad("a date")
		}
		c.instants = append(c.instants, t)
	case familyBool, familyNull:
		if v = strings.ToLower(v); v != "true" && v != "false" {
			return bad("true or false")
		}
		c.texts = append(c.texts, v)
	case familyBinary:
		if b, err := base64.StdEncoding.Strict().DecodeString(v); err != nil || base64.StdEncoding.EncodeToString(b) != v {
			return bad("base64")
		}
		c.texts = append(c.texts, v)
	case familyIP:
		n, ok := parseNetwork(v)
		if !ok {
			return bad("an IP address or range")
		}
		c.networks = append(c.networks, n)
	}
	return nil
}

// holds decides the condition for the request.
//
// A missing key fails a plain operator and satisfies a negated one, IfExists and ForAllValues.
// Without a set operator one matching request value is enough, and a negated operator wants none.
// Source: IAM User Guide, "Condition operators" and "Single-valued vs. multivalued context keys".
func (c *condition) holds(e *evaluation) bool {
	v := e.lookup(c.key)
	n := v.Len()
	if c.family == familyNull {
		want := "true"
		if n > 0 {
			want = "false"
		}
		return slices.Contains(c.texts, want)
	}
	if n == 0 {
		return c.ifExists || c.set == setAll || c.set == setNone && c.negated
	}
	if c.set == setNone {
		for i := range n {
			if c.matches(v.At(i), e) {
				return !c.negated
			}
		}
		return c.negated
	}
	if n == 1 && v.At(0) == "" {
		return c.set == setAll // "a null data set, such as an empty string"
	}
	for i := range n {
		if ok := c.matches(v.At(i), e) != c.negated; ok != (c.set == setAll) {
			return ok
		}
	}
	return c.set == setAll
}

// matches compares one request value with the policy's values, before any negation. A request value
// of the wrong type matches nothing.
func (c *condition) matches(s string, e *evaluation) bool {
	switch c.family {
	case familyString:
		for i := range c.patterns {
			if c.patterns[i].match(s, e) {
				return true
			}
		}
	case familyStringFold:
		for i := range c.patterns {
			if v, ok := c.patterns[i].expand(e); ok && strings.EqualFold(v, s) {
				return true
			}
		}
	case familyARN:
		if !strings.HasPrefix(s, "arn:") || !utf8.ValidString(s) {
			return false
		}
		for i := range c.patterns {
			if c.patterns[i].match(s, e) {
				return true
			}
		}
	case familyNumeric:
		if n, ok := parseNumber(s); ok {
			return slices.ContainsFunc(c.numbers, func(p number) bool { return c.order.accepts(n.compare(p)) })
		}
	case familyDate:
		if t, ok := parseInstant(s); ok {
			return slices.ContainsFunc(c.instants, func(p instant) bool { return c.order.accepts(t.compare(p)) })
		}
	case familyBool:
		return slices.ContainsFunc(c.texts, func(p string) bool { return equalFold(p, s) })
	case familyBinary:
		return slices.Contains(c.texts, s)
	case familyIP:
		a, ok := parseAddress(s)
		return ok && slices.ContainsFunc(c.networks, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return false
}

// parseAddress reads an address; an IPv4 address written as IPv6 (::ffff:192.0.2.1) is IPv4.
func parseAddress(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return a, false
	}
	return a.Unmap(), true
}

// parseNetwork reads 203.0.113.0/24, 2001:db8::/32 or a single address. Host bits are allowed and
// ignored.
func parseNetwork(s string) (netip.Prefix, bool) {
	if !strings.Contains(s, "/") {
		a, ok := parseAddress(s)
		if !ok {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}
