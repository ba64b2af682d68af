package lambda

import (
	"fmt"
	"strconv"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
)

// reader takes a template's properties apart; the first fault stays. Templates write numbers and
// truth values as text too.
type reader struct{ err error }

func (r *reader) fault(what string, v any) {
	if r.err == nil {
		r.err = invalid("Property %s has the value %v, which it cannot have", what, v)
	}
}

func (r *reader) text(m map[string]any, name string) *string {
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

func (r *reader) must(m map[string]any, name string) string {
	if p := r.text(m, name); p != nil {
		return *p
	}
	r.fault(name, "nothing")
	return ""
}

func (r *reader) number(m map[string]any, name string) *int32 {
	p := r.text(m, name)
	if p == nil {
		return nil
	}
	n, err := strconv.ParseFloat(*p, 64)
	if err != nil || n != float64(int32(n)) {
		r.fault(name, *p)
	}
	return new(int32(n))
}

func (r *reader) truth(m map[string]any, name string) *bool {
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

func (r *reader) group(m map[string]any, name string) map[string]any {
	switch v := m[name].(type) {
	case nil:
	case map[string]any:
		return v
	default:
		r.fault(name, v)
	}
	return nil
}

func (r *reader) list(m map[string]any, name string) []any {
	switch v := m[name].(type) {
	case nil:
	case []any:
		return v
	default:
		r.fault(name, v)
	}
	return nil
}

func (r *reader) texts(m map[string]any, name string) []string {
	var out []string
	for _, v := range r.list(m, name) {
		s, ok := v.(string)
		if !ok {
			r.fault(name, v)
		}
		out = append(out, s)
	}
	return out
}

func (r *reader) groups(m map[string]any, name string) []map[string]any {
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

// tags is a list of Key and Value.
func (r *reader) tags(m map[string]any) map[string]string {
	var out map[string]string
	for _, t := range r.groups(m, "Tags") {
		if out == nil {
			out = map[string]string{}
		}
		out[r.must(t, "Key")] = r.must(t, "Value")
	}
	return out
}

func (r *reader) environment(m map[string]any) *lambda.Environment {
	env := &lambda.Environment{Variables: map[string]string{}}
	vars := r.group(r.group(m, "Environment"), "Variables")
	for k := range vars {
		env.Variables[k] = r.must(vars, k)
	}
	return env
}

func (r *reader) logging(m map[string]any) *lambda.LoggingConfig {
	g := r.group(m, "LoggingConfig")
	if g == nil {
		return nil
	}
	return &lambda.LoggingConfig{LogFormat: r.text(g, "LogFormat"), LogGroup: r.text(g, "LogGroup"),
		ApplicationLogLevel: r.text(g, "ApplicationLogLevel"), SystemLogLevel: r.text(g, "SystemLogLevel")}
}
