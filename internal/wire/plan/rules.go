package plan

import (
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Rules are the constraints that a model puts on a value. Length is in characters for strings,
// bytes for blobs, entries for lists and maps; numbers are bounded by value.
type Rules struct {
	Min, Max *float64
	Pattern  func() *regexp.Regexp // the whole value must match; compiled once, when first asked for
	Source   string                // the pattern as the model writes it
	Enum     []string
}

func rulesOf(tag reflect.StructTag, prefix string) *Rules {
	r := Rules{Min: number(tag.Get(prefix + "min")), Max: number(tag.Get(prefix + "max")), Source: tag.Get(prefix + "pattern")}
	if r.Source != "" {
		r.Pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:` + r.Source + `)$`) })
	}
	if e := tag.Get(prefix + "enum"); e != "" {
		r.Enum = strings.Split(e, "|")
	}
	if r.Min == nil && r.Max == nil && r.Pattern == nil && r.Enum == nil {
		return nil
	}
	return &r
}

// broken are the constraints that v breaks, in AWS's words.
func (r *Rules) broken(k Kind, v reflect.Value) []string {
	if r == nil {
		return nil
	}
	size, word := 0.0, "length"
	switch k {
	case String:
		size = float64(utf8.RuneCountInString(v.String()))
	case Blob, List, Map:
		size = float64(v.Len())
	case Int:
		size, word = float64(v.Int()), "value"
	case Float:
		size, word = v.Float(), "value"
	default:
		return nil
	}
	var out []string
	if r.Max != nil && size > *r.Max {
		out = append(out, "Member must have "+word+" less than or equal to "+num(*r.Max))
	}
	if r.Min != nil && size < *r.Min {
		out = append(out, "Member must have "+word+" greater than or equal to "+num(*r.Min))
	}
	if k == String && r.Pattern != nil && !r.Pattern().MatchString(v.String()) {
		out = append(out, "Member must satisfy regular expression pattern: "+r.Source)
	}
	if k == String && r.Enum != nil && !slices.Contains(r.Enum, v.String()) {
		out = append(out, r.enumText())
	}
	return out
}

func (r *Rules) enumText() string {
	return "Member must satisfy enum value set: [" + strings.Join(r.Enum, ", ") + "]"
}

// all are the constraints in AWS's words: it lists them all for the elements of a list.
func (r *Rules) all() []string {
	var out []string
	if r.Max != nil {
		out = append(out, "Member must have length less than or equal to "+num(*r.Max))
	}
	if r.Min != nil {
		out = append(out, "Member must have length greater than or equal to "+num(*r.Min))
	}
	if r.Pattern != nil {
		out = append(out, "Member must satisfy regular expression pattern: "+r.Source)
	}
	if r.Enum != nil {
		out = append(out, r.enumText())
	}
	return out
}

func num(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
