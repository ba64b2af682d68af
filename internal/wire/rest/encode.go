package rest

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// Encode writes the members of v, a struct with the plan p, that travel in headers, and returns
// the status that a member gives, or 0.
func Encode(h http.Header, p *plan.Struct, v reflect.Value) (status int) {
	for _, f := range p.Fields {
		if f.In == plan.Body || f.In == plan.Payload {
			continue
		}
		fv, ok := f.Get(v)
		if !ok {
			continue
		}
		switch f.In {
		case plan.StatusCode:
			status = int(fv.Int())
		case plan.Headers:
			for it := fv.MapRange(); it.Next(); {
				// In small letters, as S3 sends them: clients that keep the case show it to users.
				h[strings.ToLower(f.Wire+it.Key().String())] = []string{clean(it.Value().String())}
			}
		case plan.Header:
			h[f.Canonical] = []string{clean(headerText(f, fv))}
		}
	}
	return status
}

func headerText(f *plan.Field, v reflect.Value) string {
	if f.Kind != plan.List {
		return string(plan.AppendText(nil, &f.Value, v, plan.RFC822))
	}
	var parts []string
	for i := range v.Len() {
		parts = append(parts, string(plan.AppendText(nil, f.Elem, v.Index(i), plan.RFC822)))
	}
	return strings.Join(parts, ",")
}

// clean keeps a value from ending its header line: net/http does the same, this does not rely on
// which server writes.
func clean(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	return strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(s)
}
