package plan

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Format is how a timestamp is written; the zero Format leaves it to the place.
type Format string

// The formats, by the models' names.
const (
	Unix     Format = "unixTimestamp"
	ISO8601  Format = "iso8601"
	RFC822   Format = "rfc822"
	isoMilli Format = "iso8601millis" // S3's documents: milliseconds always
)

// ISOMillis is ISO 8601 that always shows milliseconds, as S3's documents have it.
const ISOMillis = isoMilli

// AppendTime writes t.
func AppendTime(b []byte, t time.Time, f Format) []byte {
	t = t.UTC()
	switch f {
	case RFC822:
		return t.AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
	case isoMilli:
		return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	case ISO8601:
		if t.Nanosecond() < int(time.Millisecond) {
			return t.AppendFormat(b, "2006-01-02T15:04:05Z")
		}
		return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	}
	ms := t.UnixMilli()
	if ms < 0 {
		b, ms = append(b, '-'), -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if frac := ms % 1000; frac != 0 {
		b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b
}

// maxUnix bounds timestamps to the years that a calendar can print (9999).
const maxUnix = 253402300799

// UnixTime is the time that many seconds after 1970.
func UnixTime(sec float64) (time.Time, error) {
	if math.IsNaN(sec) || math.Abs(sec) > maxUnix {
		return time.Time{}, fmt.Errorf("timestamp out of range")
	}
	whole, frac := math.Modf(sec)
	return time.Unix(int64(whole), int64(math.Round(frac*1e3))*1e6).UTC(), nil
}

// ParseTime reads a timestamp in any of the formats: clients do not always send the modelled one.
func ParseTime(s string) (time.Time, error) {
	if s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return UnixTime(f)
		}
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05", "20060102T150405Z", "2006-01-02",
		"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC1123Z, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid timestamp")
}

// SetText gives dst, a scalar, the value that s says.
func SetText(v *Value, dst reflect.Value, s string) error {
	switch v.Kind {
	case String:
		dst.SetString(s)
	case Int:
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, dst.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q can not be converted to an Integer", clip(s))
		}
		dst.SetInt(n)
	case Float:
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return fmt.Errorf("%q can not be converted to a Double", clip(s))
		}
		dst.SetFloat(f)
	case Bool:
		switch strings.TrimSpace(s) {
		case "true", "True", "TRUE":
			dst.SetBool(true)
		case "false", "False", "FALSE":
			dst.SetBool(false)
		default:
			return fmt.Errorf("%q can not be converted to a Boolean", clip(s))
		}
	case Time:
		t, err := ParseTime(strings.TrimSpace(s))
		if err != nil {
			return err
		}
		dst.Set(reflect.ValueOf(t))
	case Blob:
		b, err := base64.StdEncoding.AppendDecode([]byte{}, []byte(s))
		if err != nil {
			return fmt.Errorf("invalid base64")
		}
		dst.SetBytes(b)
	case Raw:
		return fmt.Errorf("a JSON value can not stand here")
	default:
		return fmt.Errorf("unexpected text where a structure is expected")
	}
	return nil
}

// AppendText writes the scalar v as text; f is the timestamp format of the place.
func AppendText(b []byte, p *Value, v reflect.Value, f Format) []byte {
	switch p.Kind {
	case String:
		return append(b, v.String()...)
	case Int:
		return strconv.AppendInt(b, v.Int(), 10)
	case Float:
		return AppendFloat(b, v.Float())
	case Bool:
		return strconv.AppendBool(b, v.Bool())
	case Time:
		if p.Format != "" && !(p.Format == ISO8601 && f == isoMilli) {
			f = p.Format
		}
		return AppendTime(b, v.Interface().(time.Time), f)
	case Blob:
		return base64.StdEncoding.AppendEncode(b, v.Bytes())
	case Raw:
		return append(b, v.Bytes()...)
	}
	return b
}

// AppendFloat writes f in the shortest form, with the names that AWS gives to what is no number.
func AppendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	case f == math.Trunc(f) && math.Abs(f) < 1e15:
		return strconv.AppendFloat(b, f, 'f', 1, 64)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

func clip(s string) string {
	if len(s) > 256 {
		return strings.ToValidUTF8(s[:256], "") + "..."
	}
	return s
}
