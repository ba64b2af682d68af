package json

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"math"
	"reflect"
	"strconv"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// Decode reads one document into v, a struct with the plan p, and tells check what is missing.
// Errors are *SyntaxError or *TypeError.
func Decode(data []byte, p *plan.Struct, v reflect.Value, check *plan.Check, limits Limits) error {
	d := newDecoder(data, check, limits)
	if d.peek() != '{' {
		if err := d.skip(); err != nil {
			return err
		}
		return &TypeError{"Unexpected value: the document must be an object"}
	}
	if err := d.structure(p, v); err != nil {
		return err
	}
	return d.end()
}

// DecodeValue reads a document that is one value of any kind, as a payload member may be.
func DecodeValue(data []byte, p *plan.Value, v reflect.Value, check *plan.Check, limits Limits) error {
	d := newDecoder(data, check, limits)
	if err := d.value(p, v); err != nil {
		return err
	}
	return d.end()
}

type decoder struct {
	scanner
	check    *plan.Check
	elements int // that may still be decoded
}

func newDecoder(data []byte, check *plan.Check, l Limits) *decoder {
	return &decoder{scanner{data: data, depth: cmp.Or(l.Depth, defaultDepth)}, check, cmp.Or(l.Elements, defaultElements)}
}

func (d *decoder) end() error {
	if d.peek(); d.pos < len(d.data) {
		return d.fail("unexpected data after the document")
	}
	return nil
}

func (d *decoder) null() (bool, error) {
	if d.peek() != 'n' {
		return false, nil
	}
	return true, d.literal("null")
}

func (d *decoder) structure(p *plan.Struct, v reflect.Value) error {
	if err := d.begin('{', "Structure"); err != nil {
		return err
	}
	var seen uint64
	for first := true; ; first = false {
		more, err := d.next('}', first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		f, err := d.member(p)
		if err != nil {
			return err
		}
		if f == nil {
			if err := d.skip(); err != nil {
				return err
			}
			continue
		}
		absent, err := d.null()
		if err != nil {
			return err
		}
		if absent {
			continue
		}
		seen |= f.Bit
		d.check.Enter(f.Label, 0)
		if err := d.value(&f.Value, f.Make(v)); err != nil {
			return err
		}
		d.check.Leave()
	}
	if missing := p.Required &^ seen; missing != 0 {
		d.check.Missing(p, missing)
	}
	return nil
}

// member reads a member's name and the colon; nil is one that the model does not have.
func (d *decoder) member(p *plan.Struct) (*plan.Field, error) {
	if d.peek() != '"' {
		return nil, d.fail("expected a member name")
	}
	raw, escaped, err := d.rawString()
	if err != nil {
		return nil, err
	}
	if escaped {
		raw = unescape(raw)
	}
	return p.ByWire(raw), d.expect(':')
}

// begin opens an array or object, or says what stands there instead.
func (d *decoder) begin(c byte, want string) error {
	if d.peek() != c {
		return d.mismatch(want)
	}
	return d.open()
}

func (d *decoder) count() error {
	if d.elements--; d.elements < 0 {
		return d.fail("too many elements")
	}
	return nil
}

// mismatch words the value at the scanner, which is not of the type that the model has.
func (d *decoder) mismatch(want string) error {
	c := d.peek()
	if err := d.skip(); err != nil {
		return err // no JSON at all comes first
	}
	switch {
	case c == '{':
		return &TypeError{"Start of structure or map found where not expected."}
	case c == '[':
		return &TypeError{"Start of list found where not expected"}
	}
	name := "NUMBER_VALUE"
	switch c {
	case '"':
		name = "STRING_VALUE"
	case 't':
		name = "TRUE_VALUE"
	case 'f':
		name = "FALSE_VALUE"
	case 'n':
		name = "NULL_VALUE"
	}
	if want == "Structure" || want == "List" || want == "Map" {
		return &TypeError{"Unexpected field type"}
	}
	return &TypeError{name + " cannot be converted to " + want}
}

func (d *decoder) value(p *plan.Value, v reflect.Value) error {
	switch p.Kind {
	case plan.String:
		return d.str(v)
	case plan.Int:
		return d.integer(v)
	case plan.Float:
		return d.float(v)
	case plan.Bool:
		return d.boolean(v)
	case plan.Time:
		return d.time(v)
	case plan.Blob:
		return d.blob(v)
	case plan.Raw:
		d.peek()
		start := d.pos
		if err := d.skip(); err != nil {
			return err
		}
		v.SetBytes(d.data[start:d.pos:d.pos])
		return nil
	case plan.Structure:
		return d.structure(p.Struct, v)
	case plan.List:
		return d.list(p, v)
	case plan.Map:
		return d.mapping(p, v)
	}
	return d.mismatch("Stream")
}

func (d *decoder) str(v reflect.Value) error {
	if d.peek() != '"' {
		return d.mismatch("String")
	}
	s, err := d.text()
	v.SetString(s)
	return err
}

func (d *decoder) integer(v reflect.Value) error {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return d.mismatch("Integer")
	}
	raw, err := d.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(raw), 10, v.Type().Bits())
	if err != nil {
		f, ferr := strconv.ParseFloat(string(raw), 64) // 5.0 and 1e3 are integers too
		if ferr != nil || !bytes.ContainsAny(raw, ".eE") || v.OverflowInt(int64(f)) || math.Abs(f) > 1<<53 {
			return &TypeError{"Number out of range"}
		}
		n = int64(f)
	}
	v.SetInt(n)
	return nil
}

