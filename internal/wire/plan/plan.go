package plan

import (
	"fmt"
	"io"
	"math/bits"
	"net/textproto"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind is the sort of a value on the wire.
type Kind uint8

// The kinds. Stream is a body that is not read into memory, EventStream one that is made of events.
const (
	String Kind = iota + 1
	Int
	Float
	Bool
	Time
	Blob
	Raw
	Stream
	Structure
	List
	Map
	EventStream
)

// Location is where a member travels; the zero Location is the body's document.
type Location uint8

// The locations of rest protocols.
const (
	Body Location = iota
	Header
	Headers // every header with the prefix Wire
	URI
	QueryString
	StatusCode
	Payload // the member is the body
)

// Struct is the plan of a struct type.
type Struct struct {
	Type     reflect.Type
	Fields   []*Field
	Payload  *Field // nil where the document's members are the body
	Required uint64 // the bits of the required members that travel in the document
	Bound    uint64 // the bits of the required members that travel elsewhere
	byWire   map[string]*Field
	bodies   bool // some member travels in the document
}

// Field is the plan of a struct's member.
type Field struct {
	Value
	Index     int
	Name      string // the model's name of the member
	Label     string // the name in messages: first letter small
	Canonical string // of a header, the name as net/http keeps it
	In        Location
	Bit       uint64 // of a required member, its bit in Struct.Required or Struct.Bound
	Ptr       bool   // the Go field is a pointer to Value.Type
	Flattened bool
	Attr      bool // an XML attribute
	Text      bool // the text of the XML root
	JSONValue bool
	NS        string // XML namespace
	NSPrefix  string
}

// Value is the plan of what a member, an element or a map's key holds.
type Value struct {
	Kind      Kind
	Type      reflect.Type
	Wire      string // name on the wire; of elements only where the model gives one
	Format    Format // of timestamps, where the model gives one
	Sensitive bool
	Rules     *Rules
	Elem      *Value  // of a list or map
	Key       *Value  // of a map
	Struct    *Struct // of a stream of events: the union that each is
}

// Cache makes plans and keeps them. The zero Cache is ready; it grows with the number of types in
// the program, not with requests.
type Cache struct{ m sync.Map }

// Of is the plan of a struct type; a type with tags that nothing can decode panics, since it is
// compiled in.
func (c *Cache) Of(t reflect.Type) *Struct {
	if s, ok := c.m.Load(t); ok {
		return s.(*Struct)
	}
	building := map[reflect.Type]*Struct{}
	s := c.build(t, building)
	for t, s := range building {
		c.m.LoadOrStore(t, s)
	}
	return s
}

// Value is the plan of a value that stands outside any struct, as in an error's fields; nil for a
// type that no codec writes.
func (c *Cache) Value(t reflect.Type) *Value {
	base := t
	for kindOf(base) == List || kindOf(base) == Map {
		base = base.Elem()
	}
	if kindOf(base) == 0 {
		return nil
	}
	building := map[reflect.Type]*Struct{}
	v := c.value(t, "", "", building)
	for t, s := range building {
		c.m.LoadOrStore(t, s)
	}
	return v
}

func (c *Cache) build(t reflect.Type, building map[reflect.Type]*Struct) *Struct {
	if s, ok := c.m.Load(t); ok {
		return s.(*Struct)
	}
	if s := building[t]; s != nil {
		return s // a recursive shape
	}
	s := &Struct{Type: t, byWire: map[string]*Field{}}
	building[t] = s
	for i := range t.NumField() {
		if !t.Field(i).IsExported() {
			continue // the process's own, which no codec reads or writes
		}
		f := c.field(t.Field(i), building)
		f.Index = i
		if f.Bit != 0 {
			f.Bit = 1 << bits.OnesCount64(s.Required|s.Bound)
			if f.In == Body {
				s.Required |= f.Bit
			} else {
				s.Bound |= f.Bit
			}
		}
		s.Fields = append(s.Fields, f)
		switch f.In {
		case Body:
			s.byWire[f.Wire] = f
			s.bodies = true
		case Payload:
			s.Payload = f
		}
	}
	return s
}

// ByWire is the document's member of that name, or nil.
func (s *Struct) ByWire(name []byte) *Field { return s.byWire[string(name)] }

// HasDocument reports whether some member travels in the document.
func (s *Struct) HasDocument() bool { return s.bodies }

// Get is the member's value in v, and whether it is there at all.
func (f *Field) Get(v reflect.Value) (reflect.Value, bool) {
	v = v.Field(f.Index)
	switch {
	case f.Ptr:
		if v.IsNil() {
			return v, false
		}
		return v.Elem(), true
	case f.Kind == List || f.Kind == Map || f.Kind == Blob || f.Kind == Raw || f.Kind == Stream:
		return v, !v.IsNil()
	}
	return v, true
}

// Make is the member's value in v, made ready to be set.
func (f *Field) Make(v reflect.Value) reflect.Value {
	v = v.Field(f.Index)
	if f.Ptr {
		p := reflect.New(f.Type)
		v.Set(p)
		return p.Elem()
	}
	return v
}

// Grow adds a zero element to the list v and returns it.
func Grow(v reflect.Value) reflect.Value {
	n := v.Len()
	if n == v.Cap() {
		v.Grow(1)
	}
	v.SetLen(n + 1)
	e := v.Index(n)
	e.SetZero()
	return e
}

// EmptyList makes v a list that is there and has no elements.
func EmptyList(v reflect.Value) {
	if v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
}

func (c *Cache) field(sf reflect.StructField, building map[reflect.Type]*Struct) *Field {
	tag := sf.Tag
	f := &Field{Name: tag.Get("name"), In: locations[tag.Get("in")], NS: tag.Get("ns"), NSPrefix: tag.Get("nsprefix")}
	if f.Name == "" {
		f.Name = tag.Get("wire")
	}
	if f.In == Headers {
		f.Name = sf.Name
	}
	f.Label = lowerFirst(f.Name)
	if f.In == Header {
		f.Canonical = textproto.CanonicalMIMEHeaderKey(tag.Get("wire"))
	}
	t := sf.Type
	if t.Kind() == reflect.Pointer {
		f.Ptr, t = true, t.Elem()
	}
	f.Value = *c.value(t, tag, "", building)
	for _, o := range strings.Split(tag.Get("opt"), ",") {
		switch o {
		case "required":
			f.Bit = 1
		case "flattened":
			f.Flattened = true
		case "attr":
			f.Attr = true
		case "text":
			f.Text = true
		case "jsonvalue":
			f.JSONValue = true
		}
	}
	return f
}

func (c *Cache) value(t reflect.Type, tag reflect.StructTag, prefix string, building map[reflect.Type]*Struct) *Value {
	v := &Value{Type: t, Wire: tag.Get(prefix + "wire"), Format: Format(tag.Get(prefix + "ts")), Kind: kindOf(t)}
	v.Sensitive = strings.Contains(","+tag.Get(prefix+"opt")+",", ",sensitive,")
	v.Rules = rulesOf(tag, prefix)
	switch v.Kind {
	case 0:
		panic(fmt.Sprintf("plan: no codec for %s", t))
	case Structure:
		v.Struct = c.build(t, building)
	case EventStream:
		v.Struct = c.build(unionOf(t), building)
	case List:
		v.Elem = c.value(t.Elem(), tag, prefix+"e.", building)
	case Map:
		v.Key = c.value(t.Key(), tag, prefix+"k.", building)
		v.Elem = c.value(t.Elem(), tag, prefix+"e.", building)
	}
	return v
}

func kindOf(t reflect.Type) Kind {
	switch t {
	case reflect.TypeFor[time.Time]():
		return Time
	case reflect.TypeFor[RawJSON]():
		return Raw
	case reflect.TypeFor[[]byte]():
		return Blob
	case reflect.TypeFor[io.Reader](), reflect.TypeFor[io.ReadCloser]():
		return Stream
	}
	if unionOf(t) != nil {
		return EventStream
	}
	switch t.Kind() {
	case reflect.String:
		return String
	case reflect.Int32, reflect.Int64, reflect.Int:
		return Int
	case reflect.Float64:
		return Float
	case reflect.Bool:
		return Bool
	case reflect.Struct:
		return Structure
	case reflect.Slice:
		return List
	case reflect.Map:
		return Map
	}
	return 0
}

var locations = map[string]Location{"header": Header, "headers": Headers, "uri": URI, "querystring": QueryString,
	"statusCode": StatusCode, "payload": Payload}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// number reads a constraint of a tag.
func number(s string) *float64 {
	if s == "" {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("plan: constraint " + s + " is no number")
	}
	return &f
}
