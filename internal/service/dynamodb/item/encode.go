package item

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

func itoa(n int) string { return strconv.Itoa(n) }

// AppendJSON appends the item in DynamoDB's JSON.
func (it Item) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range it {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, it[i].Name), ':')
		dst = it[i].Value.AppendJSON(dst)
	}
	return append(dst, '}')
}

// MarshalJSON is AppendJSON for encoding/json.
func (it Item) MarshalJSON() ([]byte, error) { return it.AppendJSON(nil), nil }

// MarshalJSON is AppendJSON for encoding/json.
func (v Value) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil), nil }

// AppendJSON appends the value in DynamoDB's JSON; an absent or invalid one is null.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.typ {
	case Absent, invalid:
		return append(dst, "null"...)
	}
	dst = append(append(append(dst, `{"`...), typeNames[v.typ]...), `":`...)
	switch v.typ {
	case String:
		dst = appendString(dst, v.text)
	case Number: // canonical digits need no escaping
		dst = append(append(append(dst, '"'), v.text...), '"')
	case Binary:
		dst = appendBase64(dst, v.text)
	case Bool:
		dst = strconv.AppendBool(dst, v.flag)
	case Null:
		dst = append(dst, "true"...)
	case Map:
		dst = v.attrs.AppendJSON(dst)
	default:
		dst = v.appendElements(dst)
	}
	return append(dst, '}')
}

func (v Value) appendElements(dst []byte) []byte {
	dst = append(dst, '[')
	for i := range v.list {
		if i > 0 {
			dst = append(dst, ',')
		}
		switch v.typ {
		case StringSet:
			dst = appendString(dst, v.list[i].text)
		case NumberSet:
			dst = append(append(append(dst, '"'), v.list[i].text...), '"')
		case BinarySet:
			dst = appendBase64(dst, v.list[i].text)
		default:
			dst = v.list[i].AppendJSON(dst)
		}
	}
	return append(dst, ']')
}

func appendBase64(dst []byte, raw string) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, []byte(raw))
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. Texts are valid UTF-8 since they were read so; anything else
// is written as U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			dst = append(append(dst, s[start:i]...), "\ufffd"...)
			i++
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