func (d *decoder) float(v reflect.Value) error {
	c := d.peek()
	if c == '"' {
		s, err := d.text()
		if err != nil {
			return err
		}
		if s != "NaN" && s != "Infinity" && s != "-Infinity" {
			return &TypeError{"STRING_VALUE cannot be converted to Double"}
		}
		f, err := strconv.ParseFloat(s, 64)
		v.SetFloat(f)
		return err
	}
	if c != '-' && (c < '0' || c > '9') {
		return d.mismatch("Double")
	}
	raw, err := d.number()
	if err != nil {
		return err
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return &TypeError{"Number out of range"}
	}
	v.SetFloat(f)
	return nil
}

func (d *decoder) boolean(v reflect.Value) error {
	switch d.peek() {
	case 't':
		v.SetBool(true)
		return d.literal("true")
	case 'f':
		v.SetBool(false)
		return d.literal("false")
	}
	return d.mismatch("Boolean")
}

func (d *decoder) time(v reflect.Value) error {
	var s string
	switch c := d.peek(); {
	case c == '"':
		text, err := d.text()
		if err != nil {
			return err
		}
		s = text
	case c == '-' || c >= '0' && c <= '9':
		raw, err := d.number()
		if err != nil {
			return err
		}
		s = string(raw)
	default:
		return d.mismatch("Timestamp")
	}
	t, err := plan.ParseTime(s)
	if err != nil {
		return &TypeError{"Invalid timestamp"}
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

func (d *decoder) blob(v reflect.Value) error {
	if d.peek() != '"' {
		return d.mismatch("Blob")
	}
	raw, escaped, err := d.rawString()
	if err != nil {
		return err
	}
	if escaped {
		raw = unescape(raw)
	}
	b, err := base64.StdEncoding.AppendDecode(make([]byte, 0, base64.StdEncoding.DecodedLen(len(raw))), raw)
	if err != nil {
		return &TypeError{"Base64 encoded length is unexpected or the value is not base64"}
	}
	v.SetBytes(b)
	return nil
}

func (d *decoder) list(p *plan.Value, v reflect.Value) error {
	if err := d.begin('[', "List"); err != nil {
		return err
	}
	v.SetLen(0)
	plan.EmptyList(v)
	for n := 1; ; n++ {
		more, err := d.next(']', n == 1)
		if err != nil || !more {
			return err
		}
		if err := d.count(); err != nil {
			return err
		}
		if absent, err := d.null(); err != nil {
			return err
		} else if absent {
			continue
		}
		d.check.Enter("", n)
		if err := d.value(p.Elem, plan.Grow(v)); err != nil {
			return err
		}
		d.check.Leave()
	}
}

func (d *decoder) mapping(p *plan.Value, v reflect.Value) error {
	if err := d.begin('{', "Map"); err != nil {
		return err
	}
	v.Set(reflect.MakeMap(p.Type))
	for first := true; ; first = false {
		more, err := d.next('}', first)
		if err != nil || !more {
			return err
		}
		if err := d.count(); err != nil {
			return err
		}
		key, err := d.text()
		if err != nil {
			return err
		}
		if err := d.expect(':'); err != nil {
			return err
		}
		if absent, err := d.null(); err != nil {
			return err
		} else if absent {
			continue
		}
		if err := d.entry(p, v, key); err != nil {
			return err
		}
	}
}

func (d *decoder) entry(p *plan.Value, v reflect.Value, key string) error {
	d.check.Enter(key, 0)
	e := reflect.New(p.Elem.Type).Elem()
	if err := d.value(p.Elem, e); err != nil {
		return err
	}
	d.check.Leave()
	if m, ok := v.Interface().(map[string]string); ok {
		m[key] = e.String()
		return nil
	}
	v.SetMapIndex(reflect.ValueOf(key), e)
	return nil
}
