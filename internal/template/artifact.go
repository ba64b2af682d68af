package template

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Artifact is a local file or directory that the template names and that must lie in a bucket
// before the template can be deployed: the code of a function or layer.
type Artifact struct {
	LogicalID, Type, Property string
	// Path is as written, relative to the template's directory.
	Path string
	Pos  Pos
}

// Artifacts lists the local paths, in the template's order. A CodeUri of Globals counts for each
// function that has none of its own.
func (t *Template) Artifacts() []Artifact {
	var out []Artifact
	for _, f := range t.root.Get("Resources").Map() {
		if a, ok := t.artifact(f); ok {
			out = append(out, a)
		}
	}
	return out
}

func (t *Template) artifact(f tree.Field) (Artifact, bool) {
	typ := f.Value.Get("Type")
	if !typ.Is(tree.String) {
		return Artifact{}, false
	}
	property := codeProperty(typ.Text)
	props := f.Value.Get("Properties")
	n := props.Get(property)
	if n == nil && typ.Text == "AWS::Serverless::Function" && !props.Has("InlineCode") {
		n = t.root.Dig("Globals", "Function", "CodeUri")
	}
	if property == "" || !n.Is(tree.String) || !local(n.Text) {
		return Artifact{}, false
	}
	return Artifact{f.Key, typ.Text, property, n.Text, n.Pos}, true
}

func codeProperty(typ string) string {
	switch typ {
	case "AWS::Serverless::Function":
		return "CodeUri"
	case "AWS::Serverless::LayerVersion":
		return "ContentUri"
	case "AWS::Lambda::Function":
		return "Code"
	case "AWS::Lambda::LayerVersion":
		return "Content"
	}
	return ""
}

func local(s string) bool {
	return s != "" && !strings.HasPrefix(s, "s3://") && !strings.Contains(s, "{{resolve:") && !strings.Contains(s, "://")
}

// Package returns the template with each local path replaced by where store has put it. The same
// path is stored once.
func (t *Template) Package(store func(Artifact) (bucket, key string, err error)) (*Template, error) {
	out := &Template{root: t.root.Clone(), transforms: t.transforms}
	type place struct{ bucket, key string }
	done := map[string]place{}
	for _, a := range t.Artifacts() {
		p, ok := done[a.Path]
		if !ok {
			bucket, key, err := store(a)
			if err != nil {
				return nil, err
			}
			p = place{bucket, key}
			done[a.Path] = p
		}
		loc := tree.M("S3Bucket", p.bucket, "S3Key", p.key)
		if strings.HasPrefix(a.Type, "AWS::Serverless::") {
			loc = tree.M("Bucket", p.bucket, "Key", p.key)
		}
		res := out.root.Get("Resources").Get(a.LogicalID)
		props := res.Get("Properties")
		if props.Absent() {
			props = tree.M().At(res.Pos)
			res.Set("Properties", props)
		}
		props.Set(a.Property, loc.At(a.Pos))
	}
	return out, nil
}
