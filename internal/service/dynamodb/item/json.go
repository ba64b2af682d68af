package item

import (
	"encoding/base64"
	"strings"
)

const (
	emptyValue = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
	manyTypes  = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
	tooDeep    = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)

// ParseItem reads an item in DynamoDB's JSON: an object of attribute values. A text that has not
// that form is a SerializationException; an attribute whose value is not acceptable (no number, an
// empty set …) is kept as an invalid value, so that the caller can word where it stood.
func ParseItem(text string) (Item, error) {
	p := scanner{s: text}
	it, err := p.item(0)
	if err != nil {
		return nil, err
	}
	if !p.end() {
		return nil, p.malformed()
	}
	return it, nil
}

// ParseValue reads one attribute value, such as {"S":"text"}, under the rules of ParseItem.
func ParseValue(text string) (Value, error) {
	p := scanner{s: text}
	v, err := p.value(1)
	if err != nil {
		return Value{}, err
	}
	if !p.end() {
		return Value{}, p.malformed()
	}
	return v, nil
}

// UnmarshalJSON is ParseItem for encoding/json and package wire; null leaves the item nil.
func (it *Item) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	out, err := ParseItem(string(data))
	if err == nil {
		*it = out
	}
	return err
}

// UnmarshalJSON is ParseValue for encoding/json and package wire; null leaves the value absent.
func (v *Value) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	out, err := ParseValue(string(data))
	if err == nil {
		*v = out
	}
	return err
}

// item reads an object of values that stand at level depth+1.
func (p *scanner) item(depth int) (Item, error) {
	switch p.peek() {
	case '{':
	case '[':
		return nil, serialization("Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>")
	default:
		return nil, serialization("Unexpected field type")
	}
	it := make(Item, 0, 8)
	err := p.members(func(name string) error {
		v, err := p.value(depth + 1)
		it = append(it, Attr{name, v})
		return err
	})
	return normalize(it), err
}

// value reads one attribute value at level depth.
func (p *scanner) value(depth int) (Value, error) {
	switch p.peek() {
	case '{':
	case '[':
		return Value{}, serialization("Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue")
	case 0:
		return Value{}, p.malformed()
	default:
		return Value{}, serialization("Unexpected value type in payload")
	}
	if depth > MaxDepth {
		return bad(tooDeep), p.skip()
	}
	var out Value
	types := 0
	err := p.members(func(name string) error {
		typ := TypeOf(name)
		if typ == Absent {
			return p.skip()
		}
		if p.peek() == 'n' && p.word("null") {
			return nil
		}
		v, err := p.member(typ, depth)
		if types++; types == 1 || (out.typ != invalid && v.typ == invalid) {
			out = v
		}
		return err
	})
	switch {
	case err != nil:
		return Value{}, err
	case types == 0:
		return bad(emptyValue), nil
	case types > 1 && out.typ != invalid:
		return bad(manyTypes), nil
	}
	return out, nil
}

// member reads what stands after "S":, "N": and so on.
func (p *scanner) member(typ Type, depth int) (Value, error) {
	switch typ {
	case String, Number, Binary:
		return p.scalar(typ)
	case Bool, Null:
		return p.truth(typ)
	case List:
		return p.list(depth)
	case Map:
		attrs, err := p.item(depth)
		if msg := attrs.Err(); msg != "" {
			return bad(msg), err
		}
		return M(attrs), err
	}
	return p.set(typ)
}

func (p *scanner) scalar(typ Type) (Value, error) {
	class := "java.lang.String"
	if typ == Binary {
		class = "java.nio.ByteBuffer"
	}
	switch p.peek() {
	case '"':
	case '{':
		return Value{}, serialization("Start of structure or map found where not expected")
	case '[':
		return Value{}, serialization("Unrecognized collection type class " + class)
	case 0:
		return Value{}, p.malformed()
	default:
		if typ == Binary {
			return Value{}, serialization("only base-64-encoded strings are convertible to bytes")
		}
		return Value{}, serialization(p.kind() + " cannot be converted to String")
	}
	text, err := p.str()
	if err != nil {
		return Value{}, err
	}
	switch typ {
	case Number:
		return N(text), nil
	case Binary:
		raw, err := decodeBase64(text)
		return B(raw), err
	}
	return S(text), nil
}

// truth reads a BOOL or NULL. The service takes {"NULL": false} for a null as well.
func (p *scanner) truth(typ Type) (Value, error) {
	switch c := p.peek(); {
	case c == 't' && p.word("true"):
		return Value{typ: typ, flag: typ == Bool}, nil
	case c == 'f' && p.word("false"):
		return Value{typ: typ}, nil
	case c == '{':
		return Value{}, serialization("Start of structure or map found where not expected")
	case c == '[':
		return Value{}, serialization("Unrecognized collection type class java.lang.Boolean")
	case c == '"' || c == '-' || (c >= '0' && c <= '9'):
		return Value{}, serialization(p.kind() + " cannot be converted to Boolean")
	}
	return Value{}, p.malformed()
}

func (p *scanner) array(class string, each func() error) error {
	switch p.peek() {
	case '[':
		return p.elements(each)
	case '{':
		return serialization("Start of structure or map found where not expected")
	case 0:
		return p.malformed()
	}
	return serialization("Unexpected field type for " + class)
}

func (p *scanner) list(depth int) (Value, error) {
	out := L()
	reason := ""
	err := p.array("L", func() error {
		v, err := p.value(depth + 1)
		if reason == "" {
			reason = v.Err()
		}
		out.list = append(out.list, v)
		return err
	})
	if reason != "" {
		return bad(reason), err
	}
	return out, err
}

func (p *scanner) set(typ Type) (Value, error) {
	var members []Value
	reason := ""
	err := p.array(typ.String(), func() error {
		v, err := p.scalar(typ.Element())
		if reason == "" {
			reason = v.Err()
		}
		members = append(members, v)
		return err
	})
	if reason != "" || err != nil {
		return bad(reason), err
	}
	return makeSet(typ, members), nil
}

func decodeBase64(text string) (string, error) {
	if len(text)%4 != 0 {
		return "", serialization("Base64 encoded length is expected a multiple of 4 bytes but found: " + itoa(len(text)))
	}
	if i := strings.IndexFunc(text, notBase64); i >= 0 {
		return "", serialization("Invalid Base64 character: '" + text[i:i+1] + "'")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", serialization("Invalid last non-pad Base64 character dectected") // sic
	}
	return string(raw), nil
}

func notBase64(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/' || r == '=')
}

func encodeBase64(raw string) string { return base64.StdEncoding.EncodeToString([]byte(raw)) }
