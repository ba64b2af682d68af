package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// shapes writes shapes.go: one struct per structure, with the tags that package plan reads.
func (g *generator) shapes() []byte {
	var body bytes.Buffer
	for _, e := range g.empty {
		fmt.Fprintf(&body, "\n// %s has no members.\ntype %s struct{}\n", e, e)
	}
	for _, a := range g.aliases {
		fmt.Fprintf(&body, "\n// %s is a shape that several operations share.\ntype %s = %s\n", a[0], a[0], a[1])
	}
	for _, name := range g.order {
		g.structure(&body, name)
	}
	var imports []string
	for _, p := range []string{"io", "time", "github.com/bastide-cloud/bastide/internal/wire"} {
		if bytes.Contains(body.Bytes(), []byte(p[strings.LastIndexByte(p, '/')+1:]+".")) {
			imports = append(imports, p)
		}
	}
	return g.file(imports, body.Bytes())
}

func (g *generator) structure(w *bytes.Buffer, name string) {
	s, typ := g.m.Shapes[name], g.names[name]
	if typ == name {
		fmt.Fprintf(w, "\n// %s is a shape of the model.\n", typ)
	} else {
		fmt.Fprintf(w, "\n// %s is the model's %s.\n", typ, name)
	}
	fmt.Fprintf(w, "type %s struct {\n", typ)
	used := map[string]bool{}
	for _, m := range s.Members {
		field := exported(m.Name)
		for used[field] {
			field += "_"
		}
		used[field] = true
		fmt.Fprintf(w, "\t%s %s %s\n", field, g.memberType(s, name, m), quoteTag(g.tag(s, name, m)))
	}
	w.WriteString("}\n")
}

// memberType is the Go type of a structure's member: scalars are pointers unless required.
func (g *generator) memberType(s *shape, owner string, m member) string {
	t := g.goType(m.Shape)
	target := g.m.Shapes[m.Shape]
	switch {
	case g.svc.raw[m.Shape] || target.Document:
		return t
	case target.Type == "blob" && (m.Streaming || target.Streaming):
		if g.inputs[owner] {
			return "io.Reader"
		}
		return "io.ReadCloser"
	case target.EventStream:
		return "*wire.Events[" + t + "]"
	case target.Type == "structure":
		return "*" + t
	case target.Type == "list" || target.Type == "map" || target.Type == "blob" || s.required(m.Name):
		return t
	}
	return "*" + t
}

// goType is the Go type of a shape as an element of a list or map.
func (g *generator) goType(name string) string {
	s := g.m.Shapes[name]
	if g.svc.raw[name] || s.Document {
		return "wire.RawJSON"
	}
	switch s.Type {
	case "structure":
		return g.names[name]
	case "list":
		return "[]" + g.goType(s.Member.Shape)
	case "map":
		return "map[string]" + g.goType(s.Value.Shape)
	case "string", "character":
		return "string"
	case "integer", "short", "byte":
		return "int32"
	case "long", "biginteger":
		return "int64"
	case "float", "double", "bigdecimal":
		return "float64"
	case "boolean":
		return "bool"
	case "timestamp":
		return "time.Time"
	case "blob":
		return "[]byte"
	}
	panic("apigen: shape " + name + " has unknown type " + s.Type)
}

// tag is the struct tag of a member. Keys beginning with "e." describe the elements of a list or
// the values of a map, "k." the keys of a map, and so on inwards.
func (g *generator) tag(s *shape, owner string, m member) []string {
	wireName := m.LocationName
	if wireName == "" {
		wireName = m.Name
	}
	tag := []string{"wire", wireName}
	if wireName != m.Name && m.Location != "headers" {
		tag = append(tag, "name", m.Name)
	}
	switch {
	case m.Location != "":
		tag = append(tag, "in", m.Location)
	case s.Payload == m.Name || m.EventPayload:
		tag = append(tag, "in", "payload")
	}
	target := g.m.Shapes[m.Shape]
	var opt []string
	for name, on := range map[string]bool{
		"required": s.required(m.Name), "flattened": m.Flattened || target.Flattened, "attr": m.XMLAttribute,
		"sensitive": target.Sensitive, "token": m.IdempotencyToken, "jsonvalue": m.JSONValue,
		"hostlabel": m.HostLabel, "text": g.svc.text[owner+"."+m.Name] || g.svc.text[g.names[owner]+"."+m.Name],
	} {
		if on {
			opt = append(opt, name)
		}
	}
	if len(opt) > 0 {
		tag = append(tag, "opt", strings.Join(sorted(opt), ","))
	}
	if ns := m.XMLNamespace; ns != nil {
		tag = append(tag, "ns", ns.URI)
	} else if ns := target.XMLNamespace; ns != nil {
		tag = append(tag, "ns", ns.URI)
		if ns.Prefix != "" {
			tag = append(tag, "nsprefix", ns.Prefix)
		}
	}
	return g.about(tag, "", &m.ref, g.inputs[owner])
}

// about adds what a shape says of its values: format, constraints, names of elements.
func (g *generator) about(tag []string, prefix string, r *ref, constrain bool) []string {
	s := g.m.Shapes[r.Shape]
	add := func(k, v string) { tag = append(tag, prefix+k, v) }
	if prefix != "" && r.LocationName != "" {
		add("wire", r.LocationName)
	}
	if f := r.TimestampFormat; f != "" {
		add("ts", f)
	} else if s.TimestampFormat != "" {
		add("ts", s.TimestampFormat)
	}
	if g.svc.raw[r.Shape] || s.Document {
		return tag
	}
	if constrain {
		if s.Min != nil && s.Min.String() != "0" || s.Min != nil && s.Type != "string" && s.Type != "list" && s.Type != "map" {
			add("min", s.Min.String())
		}
		if s.Max != nil {
			add("max", s.Max.String())
		}
		if p, ok := pattern(s.Pattern); ok {
			add("pattern", p)
		}
		if len(s.Enum) > 0 {
			add("enum", strings.Join(s.Enum, "|"))
		}
	}
	if prefix != "" && s.Sensitive {
		add("opt", "sensitive")
	}
	switch s.Type {
	case "list":
		tag = g.about(tag, prefix+"e.", s.Member, constrain)
	case "map":
		tag = g.about(tag, prefix+"k.", s.Key, constrain)
		tag = g.about(tag, prefix+"e.", s.Value, constrain)
	}
	return tag
}

var javaEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

// pattern is a model's regular expression where Go's engine can run it: Java's \uXXXX written as
// \x{XXXX}. Lookaround and surrogates cannot be had; those patterns are left to the services.
func pattern(p string) (string, bool) {
	if p == "" {
		return "", false
	}
	p = javaEscape.ReplaceAllString(p, `\x{$1}`)
	_, err := regexp.Compile("^(?:" + p + ")$")
	return p, err == nil
}

func quoteTag(kv []string) string {
	var b strings.Builder
	for i := 0; i < len(kv); i += 2 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(kv[i] + ":" + strconv.Quote(kv[i+1]))
	}
	if strings.ContainsRune(b.String(), '`') {
		return strconv.Quote(b.String())
	}
	return "`" + b.String() + "`"
}
