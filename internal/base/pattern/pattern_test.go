package pattern

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct{ name, pattern, yes, no string }{
		{"equals", `{"a":["x","y"]}`, `{"a":"y"}`, `{"a":"z"}`},
		{"nothing at all", `{"a":["x"]}`, `{"a":"x","b":1}`, `{}`},
		{"and", `{"a":["x"],"b":["y"]}`, `{"a":"x","b":"y"}`, `{"a":"x"}`},
		{"null", `{"a":[null]}`, `{"a":null}`, `{"a":""}`},
		{"null is there", `{"a":[null]}`, `{"a":null}`, `{}`},
		{"empty", `{"a":[""]}`, `{"a":""}`, `{"a":null}`},
		{"truth", `{"a":[true]}`, `{"a":true}`, `{"a":"true"}`},
		{"number", `{"a":[300]}`, `{"a":3.0e2}`, `{"a":"300"}`},
		{"number out of range", `{"a":[123456789012]}`, `{"a":123456789012}`, `{"a":123456789013}`},
		{"nested", `{"a":{"b":{"c":["x"]}}}`, `{"a":{"b":{"c":"x"}}}`, `{"a":{"b":"x"}}`},
		{"list", `{"a":["x"]}`, `{"a":["z","x"]}`, `{"a":["z"]}`},
		{"same element", `{"a":{"b":[1],"c":[2]}}`, `{"a":[{"b":3},{"b":1,"c":2}]}`, `{"a":[{"b":1,"c":3},{"b":3,"c":2}]}`},
		{"prefix", `{"a":[{"prefix":"ab"}]}`, `{"a":"abc"}`, `{"a":"ba"}`},
		{"prefix of any case", `{"a":[{"prefix":{"equals-ignore-case":"AB"}}]}`, `{"a":"aBc"}`, `{"a":"b"}`},
		{"suffix", `{"a":[{"suffix":".png"}]}`, `{"a":"x.png"}`, `{"a":"x.PNG"}`},
		{"suffix of any case", `{"a":[{"suffix":{"equals-ignore-case":".png"}}]}`, `{"a":"x.PNG"}`, `{"a":"png"}`},
		{"ignore case", `{"a":[{"equals-ignore-case":"Straße"}]}`, `{"a":"STRAßE"}`, `{"a":"strasse"}`},
		{"wildcard", `{"a":[{"wildcard":"a*b\\*c*"}]}`, `{"a":"axxb*cz"}`, `{"a":"axxbc"}`},
		{"wildcard overlaps", `{"a":[{"wildcard":"ab*ba"}]}`, `{"a":"abba"}`, `{"a":"aba"}`},
		{"numeric", `{"a":[{"numeric":["=",5]}]}`, `{"a":5.0}`, `{"a":"5"}`},
		{"range", `{"a":[{"numeric":[">",0,"<=",5]}]}`, `{"a":5}`, `{"a":0}`},
		{"exists", `{"a":[{"exists":true}]}`, `{"a":null}`, `{"b":1}`},
		{"exists means leaves", `{"a":[{"exists":true}]}`, `{"a":[1]}`, `{"a":{"b":1}}`},
		{"does not exist", `{"a":{"b":[{"exists":false}]}}`, `{}`, `{"a":{"b":null}}`},
		{"anything but", `{"a":[{"anything-but":["x","y"]}]}`, `{"a":"z"}`, `{"a":"x"}`},
		{"anything but must be there", `{"a":[{"anything-but":"x"}]}`, `{"a":1}`, `{}`},
		{"anything but a number", `{"a":[{"anything-but":[1,2]}]}`, `{"a":3}`, `{"a":2.0}`},
		{"anything but a prefix", `{"a":[{"anything-but":{"prefix":["x","y"]}}]}`, `{"a":"zx"}`, `{"a":"yx"}`},
		{"anything but in any case", `{"a":[{"anything-but":{"equals-ignore-case":"X"}}]}`, `{"a":"y"}`, `{"a":"x"}`},
		{"cidr", `{"a":[{"cidr":"10.0.0.0/24"}]}`, `{"a":"10.0.0.255"}`, `{"a":"10.0.1.1"}`},
		{"or", `{"s":["q"],"$or":[{"a":["x"]},{"b":[{"numeric":[">",1]}],"c":[2]}]}`, `{"s":"q","b":2,"c":2}`, `{"s":"q","b":2}`},
		{"or below", `{"d":{"$or":[{"a":["x"]},{"b":["y"]}]}}`, `{"d":{"b":"y"}}`, `{"b":"y"}`},
		{"or in or", `{"$or":[{"a":["x"]},{"$or":[{"b":["y"]},{"c":["z"]}]}]}`, `{"c":"z"}`, `{"c":"y"}`},
	} {
		p, err := Parse([]byte(c.pattern))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for src, want := range map[string]bool{c.yes: true, c.no: false} {
			v, err := Decode([]byte(src))
			if err != nil {
				t.Fatal(err)
			}
			if p.Match(v) != want {
				t.Errorf("%s: %s of %s is %v", c.name, c.pattern, src, !want)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, src := range []string{``, `{`, `[]`, `{}`, `{"a":{}}`, `{"a":"x"}`, `{"a":[]}`, `{"a":[[1]]}`, `{"a":[{}]}`, `{"a":[{"prefix":1}]}`, `{"a":[{"prefix":"x","suffix":"y"}]}`,
		`{"a":[{"regex":"x"}]}`, `{"a":[{"numeric":["=="]}]}`, `{"a":[{"numeric":["~",1]}]}`, `{"a":[{"numeric":[">",5,"<",5]}]}`, `{"a":[{"numeric":["<",5,">",1]}]}`, `{"a":[{"numeric":["=",5e10]}]}`,
		`{"a":[{"exists":"true"}]}`, `{"a":[{"anything-but":[]}]}`, `{"a":[{"anything-but":["x",1]}]}`, `{"a":[{"anything-but":null}]}`, `{"a":[{"anything-but":{"numeric":["=",1]}}]}`,
		`{"a":[{"wildcard":"a**b"}]}`, `{"a":[{"wildcard":"a\\b"}]}`, `{"a":[{"cidr":"10.0.0.0"}]}`, `{"$or":{}}`, `{"$or":[{"a":[1]}]}`, `{"$or":[1,2]}`, `{"a":[1]} {}`,
		strings.Repeat(`{"a":`, 200) + `[1]` + strings.Repeat("}", 200), `{"a":["` + strings.Repeat("x", MaxSize) + `"]}`,
		`{"x":[1]` + orBomb() + `}`} {
		_, err := Parse([]byte(src))
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%.100s: %v", src, err)
		}
	}
}

// orBomb has 2^20 combinations.
func orBomb() string {
	var b strings.Builder
	for i := range 20 {
		b.WriteString(`,"` + string(rune('a'+i)) + `":{"$or":[{"a":[1]},{"a":[2]}]}`)
	}
	return b.String()
}

// naive decides by the definition: an event in which each list is replaced by one of its elements, in
// every possible way, matches if the pattern's words are true of one of these. It shares no code with
// the package.
type naive struct{ left int }

// readings are the ways to read a value; at most left are made.
func (n *naive) readings(v any) []any {
	if n.left--; n.left < 0 {
		return nil
	}
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return []any{nothing{}}
		}
		var out []any
		for _, e := range v {
			out = append(out, n.readings(e)...)
		}
		return out
	case map[string]any:
		out := []any{map[string]any{}}
		for k, e := range v {
			var next []any
			for _, r := range n.readings(e) {
				for _, o := range out {
					if n.left--; n.left < 0 {
						return nil
					}
					m := map[string]any{k: r}
					for k, v := range o.(map[string]any) {
						m[k] = v
					}
					next = append(next, m)
				}
			}
			out = next
		}
		return out
	}
	return []any{v}
}

