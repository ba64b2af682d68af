package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// Properties puts the properties of a CloudFormation resource into the members of the same name in
// dst, a pointer to a struct of a model. Numbers and truths may be written as text, as templates
// have them; a list is wanted where one is. Properties that dst lacks are left out: which are
// understood the resource says itself. The error names the property that does not fit.
func Properties(dst any, props map[string]any) error {
	d := reflect.ValueOf(dst).Elem()
	for _, name := range slices.Sorted(maps.Keys(props)) {
		f := d.FieldByName(name)
		if !f.IsValid() || props[name] == nil {
			continue
		}
		if err := property(f, props[name], name); err != nil {
			return err
		}
	}
	return nil
}

func unfit(at string, want string) error {
	return awserr.Of(awserr.Validation, "Property %s must be %s.", at, want)
}

func property(f reflect.Value, v any, at string) error {
	switch f.Kind() {
	case reflect.Pointer:
		p := reflect.New(f.Type().Elem())
		if err := property(p.Elem(), v, at); err != nil {
			return err
		}
		f.Set(p)
		return nil
	case reflect.Struct:
		m, ok := v.(map[string]any)
		if !ok {
			return unfit(at, "a map")
		}
		return structProperty(f, m, at)
	case reflect.Map:
		return mapProperty(f, v, at)
	case reflect.Slice:
		return listProperty(f, v, at)
	}
	return scalarProperty(f, v, at)
}

func structProperty(f reflect.Value, m map[string]any, at string) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		member := f.FieldByName(name)
		if !member.IsValid() {
			return awserr.Of(awserr.Validation, "Property %s.%s is not known.", at, name)
		}
		if m[name] == nil {
			continue
		}
		if err := property(member, m[name], at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func mapProperty(f reflect.Value, v any, at string) error {
	m, ok := v.(map[string]any)
	if !ok {
		return unfit(at, "a map")
	}
	out := reflect.MakeMapWithSize(f.Type(), len(m))
	for k, x := range m {
		e := reflect.New(f.Type().Elem()).Elem()
		if err := property(e, x, at+"."+k); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(k).Convert(f.Type().Key()), e)
	}
	f.Set(out)
	return nil
}

func listProperty(f reflect.Value, v any, at string) error {
	if f.Type().Elem().Kind() == reflect.Uint8 {
		f.SetBytes([]byte(fmt.Sprint(v)))
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return unfit(at, "a list")
	}
	out := reflect.MakeSlice(f.Type(), len(list), len(list))
	for i, x := range list {
		if err := property(out.Index(i), x, fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return err
		}
	}
	f.Set(out)
	return nil
}

func scalarProperty(f reflect.Value, v any, at string) error {
	text, ok := scalarText(v)
	if !ok {
		return unfit(at, "a single value")
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(text)
		return nil
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return unfit(at, "true or false")
		}
		f.SetBool(b)
		return nil
	case reflect.Int32, reflect.Int64, reflect.Int:
		n, err := strconv.ParseInt(text, 10, f.Type().Bits())
		if err != nil {
			return unfit(at, "a whole number")
		}
		f.SetInt(n)
		return nil
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return unfit(at, "a number")
		}
		f.SetFloat(n)
		return nil
	}
	return unfit(at, "something else")
}

func scalarText(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case bool:
		return strconv.FormatBool(x), true
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), true
	case json.Number:
		return x.String(), true
	case int, int32, int64:
		return fmt.Sprint(x), true
	}
	return "", false
}
