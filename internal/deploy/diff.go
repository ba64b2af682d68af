package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// same compares two resolved values. A number or truth and its text are the same, for that is what
// templates write and parameters give; what is absent is the same as null.
func same(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			return false
		}
		for k := range x {
			if !same(x[k], y[k]) {
				return false
			}
		}
		for k := range y {
			if _, both := x[k]; !both && y[k] != nil {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, same)
	case nil:
		return b == nil
	}
	switch b.(type) {
	case map[string]any, []any, nil:
		return false
	}
	return scalar(a) == scalar(b)
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64: // what JSON makes of every number
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// changed are the properties of the top level that differ, in order.
func changed(before, after map[string]any) []string {
	names := map[string]bool{}
	for _, m := range []map[string]any{before, after} {
		for k := range m {
			names[k] = names[k] || !same(before[k], after[k])
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(k string) bool { return !names[k] })
}

// replaces are the properties whose change makes a new resource, of those that differ.
func (k kind) replaces(before, after map[string]any) []string {
	if k.Update == nil {
		return changed(before, after)
	}
	var out []string
	for _, p := range k.Replace {
		if path := strings.Split(p, "."); !same(dig(before, path), dig(after, path)) {
			out = append(out, path[0])
		}
	}
	return out
}

// dig is the value under a dotted name; through a list, the values of its items.
func dig(v any, path []string) any {
	if len(path) == 0 {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		return dig(v[path[0]], path[1:])
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = dig(x, path)
		}
		return out
	}
	return nil
}
