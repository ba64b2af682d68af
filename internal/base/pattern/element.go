package pattern

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// test is one element of a list: whether a leaf's value passes. The value is a string, a json.Number, a
// bool, nil or absent.
type test func(v any) bool

// span is how far from 0 numbers are compared. Source: EventBridge User Guide, "Numeric matching".
const span = 5e9

func tests(list []any) (out []test, err error) {
	if len(list) == 0 {
		return nil, fault("Empty arrays are not allowed")
	}
	for _, v := range list {
		t, err := element(v)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func element(v any) (test, error) {
	switch v := v.(type) {
	case []any:
		return nil, fault("Match value must be String, number, true, false, or null")
	case map[string]any:
		if len(v) != 1 {
			return nil, fault("Only one key allowed in match expression")
		}
		for name, of := range v {
			return operator(name, of)
		}
	case json.Number:
		return func(got any) bool { n, ok := got.(json.Number); return ok && same(n, v) }, nil
	}
	return func(got any) bool { return got == v }, nil
}

// same numbers are equal, or written alike: those that are out of the range that is compared.
func same(a, b json.Number) bool {
	x, ok := number(a)
	y, also := number(b)
	return a == b || ok && also && x == y
}

// number is a value that is compared as one.
func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(n), 64)
	return f, err == nil && f >= -span && f <= span
}

func operator(name string, of any) (test, error) {
	switch name {
	case "exists":
		want, ok := of.(bool)
		if !ok {
			return nil, fault("exists match pattern must be either true or false.")
		}
		return func(v any) bool { return (v != absent{}) == want }, nil
	case "prefix", "suffix", "wildcard", "equals-ignore-case":
		return text(name, of)
	case "numeric":
		return compared(of)
	case "cidr":
		return within(of)
	case "anything-but":
		return anythingBut(of)
	}
	return nil, fault("Unrecognized match type %s", name)
}

// text is a test of strings.
func text(name string, of any) (test, error) {
	fits, err := textOf(name, of)
	if err != nil {
		return nil, err
	}
	return func(v any) bool { s, ok := v.(string); return ok && fits(s) }, nil
}

func textOf(name string, of any) (func(string) bool, error) {
	if m, ok := of.(map[string]any); ok && (name == "prefix" || name == "suffix") {
		folded, ok := m["equals-ignore-case"].(string)
		if !ok || len(m) != 1 {
			return nil, fault("%s match pattern must be a string", name)
		}
		folded = fold(folded)
		if name == "prefix" {
			return func(s string) bool { return strings.HasPrefix(fold(s), folded) }, nil
		}
		return func(s string) bool { return strings.HasSuffix(fold(s), folded) }, nil
	}
	want, ok := of.(string)
	if !ok {
		return nil, fault("%s match pattern must be a string", name)
	}
	switch name {
	case "prefix":
		return func(s string) bool { return strings.HasPrefix(s, want) }, nil
	case "suffix":
		return func(s string) bool { return strings.HasSuffix(s, want) }, nil
	case "equals-ignore-case":
		return func(s string) bool { return strings.EqualFold(s, want) }, nil
	}
	return wildcard(want)
}

// fold gives strings that differ in case only one form, the one by which strings.EqualFold has them equal.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, s)
}

// wildcard matches * with anything; \* and \\ are the characters themselves.
func wildcard(want string) (func(string) bool, error) {
	var parts []string // what stands between the stars
	var part []byte
	star := false
	for i := 0; i < len(want); i++ {
		switch c := want[i]; {
		case c == '\\':
			if i++; i == len(want) || want[i] != '*' && want[i] != '\\' {
				return nil, fault("Invalid escape character at pos %d", i-1)
			}
			part, star = append(part, want[i]), false
		case c == '*' && star:
			return nil, fault("Consecutive wildcard characters at pos %d", i-1)
		case c == '*':
			parts, part, star = append(parts, string(part)), nil, true
		default:
			part, star = append(part, c), false
		}
	}
	parts = append(parts, string(part))
	return func(s string) bool { return globbed(s, parts) }, nil
}