type nothing struct{}

func (n *naive) object(p map[string]any, v any) bool {
	m, _ := v.(map[string]any)
	for k, of := range p {
		ok := false
		switch of := of.(type) {
		case map[string]any:
			ok = n.object(of, m[k])
		case []any:
			for _, e := range of {
				if k == "$or" {
					ok = ok || n.object(e.(map[string]any), v)
					continue
				}
				got, there := m[k]
				if _, is := got.(map[string]any); is || got == (nothing{}) {
					there = false
				}
				ok = ok || n.element(e, got, there)
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

func (n *naive) element(e, got any, there bool) bool {
	m, isOperator := e.(map[string]any)
	if !isOperator {
		return there && n.equal(e, got)
	}
	s, isText := got.(string)
	isText = isText && there
	for op, of := range m {
		switch op {
		case "exists":
			return there == of
		case "prefix", "suffix", "wildcard", "equals-ignore-case":
			return isText && n.text(op, of, s)
		case "cidr":
			a, err := netip.ParseAddr(s)
			return isText && err == nil && netip.MustParsePrefix(of.(string)).Contains(a)
		case "numeric":
			list := of.([]any)
			for i := 0; i < len(list); i += 2 {
				x, y := n.ratio(got), n.ratio(list[i+1])
				if !there || x == nil || !strings.Contains(list[i].(string), [...]string{"<", "=", ">"}[1+x.Cmp(y)]) {
					return false
				}
			}
			return true
		case "anything-but":
			list, ok := of.([]any)
			if !ok {
				list = []any{of}
			}
			for _, not := range list {
				if inner, ok := not.(map[string]any); ok {
					for op, of := range inner {
						many, ok := of.([]any)
						if !ok {
							many = []any{of}
						}
						for _, one := range many {
							if isText && n.text(op, one, s) {
								return false
							}
						}
					}
				} else if n.equal(not, got) {
					return false
				}
			}
			return there
		}
	}
	return false
}

// ratio is a number as float64 has it, exactly; nil for what is not compared.
func (n *naive) ratio(v any) *big.Rat {
	num, ok := v.(json.Number)
	if !ok {
		return nil
	}
	f, err := num.Float64()
	if err != nil || f > 5e9 || f < -5e9 {
		return nil
	}
	return new(big.Rat).SetFloat64(f)
}

func (n *naive) equal(a, b any) bool {
	x, y := n.ratio(a), n.ratio(b)
	return a == b || x != nil && y != nil && x.Cmp(y) == 0
}

func (n *naive) text(op string, of any, s string) bool {
	quoted, flags := "", "(?s)"
	if m, ok := of.(map[string]any); ok {
		of, flags = m["equals-ignore-case"], "(?si)"
	}
	want := of.(string)
	quoted = regexp.QuoteMeta(want)
	switch op {
	case "prefix":
		quoted += ".*"
	case "suffix":
		quoted = ".*" + quoted
	case "equals-ignore-case":
		flags = "(?si)"
	case "wildcard":
		quoted = ""
		for i := 0; i < len(want); i++ {
			switch want[i] {
			case '\\':
				i++
				quoted += regexp.QuoteMeta(want[i : i+1])
			case '*':
				quoted += ".*"
			default:
				quoted += regexp.QuoteMeta(want[i : i+1])
			}
		}
	}
	return regexp.MustCompile(flags + `\A` + quoted + `\z`).MatchString(s)
}

// FuzzPattern compares Match with the naive evaluator.
func FuzzPattern(f *testing.F) {
	for _, c := range [][2]string{
		{`{"a":["x",1,null,{"prefix":"p"},{"suffix":{"equals-ignore-case":"S"}}],"b":{"c":[{"exists":false}]}}`, `{"a":["pS",[1.0,{"x":1}]],"b":[{"c":1},{}]}`},
		{`{"$or":[{"a":{"x":[1]}},{"a":{"y":[{"numeric":[">",1,"<=",5e2]}]}}],"a":{"z":[{"anything-but":{"prefix":["k"]}}]}}`, `{"a":[{"x":1},{"y":2,"z":"l"}]}`},
		{`{"a":[{"wildcard":"a*b\\*"},{"cidr":"10.0.0.0/8"},{"anything-but":[1,2]},{"equals-ignore-case":"K"}]}`, `{"a":["aXb*","10.1.2.3","\u212a"]}`},
		{`{"a":[{"exists":true}],"b":[""]}`, `{"a":[],"b":[[""],{}]}`},
	} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, src, body string) {
		if !strings.Contains(src, "\ufffd") && strings.ToValidUTF8(src+body, "\ufffd") != src+body {
			return // the regular expressions of the naive evaluator read runes
		}
		p, err := Parse([]byte(src))
		if err != nil {
			return
		}
		event, err := Decode([]byte(body))
		if err != nil {
			return
		}
		var raw map[string]any
		d := json.NewDecoder(strings.NewReader(src))
		d.UseNumber()
		if err := d.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		n := &naive{left: 2000}
		want := false
		readings := n.readings(event)
		if n.left < 0 {
			return
		}
		for _, r := range readings {
			want = want || n.object(raw, r)
		}
		if got := p.Match(event); got != want {
			t.Errorf("%s of %s is %v, by definition %v", src, body, got, want)
		}
	})
}
