package wire

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
)

// Path is the operation's path for an input, without a query, and the labels that stand in it, by
// their names on the wire. API Gateway's policies name resources so.
func (op *Operation) Path(in any) (path string, labels map[string]string) {
	path, _, _ = strings.Cut(op.URI, "?")
	labels = map[string]string{}
	v := reflect.ValueOf(in).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("in") != "uri" {
			continue
		}
		name, value := f.Tag.Get("wire"), fmt.Sprint(v.Field(i).Interface())
		labels[name] = value
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	return path, labels
}
