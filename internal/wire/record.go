package wire

import (
	"bytes"
	"maps"
	"reflect"
	"slices"

	"github.com/bastide-cloud/bastide/internal/wire/json"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// hidden is what CloudTrail writes in place of a secret.
const hidden = `"HIDDEN_DUE_TO_SECURITY_REASONS"`

const (
	maxRecordText = 4 << 10   // of one string
	maxRecord     = 100 << 10 // CloudTrail drops larger requestParameters too
)

// Record is an input or output as an audit record shows it: JSON with names in lower camel case,
// without what the model marks as sensitive, without bodies and blobs, and, of items that stay
// undecoded, the keys only. x is a pointer to the operation's In or Out type; nil gives null.
func (op *Operation) Record(x any) []byte {
	v := reflect.ValueOf(x)
	if x == nil || v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return []byte("null")
	}
	b := recordStruct(nil, op.Service.plans.Of(v.Elem().Type()), v.Elem())
	switch {
	case len(b) > maxRecord:
		return []byte(`{"requestParametersOmitted":true}`)
	case bytes.Equal(b, []byte("{}")):
		return []byte("null")
	}
	return b
}

func recordStruct(b []byte, p *plan.Struct, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for _, f := range p.Fields {
		fv, ok := f.Get(v)
		if !ok || f.Kind == plan.Stream || f.Kind == plan.EventStream || f.Kind == plan.Blob {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = json.AppendString(b, f.Label)
		b = append(b, ':')
		if f.Kind == plan.Raw && !isKey(f.Name) || secretNames[f.Label] {
			b = append(b, hidden...)
			continue
		}
		b = recordValue(b, &f.Value, fv)
	}
	return append(b, '}')
}

// secretNames are members that no record shows though the models do not mark them: credentials,
// and what an application logs.
var secretNames = map[string]bool{"sessionToken": true, "tokenCode": true, "logEvents": true}

// isKey tells the members of undecoded items that say which item, not what is in it.
func isKey(name string) bool { return name == "Key" || name == "Keys" }

func recordValue(b []byte, p *plan.Value, v reflect.Value) []byte {
	if p.Sensitive {
		return append(b, hidden...)
	}
	switch p.Kind {
	case plan.Structure:
		return recordStruct(b, p.Struct, v)
	case plan.List:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = recordValue(b, p.Elem, v.Index(i))
		}
		return append(b, ']')
	case plan.Map:
		return recordMap(b, p, v)
	case plan.Blob, plan.Stream:
		return append(b, "null"...)
	case plan.String:
		s := v.String()
		if len(s) > maxRecordText {
			s = s[:maxRecordText] + "…"
		}
		return json.AppendString(b, s)
	case plan.Time:
		b = append(b, '"')
		b = plan.AppendText(b, p, v, plan.ISO8601)
		return append(b, '"')
	}
	return json.AppendValue(b, p, v)
}

func recordMap(b []byte, p *plan.Value, v reflect.Value) []byte {
	keys := map[string]reflect.Value{}
	for it := v.MapRange(); it.Next(); {
		keys[it.Key().String()] = it.Value()
	}
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(keys)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = json.AppendString(b, k)
		b = append(b, ':')
		b = recordValue(b, p.Elem, keys[k])
	}
	return append(b, '}')
}