// globbed finds the parts in s, in order, the first at its beginning and the last at its end.
func globbed(s string, parts []string) bool {
	if len(parts) == 1 {
		return s == parts[0]
	}
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		if _, s, ok = strings.Cut(s, p); !ok {
			return false
		}
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

// compared reads ["=", 5], [">", 0] or [">=", 0, "<", 10].
func compared(of any) (test, error) {
	list, ok := of.([]any)
	if !ok || len(list) != 2 && len(list) != 4 {
		return nil, fault("Value of numeric must be an array of one comparison or two.")
	}
	var all []func(float64) bool
	var bounds []float64
	for i := 0; i < len(list); i += 2 {
		op, _ := list[i].(string)
		n, ok := number(list[i+1])
		if !ok {
			return nil, fault("Value of %s must be numeric, from -5.0e9 to 5.0e9", op)
		}
		lower := op == ">" || op == ">="
		upper := op == "<" || op == "<="
		if !lower && !upper && op != "=" || len(list) == 4 && (i == 0) != lower || len(list) == 4 && (i == 2) != upper {
			return nil, fault("Unrecognized numeric range operator: %s", op)
		}
		bounds = append(bounds, n)
		all = append(all, map[string]func(float64) bool{
			"=":  func(f float64) bool { return f == n },
			"<":  func(f float64) bool { return f < n },
			"<=": func(f float64) bool { return f <= n },
			">":  func(f float64) bool { return f > n },
			">=": func(f float64) bool { return f >= n },
		}[op])
	}
	if len(bounds) == 2 && bounds[0] >= bounds[1] {
		return nil, fault("Bottom must be less than top")
	}
	return func(v any) bool {
		f, ok := number(v)
		return ok && !slices.ContainsFunc(all, func(fits func(float64) bool) bool { return !fits(f) })
	}, nil
}

func within(of any) (test, error) {
	s, ok := of.(string)
	if !ok {
		return nil, fault("prefix match pattern must be a string")
	}
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, fault("Malformed CIDR, one '/' required")
	}
	network = network.Masked()
	return func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return false
		}
		a, err := netip.ParseAddr(s)
		return err == nil && network.Contains(a)
	}, nil
}

// anythingBut passes every value that is there but those named.
func anythingBut(of any) (test, error) {
	var not []test
	list, many := of.([]any)
	if !many {
		list = []any{of}
	}
	if len(list) == 0 {
		return nil, fault("Empty arrays are not allowed")
	}
	kind := ""
	for _, v := range list {
		was := kind
		switch v := v.(type) {
		case string:
			kind = "string"
		case json.Number:
			kind = "number"
		case map[string]any:
			if many {
				return nil, fault("Inside anything but list, start|null|boolean is not supported.")
			}
			return anythingButText(v)
		default:
			return nil, fault("Value of anything-but must be an array or single string/number value.")
		}
		if was != "" && was != kind {
			return nil, fault("Inside anything but list, either all values are number or string, mixed type is not supported")
		}
		t, err := element(v)
		if err != nil {
			return nil, err
		}
		not = append(not, t)
	}
	return none(not), nil
}

func anythingButText(m map[string]any) (test, error) {
	names := slices.Collect(maps.Keys(m))
	if len(names) != 1 || !slices.Contains([]string{"prefix", "suffix", "equals-ignore-case", "wildcard"}, names[0]) {
		return nil, fault("Unsupported anything-but pattern: %s", strings.Join(names, ", "))
	}
	list, many := m[names[0]].([]any)
	if !many {
		list = []any{m[names[0]]}
	}
	if len(list) == 0 {
		return nil, fault("Empty arrays are not allowed")
	}
	var not []test
	for _, v := range list {
		t, err := text(names[0], v)
		if err != nil {
			return nil, err
		}
		not = append(not, t)
	}
	return none(not), nil
}

// none passes a value that is there and passes none of these.
func none(not []test) test {
	return func(v any) bool {
		return v != absent{} && !slices.ContainsFunc(not, func(t test) bool { return t(v) })
	}
}
