package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// Request is where a request keeps members outside its body.
type Request struct {
	Labels func(name string) (string, bool) // from the path, decoded
	Query  url.Values
	Header http.Header
}

// Decode gives v, a struct with the plan p, the members outside the body, and tells check what is
// missing. The payload is not looked at.
func Decode(r Request, p *plan.Struct, v reflect.Value, check *plan.Check) error {
	var seen uint64
	for _, f := range p.Fields {
		if f.In == plan.Body || f.In == plan.Payload || f.In == plan.StatusCode {
			seen |= f.Bit
			continue
		}
		there, err := member(r, p, f, v)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if there {
			seen |= f.Bit
		}
	}
	if missing := p.Bound &^ seen; missing != 0 {
		check.Missing(p, missing)
	}
	return nil
}

func member(r Request, p *plan.Struct, f *plan.Field, v reflect.Value) (bool, error) {
	switch f.In {
	case plan.URI:
		s, ok := r.Labels(f.Wire)
		if !ok {
			return false, nil
		}
		return true, plan.SetText(&f.Value, f.Make(v), s)
	case plan.Headers:
		return prefixed(r.Header, f, v)
	case plan.Header:
		values := r.Header[f.Canonical]
		if len(values) == 0 {
			return false, nil
		}
		if f.Kind == plan.List {
			values = strings.Split(strings.Join(values, ","), ",")
			for i := range values {
				values[i] = strings.Trim(values[i], ` "`)
			}
		}
		return true, texts(f, v, values)
	case plan.QueryString:
		if f.Kind == plan.Map {
			return true, parameters(r.Query, p, f, v)
		}
		values, ok := r.Query[f.Wire]
		if !ok {
			return false, nil
		}
		if f.Kind != plan.String && f.Kind != plan.List && values[0] == "" {
			return false, nil // "max-keys=" means nothing
		}
		return true, texts(f, v, values)
	}
	return false, nil
}

func texts(f *plan.Field, v reflect.Value, values []string) error {
	if f.Kind != plan.List {
		return plan.SetText(&f.Value, f.Make(v), values[0])
	}
	list := f.Make(v)
	plan.EmptyList(list)
	for _, s := range values {
		if err := plan.SetText(f.Elem, plan.Grow(list), s); err != nil {
			return err
		}
	}
	return nil
}

// prefixed reads every header that begins with the member's prefix; names come out in small
// letters, since HTTP does not keep their case.
func prefixed(h http.Header, f *plan.Field, v reflect.Value) (bool, error) {
	m := map[string]string{}
	for name, values := range h {
		name = strings.ToLower(name)
		if rest, ok := strings.CutPrefix(name, strings.ToLower(f.Wire)); ok && rest != "" {
			m[rest] = strings.Join(values, ",")
		}
	}
	if len(m) == 0 {
		return false, nil
	}
	f.Make(v).Set(reflect.ValueOf(m))
	return true, nil
}

// parameters reads the query parameters that no other member names.
func parameters(q url.Values, p *plan.Struct, f *plan.Field, v reflect.Value) error {
	m := reflect.MakeMap(f.Type)
	for name, values := range q {
		if named(p, name) {
			continue
		}
		e := reflect.New(f.Elem.Type).Elem()
		switch {
		case f.Elem.Kind == plan.List:
			for _, s := range values {
				if err := plan.SetText(f.Elem.Elem, plan.Grow(e), s); err != nil {
					return err
				}
			}
		default:
			if err := plan.SetText(f.Elem, e, values[0]); err != nil {
				return err
			}
		}
		m.SetMapIndex(reflect.ValueOf(name).Convert(f.Type.Key()), e)
	}
	if m.Len() > 0 {
		f.Make(v).Set(m)
	}
	return nil
}

func named(p *plan.Struct, name string) bool {
	for _, f := range p.Fields {
		if f.In == plan.QueryString && f.Wire == name && f.Kind != plan.Map {
			return true
		}
	}
	return false
}
