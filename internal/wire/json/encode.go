package json

import (
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// Append writes the document members of v, a struct with the plan p, to b. Absent members are
// left out; maps are written in the order of their keys.
func Append(b []byte, p *plan.Struct, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for _, f := range p.Fields {
		if f.In != plan.Body {
			continue
		}
		fv, ok := f.Get(v)
		if !ok {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = AppendString(b, f.Wire)
		b = append(b, ':')
		b = AppendValue(b, &f.Value, fv)
	}
	return append(b, '}')
}

// AppendValue writes v, a value with the plan p, to b.
func AppendValue(b []byte, p *plan.Value, v reflect.Value) []byte {
	switch p.Kind {
	case plan.String:
		return AppendString(b, v.String())
	case plan.Int:
		return strconv.AppendInt(b, v.Int(), 10)
	case plan.Float:
		return appendFloat(b, v.Float())
	case plan.Bool:
		return strconv.AppendBool(b, v.Bool())
	case plan.Time:
		return appendTime(b, p, v.Interface().(time.Time))
	case plan.Blob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case plan.Raw:
		return append(b, v.Bytes()...)
	case plan.Structure:
		return Append(b, p.Struct, v)
	case plan.List:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendValue(b, p.Elem, v.Index(i))
		}
		return append(b, ']')
	case plan.Map:
		return appendMap(b, p, v)
	}
	return append(b, "null"...) // a stream has no place in a document
}

func appendMap(b []byte, p *plan.Value, v reflect.Value) []byte {
	b = append(b, '{')
	keys := make([]string, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		keys = append(keys, it.Key().String())
	}
	slices.Sort(keys)
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, k)
		b = append(b, ':')
		b = AppendValue(b, p.Elem, v.MapIndex(reflect.ValueOf(k).Convert(p.Type.Key())))
	}
	return append(b, '}')
}

func appendTime(b []byte, p *plan.Value, t time.Time) []byte {
	if p.Format == "" || p.Format == plan.Unix {
		return plan.AppendTime(b, t, plan.Unix)
	}
	b = append(b, '"')
	b = plan.AppendTime(b, t, p.Format)
	return append(b, '"')
}

func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		b = append(b, '"')
		b = plan.AppendFloat(b, f)
		return append(b, '"')
	}
	return plan.AppendFloat(b, f)
}

const hexDigits = "0123456789abcdef"

// AppendString writes s as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
