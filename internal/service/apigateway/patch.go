package apigateway

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// patch applies operations to a struct of the model: the first part of a path is a member by its
// wire name, the second a key of a map or a value of a list; "~1" stands for a slash. Only the
// allowed members may be touched.
func patch(dst any, allowed []string, ops []rest.PatchOperation) error {
	v := reflect.ValueOf(dst).Elem()
	for _, op := range ops {
		parts := strings.Split(strings.TrimPrefix(wire.Val(op.Path), "/"), "/")
		for i, p := range parts {
			parts[i] = unescape(p)
		}
		f := memberOf(v, parts[0])
		if !f.IsValid() || !slices.Contains(allowed, parts[0]) || len(parts) > 2 {
			return bad("Invalid patch path '%s' specified for op '%s'. Must be one of: [%s]", wire.Val(op.Path), wire.Val(op.Op), strings.Join(allowed, ", "))
		}
		switch kind := wire.Val(op.Op); kind {
		case "add", "replace", "remove":
		default:
			return bad("Invalid patch operation specified. Must be one of: [add, remove, replace]")
		}
		if err := patchMember(f, parts[1:], op); err != nil {
			return err
		}
	}
	return nil
}

func unescape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
}

func memberOf(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("wire") == name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func patchMember(f reflect.Value, rest []string, op rest.PatchOperation) error {
	remove := wire.Val(op.Op) == "remove"
	value := wire.Val(op.Value)
	switch f.Kind() {
	case reflect.Map:
		if len(rest) != 1 {
			return bad("Invalid patch path '%s': a key is wanted", wire.Val(op.Path))
		}
		return patchMap(f, rest[0], value, remove)
	case reflect.Slice:
		if len(rest) == 1 && wire.Val(op.Op) != "replace" {
			value = rest[0]
		}
		return patchList(f, rest, value, wire.Val(op.Op))
	}
	if len(rest) != 0 {
		return bad("Invalid patch path '%s'", wire.Val(op.Path))
	}
	if remove {
		f.SetZero()
		return nil
	}
	return scalar(f, value)
}

func patchMap(f reflect.Value, key, value string, remove bool) error {
	out := reflect.MakeMap(f.Type()) // the old one may be shared with a deployment
	for it := f.MapRange(); it.Next(); {
		out.SetMapIndex(it.Key(), it.Value())
	}
	k := reflect.ValueOf(key)
	if remove {
		out.SetMapIndex(k, reflect.Value{})
	} else {
		e := reflect.New(f.Type().Elem()).Elem()
		if err := scalar(e, value); err != nil {
			return err
		}
		out.SetMapIndex(k, e)
	}
	if out.Len() == 0 {
		out = reflect.Zero(f.Type())
	}
	f.Set(out)
	return nil
}

func patchList(f reflect.Value, rest []string, value, op string) error {
	list, ok := f.Interface().([]string)
	if !ok {
		return bad("This list cannot be patched")
	}
	list = slices.Clone(list)
	i := slices.Index(list, value)
	switch {
	case op == "remove" && i >= 0:
		list = slices.Delete(list, i, i+1)
	case op == "remove" && len(rest) == 0:
		list = nil
	case op == "remove":
		return missing("value", value)
	case op == "replace" && len(rest) == 1:
		if i := slices.Index(list, rest[0]); i >= 0 {
			list[i] = value
		} else {
			return missing("value", rest[0])
		}
	case i < 0:
		list = append(list, value)
	}
	if len(list) == 0 {
		list = nil
	}
	f.Set(reflect.ValueOf(list))
	return nil
}

// scalar sets a single member from text.
func scalar(f reflect.Value, text string) error {
	if f.Kind() == reflect.Pointer {
		if text == "" && f.Type().Elem().Kind() == reflect.String { // no text is none
			f.SetZero()
			return nil
		}
		p := reflect.New(f.Type().Elem())
		if err := scalar(p.Elem(), text); err != nil {
			return err
		}
		f.Set(p)
		return nil
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return bad("Invalid patch value '%s': must be true or false", text)
		}
		f.SetBool(b)
	case reflect.Int32:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return bad("Invalid patch value '%s': must be a number", text)
		}
		f.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return bad("Invalid patch value '%s': must be a number", text)
		}
		f.SetFloat(n)
	default:
		return bad("This member cannot be patched")
	}
	return nil
}
