// Package template reads CloudFormation and SAM templates and turns them into the graph of
// resources that a deployment creates.
//
// A Template is what was written; Bind puts in what one stack gives (parameters, account, region,
// imports) and yields a Graph: resources in the order in which they can be created, each knowing
// what it needs and where it was written.
//
//	t, err := template.Parse(src)
//	g, err := t.Bind(template.Inputs{Account: "123456789012", Region: "eu-west-1", StackName: "tasks"})
//	for _, r := range g.Resources {
//		props, err := g.Properties(r.LogicalID, created) // all functions resolved
//	}
//
// The package is pure: it reads no file and makes no call. Errors are worded as CloudFormation
// words them, with line and column besides (tree.Error). What is not built (macros, nested
// transforms, SSM parameters, SAM's other resources and events) is refused by name and position,
// never passed over. Source: AWS CloudFormation User Guide, "Template reference".
package template

import (
	"regexp"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Pos is a line and column of the template, from 1.
type Pos = tree.Pos

// Node is a value of the template with its place.
type Node = tree.Node

// The transforms that are built.
const (
	Serverless         = "AWS::Serverless-2016-10-31"
	LanguageExtensions = "AWS::LanguageExtensions"
)

// Limits of a template, CloudFormation's own.
const (
	maxResources  = 500
	maxParameters = 200
	maxMappings   = 200
	maxOutputs    = 200
)

// Template is a parsed template. It is not changed after Parse.
type Template struct {
	root       *Node
	transforms []string
	loops      bool // LanguageExtensions is to come: Fn::ForEach may stand in it
	macros     bool // Serverless is to come: what that reads may stand in it
}

var logicalID = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// Parse reads a template in YAML or JSON and checks its outline: known sections, resources with
// types, alphanumeric names, limits. Errors are of type *tree.Error.
func Parse(src []byte) (*Template, error) {
	root, err := tree.Parse(src)
	if err != nil {
		return nil, err
	}
	t := &Template{root: root}
	if err := t.outline(); err != nil {
		return nil, err
	}
	return t, nil
}

// Description is the template's own text.
func (t *Template) Description() string {
	if d := t.root.Get("Description"); d.Is(tree.String) {
		return d.Text
	}
	return ""
}

// Transforms lists the macros that the template asks for.
func (t *Template) Transforms() []string { return t.transforms }

// Metadata is the template's Metadata section, nil when there is none.
func (t *Template) Metadata() any { return t.root.Get("Metadata").Value() }

// Root is the template as a tree; the caller must not change it.
func (t *Template) Root() *Node { return t.root }

// JSON renders the template, as GetTemplate returns a processed one.
func (t *Template) JSON() string { return t.root.JSON("  ") }

func (t *Template) outline() error {
	for _, f := range t.root.Fields {
		switch f.Key {
		case "Fn::Transform":
			return transformRefused(f.Pos, f.Value)
		case "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions",
			"Resources", "Outputs", "Transform", "Rules", "Hooks", "Globals":
		default:
			return tree.Errorf(f.Pos, "Invalid template property or properties [%s]", f.Key)
		}
	}
	if v := t.root.Get("AWSTemplateFormatVersion"); v != nil && !v.IsString("2010-09-09") {
		return tree.Errorf(v.Pos, "Template format error: %s is not a supported value for AWSTemplateFormatVersion.", text(v))
	}
	if d := t.root.Get("Description"); d != nil && d.Kind != tree.String {
		return tree.Errorf(d.Pos, "Template format error: Description member must be a string.")
	}
	if err := t.readTransforms(); err != nil {
		return err
	}
	t.loops, t.macros = t.uses(LanguageExtensions), t.uses(Serverless)
	for _, s := range []struct {
		name string
		max  int
	}{{"Parameters", maxParameters}, {"Mappings", maxMappings}, {"Conditions", maxResources}, {"Rules", maxResources}, {"Outputs", maxOutputs}, {"Resources", maxResources}} {
		if err := t.section(s.name, s.max); err != nil {
			return err
		}
	}
	if err := t.sections(); err != nil {
		return err
	}
	return t.resourceOutline()
}

func (t *Template) section(name string, max int) error {
	n := t.root.Get(name)
	if n.Absent() {
		t.root.Delete(name)
		return nil
	}
	if n.Kind != tree.Map {
		return tree.Errorf(n.Pos, "Template format error: %s member must be a map.", name)
	}
	if len(n.Fields) > max {
		return tree.Errorf(n.Pos, "Template format error: Number of %s, %d, is greater than maximum allowed, %d", lower(name), len(n.Fields), max)
	}
	return nil
}

func (t *Template) readTransforms() error {
	tr := t.root.Get("Transform")
	if tr == nil {
		return nil
	}
	list := []*Node{tr}
	if tr.Kind == tree.List {
		list = tr.Items
	}
	for _, n := range list {
		switch {
		case n.IsString(Serverless), n.IsString(LanguageExtensions):
			t.transforms = append(t.transforms, n.Text)
		case n.Is(tree.String):
			return tree.Unbuiltf(n.Pos, "The transform %s is not built; built are %s and %s.", n.Text, Serverless, LanguageExtensions)
		case n.Get("Name").Is(tree.String):
			return tree.Unbuiltf(n.Pos, "The transform %s is not built; built are %s and %s.", n.Get("Name").Text, Serverless, LanguageExtensions)
		default:
			return tree.Errorf(n.Pos, "Template format error: Transform member must be a string or a list of strings.")
		}
	}
	return nil
}

// resourceOutline promises to all that comes after that every entry of Resources is a map with a
// Type, but for the loops that are still to be expanded.
func (t *Template) resourceOutline() error {
	res := t.root.Get("Resources")
	if res == nil || len(res.Fields) == 0 {
		return tree.Errorf(t.root.Pos, "Template format error: At least one Resources member must be defined.")
	}
	for _, f := range res.Fields {
		if loop(f.Key) && t.loops {
			continue
		}
		if loop(f.Key) {
			return tree.Errorf(f.Pos, "Template format error: Resource name %s is non alphanumeric. (Fn::ForEach needs the transform %s.)", f.Key, LanguageExtensions)
		}
		if f.Key == "Fn::Transform" {
			return transformRefused(f.Pos, f.Value)
		}
		if !logicalID.MatchString(f.Key) {
			return tree.Errorf(f.Pos, "Template format error: Resource name %s is non alphanumeric.", f.Key)
		}
		if f.Value.Kind != tree.Map {
			return tree.Errorf(f.Value.Pos, "Template format error: [/Resources/%s] resource definition is malformed", f.Key)
		}
		if typ := f.Value.Get("Type"); !typ.Is(tree.String) || typ.Text == "" {
			return tree.Errorf(f.Pos, "Template format error: [/Resources/%s] Every Resources object must contain a Type member.", f.Key)
		}
		if p := f.Value.Get("Properties"); !p.Absent() && p.Kind != tree.Map {
			return tree.Errorf(p.Pos, "Template format error: [/Resources/%s/Properties] Properties must be a map.", f.Key)
		}
		if err := t.resourceAttributes(f); err != nil {
			return err
		}
	}
	return nil
}

func (t *Template) uses(transform string) bool {
	for _, n := range t.transforms {
		if n == transform {
			return true
		}
	}
	return false
}

func transformRefused(p Pos, arg *Node) error {
	name := "(unnamed)"
	if n := arg.Get("Name"); n.Is(tree.String) {
		name = n.Text
	}
	return tree.Unbuiltf(p, "Fn::Transform with the macro %s is not built.", name)
}

func lower(section string) string { return string(section[0]|0x20) + section[1:] }

// text is a scalar as the string that CloudFormation makes of it.
func text(n *Node) string {
	if n.Scalar() {
		return n.Text
	}
	return n.JSON("")
}
