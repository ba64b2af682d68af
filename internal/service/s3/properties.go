package s3

import (
	"fmt"
	"strconv"
)

// properties takes a template's properties apart; the first fault stays. Templates write numbers
// and truth values as strings too.
type properties struct{ err error }

func (r *properties) fault(name string, v any) {
	if r.err == nil {
		r.err = fail("InvalidRequest", 400, fmt.Sprintf("Property %s has the value %v, which it cannot have", name, v))
	}
}

func (r *properties) text(m map[string]any, name string) *string {
	switch v := m[name].(type) {
	case nil:
	case string:
		return &v
	case bool, int, int64, float64:
		return new(fmt.Sprint(v))
	default:
		r.fault(name, v)
	}
	return nil
}

func (r *properties) truth(m map[string]any, name string) *bool {
	p := r.text(m, name)
	if p == nil {
		return nil
	}
	b, err := strconv.ParseBool(*p)
	if err != nil {
		r.fault(name, *p)
	}
	return &b
}

func (r *properties) group(m map[string]any, name string) map[string]any {
	v := m[name]
	g, ok := v.(map[string]any)
	if v != nil && !ok {
		r.fault(name, v)
	}
	return g
}

func (r *properties) list(m map[string]any, name string) []any {
	v := m[name]
	l, ok := v.([]any)
	if v != nil && !ok {
		r.fault(name, v)
	}
	return l
}

func (r *properties) groups(m map[string]any, name string) []map[string]any {
	var out []map[string]any
	for _, v := range r.list(m, name) {
		g, ok := v.(map[string]any)
		if !ok {
			r.fault(name, v)
		}
		out = append(out, g)
	}
	return out
}
