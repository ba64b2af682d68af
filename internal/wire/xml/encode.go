package xml

import (
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// Encoder writes documents; Time is the format of timestamps that the model leaves open.
type Encoder struct{ Time plan.Format }

// Open writes a start tag with a namespace, if there is one.
func Open(b []byte, name, ns string) []byte {
	b = append(append(b, '<'), name...)
	if ns != "" {
		b = append(b, ` xmlns="`...)
		b = AppendEscaped(b, ns)
		b = append(b, '"')
	}
	return append(b, '>')
}

// Close writes an end tag.
func Close(b []byte, name string) []byte {
	b = append(append(b, '<', '/'), name...)
	return append(b, '>')
}

// Element writes an element with text in it.
func Element(b []byte, name, text string) []byte {
	b = Open(b, name, "")
	b = AppendEscaped(b, text)
	return Close(b, name)
}

// Members writes the members of v, a struct with the plan p, without an element around them.
func (e Encoder) Members(b []byte, p *plan.Struct, v reflect.Value) []byte {
	for _, f := range p.Fields {
		if f.In != plan.Body || f.Attr {
			continue
		}
		if fv, ok := f.Get(v); ok {
			b = e.member(b, f, fv)
		}
	}
	return b
}

func (e Encoder) member(b []byte, f *plan.Field, v reflect.Value) []byte {
	switch {
	case f.Text:
		return e.text(b, &f.Value, v)
	case f.Flattened && f.Kind == plan.List:
		name := nameOr(f.Elem, f.Wire)
		for i := range v.Len() {
			b = e.Value(b, name, f.Elem, v.Index(i))
		}
		return b
	case f.Flattened && f.Kind == plan.Map:
		return e.entries(b, f.Wire, &f.Value, v)
	case f.Kind == plan.Structure && (f.NS != "" || hasAttr(f.Struct)):
		return e.attributed(b, f, v)
	}
	return e.Value(b, f.Wire, &f.Value, v)
}

// Value writes v, a value with the plan p, as the element name.
func (e Encoder) Value(b []byte, name string, p *plan.Value, v reflect.Value) []byte {
	b = Open(b, name, "")
	switch p.Kind {
	case plan.Structure:
		b = e.Members(b, p.Struct, v)
	case plan.List:
		item := nameOr(p.Elem, "member")
		for i := range v.Len() {
			b = e.Value(b, item, p.Elem, v.Index(i))
		}
	case plan.Map:
		b = e.entries(b, "entry", p, v)
	default:
		b = e.text(b, p, v)
	}
	return Close(b, name)
}

func (e Encoder) entries(b []byte, name string, p *plan.Value, v reflect.Value) []byte {
	keys := make([]string, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		keys = append(keys, it.Key().String())
	}
	slices.Sort(keys)
	for _, k := range keys {
		b = Open(b, name, "")
		b = Element(b, nameOr(p.Key, "key"), k)
		b = e.Value(b, nameOr(p.Elem, "value"), p.Elem, v.MapIndex(reflect.ValueOf(k).Convert(p.Type.Key())))
		b = Close(b, name)
	}
	return b
}

func hasAttr(p *plan.Struct) bool {
	return slices.ContainsFunc(p.Fields, func(f *plan.Field) bool { return f.Attr })
}

// attributed writes a structure whose start tag carries a namespace or attributes.
func (e Encoder) attributed(b []byte, f *plan.Field, v reflect.Value) []byte {
	b = append(append(b, '<'), f.Wire...)
	if f.NS != "" {
		b = append(b, " xmlns"...)
		if f.NSPrefix != "" {
			b = append(append(b, ':'), f.NSPrefix...)
		}
		b = append(b, '=', '"')
		b = append(AppendEscaped(b, f.NS), '"')
	}
	for _, a := range f.Struct.Fields {
		if av, ok := a.Get(v); ok && a.Attr {
			b = append(append(append(b, ' '), a.Wire...), '=', '"')
			b = append(e.text(b, &a.Value, av), '"')
		}
	}
	b = append(b, '>')
	b = e.Members(b, f.Struct, v)
	return Close(b, f.Wire)
}

func (e Encoder) text(b []byte, p *plan.Value, v reflect.Value) []byte {
	if p.Kind == plan.String {
		return AppendEscaped(b, v.String())
	}
	f := e.Time
	if f == "" {
		f = plan.ISO8601
	}
	return plan.AppendText(b, p, v, f)
}

// AppendEscaped writes s as text or attribute value. What XML 1.0 cannot carry at all becomes
// U+FFFD; a carriage return is escaped, because a reader would fold it into a line feed.
func AppendEscaped(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		with := ""
		switch {
		case r == '&':
			with = "&amp;"
		case r == '<':
			with = "&lt;"
		case r == '>':
			with = "&gt;"
		case r == '"':
			with = "&#34;"
		case r == '\r':
			with = "&#xD;"
		case r < 0x20 && r != '\t' && r != '\n', r == utf8.RuneError && n == 1, r == 0xFFFE, r == 0xFFFF:
			with = "\ufffd"
		}
		if with != "" {
			b = append(append(b, s[start:i]...), with...)
			start = i + n
		}
		i += n
	}
	return append(b, s[start:]...)
}
