package wire

import "reflect"

// Fill copies the members that src has into those of the same name in dst; a member that is absent
// from src leaves dst's as it was. dst is a pointer to a struct of a model, src such a struct or a
// pointer to one. It serves operations whose input, stored form and output share their members.
func Fill(dst, src any) {
	d, s := reflect.ValueOf(dst).Elem(), reflect.Indirect(reflect.ValueOf(src))
	for i := range s.NumField() {
		to, from := d.FieldByName(s.Type().Field(i).Name), s.Field(i)
		if !to.IsValid() || absent(from) {
			continue
		}
		switch {
		case to.Type() == from.Type():
			to.Set(from)
		case from.Kind() == reflect.Pointer && from.Type().Elem() == to.Type():
			to.Set(from.Elem())
		case to.Kind() == reflect.Pointer && to.Type().Elem() == from.Type():
			p := reflect.New(from.Type())
			p.Elem().Set(from)
			to.Set(p)
		}
	}
}

func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return v.IsNil()
	}
	return false
}
