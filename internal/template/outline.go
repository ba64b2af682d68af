package template

import "github.com/bastide-cloud/bastide/internal/template/tree"

// sections checks the kinds of what the sections beside Resources hold: nothing that a template says
// is dropped because it is written in a form that nobody reads.
func (t *Template) sections() error {
	if f := t.root.Field("Globals"); f != nil && !t.uses(Serverless) {
		return tree.Errorf(f.Pos, "Invalid template property or properties [Globals]")
	}
	if f := t.root.Field("Hooks"); f != nil {
		return tree.Unbuiltf(f.Pos, "The section Hooks is not built.")
	}
	if m := t.root.Get("Metadata"); !m.Absent() && m.Kind != tree.Map {
		return tree.Errorf(m.Pos, "Template format error: Metadata member must be a map.")
	}
	for _, check := range []struct {
		section string
		member  func(tree.Field) error
	}{{"Mappings", mapping}, {"Conditions", t.conditionOutline}, {"Rules", ruleOutline}, {"Outputs", t.outputOutline}} {
		for _, f := range t.root.Get(check.section).Map() {
			if err := check.member(f); err != nil {
				return err
			}
		}
	}
	_, err := t.declarations()
	return err
}

// mapping is two levels of maps that end in scalars or lists of them.
func mapping(f tree.Field) error {
	switch {
	case f.Key == "Fn::Transform":
		return transformRefused(f.Pos, f.Value)
	case !logicalID.MatchString(f.Key):
		return tree.Errorf(f.Pos, "Template format error: Mappings name '%s' is non alphanumeric.", f.Key)
	case !f.Value.Is(tree.Map):
		return tree.Errorf(f.Value.Pos, "Template format error: Every Mappings member %s must be a map", f.Key)
	}
	for _, key := range f.Value.Fields {
		if key.Key == "Fn::Transform" {
			return transformRefused(key.Pos, key.Value)
		}
		if !key.Value.Is(tree.Map) {
			return tree.Errorf(key.Value.Pos, "Template format error: Every Mappings member %s must be a map", key.Key)
		}
		for _, v := range key.Value.Fields {
			for _, it := range append([]*Node{v.Value}, v.Value.List()...) {
				if !it.Scalar() && (it != v.Value || it.Kind != tree.List) {
					return tree.Errorf(it.Pos, "Template format error: Every Mappings attribute must be a String or a List.")
				}
			}
		}
	}
	return nil
}

func (t *Template) conditionOutline(f tree.Field) error {
	if loop(f.Key) && t.loops {
		return nil
	}
	if !logicalID.MatchString(f.Key) {
		return tree.Errorf(f.Pos, "Template format error: Conditions name %s is non alphanumeric.", f.Key)
	}
	if _, _, ok := f.Value.Intrinsic(); !ok && !f.Value.Scalar() {
		return tree.Errorf(f.Value.Pos, "Template format error: Conditions can only be boolean operations on parameters and other conditions")
	}
	return nil
}

func ruleOutline(f tree.Field) error {
	if !f.Value.Is(tree.Map) {
		return tree.Errorf(f.Value.Pos, "Template format error: Every Rules member must be a map.")
	}
	if err := only(f.Value, "Invalid template rule property '%s'", "RuleCondition", "Assertions"); err != nil {
		return err
	}
	list := f.Value.Get("Assertions")
	if !list.Is(tree.List) {
		return tree.Errorf(f.Pos, "Template format error: Rule %s requires a list of Assertions.", f.Key)
	}
	for _, a := range list.Items {
		if !a.Is(tree.Map) || !a.Has("Assert") {
			return tree.Errorf(a.Pos, "Template format error: Every Assertions member of the rule %s must be a map with an Assert.", f.Key)
		}
		if err := only(a, "Invalid template rule property '%s'", "Assert", "AssertDescription"); err != nil {
			return err
		}
		if d := a.Get("AssertDescription"); d != nil && d.Kind != tree.String {
			return tree.Errorf(d.Pos, "Template format error: Every AssertDescription member must be a string.")
		}
	}
	return nil
}

func (t *Template) outputOutline(f tree.Field) error {
	if loop(f.Key) && t.loops {
		return nil
	}
	if f.Key == "Fn::Transform" {
		return transformRefused(f.Pos, f.Value)
	}
	if !logicalID.MatchString(f.Key) {
		return tree.Errorf(f.Pos, "Template format error: Output name %s is non alphanumeric.", f.Key)
	}
	if !f.Value.Is(tree.Map) {
		return tree.Errorf(f.Value.Pos, "Template format error: Every Outputs member must be a map.")
	}
	if err := only(f.Value, "Invalid template output property '%s'", "Description", "Value", "Export", "Condition"); err != nil {
		return err
	}
	if v := f.Value.Get("Value"); v == nil {
		return tree.Errorf(f.Pos, "Template format error: Every Outputs member must contain a Value object.")
	}
	if d := f.Value.Get("Description"); !d.Absent() && !d.Scalar() {
		return tree.Errorf(d.Pos, "Template format error: Every Description member must be a string.")
	}
	x := f.Value.Get("Export")
	if x == nil {
		return nil
	}
	if !x.Has("Name") {
		return tree.Errorf(x.Pos, "Template format error: Output %s is malformed. The Name field of every Export member must be specified.", f.Key)
	}
	return only(x, "Invalid template output property '%s'", "Name")
}

// resourceAttributes checks what stands beside a resource's properties.
func (t *Template) resourceAttributes(f tree.Field) error {
	allowed := []string{"Type", "Properties", "DependsOn", "Condition", "Metadata", "DeletionPolicy", "UpdateReplacePolicy",
		"CreationPolicy", "UpdatePolicy", "Description"}
	if t.macros {
		allowed = append(allowed, "Connectors", "IgnoreGlobals") // read and taken away by the transform
	}
	if err := only(f.Value, "Invalid template resource property '%s'", allowed...); err != nil {
		return err
	}
	for _, key := range []string{"Metadata", "CreationPolicy", "UpdatePolicy"} {
		if n := f.Value.Get(key); !n.Absent() && n.Kind != tree.Map {
			return tree.Errorf(n.Pos, "Template format error: [/Resources/%s/%s] %s must be a map.", f.Key, key, key)
		}
	}
	for _, key := range []string{"Condition", "Description"} {
		if n := f.Value.Get(key); n != nil && n.Kind != tree.String {
			return tree.Errorf(n.Pos, "Template format error: Every %s member must be a string.", key)
		}
	}
	for _, key := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
		n := f.Value.Get(key)
		if _, _, function := n.Intrinsic(); n == nil || function && t.uses(LanguageExtensions) {
			continue
		}
		if err := retention(f.Key, key, n); err != nil {
			return err
		}
	}
	dep := f.Value.Get("DependsOn")
	if dep.Absent() {
		return nil
	}
	for _, d := range append([]*Node{dep}, dep.List()...) {
		if !d.Is(tree.String) && (d != dep || d.Kind != tree.List) {
			return tree.Errorf(d.Pos, "Template format error: Every DependsOn value must be a string.")
		}
	}
	return nil
}

// retention checks a policy on what becomes of a resource that is no longer wanted.
func retention(id, key string, n *Node) error {
	if !n.Is(tree.String) {
		return tree.Errorf(n.Pos, "Template format error: Every %s member must be a string.", key)
	}
	switch n.Text {
	case "Delete", "Retain", "Snapshot":
		return nil
	case "RetainExceptOnCreate":
		if key == "DeletionPolicy" {
			return nil
		}
	}
	return tree.Errorf(n.Pos, "Template format error: Unrecognized %s %s for resource %s", key, n.Text, id)
}

// only refuses the entries of a map that are not among names.
func only(n *Node, message string, names ...string) error {
	for _, f := range n.Map() {
		found := false
		for _, name := range names {
			found = found || name == f.Key
		}
		if !found {
			return tree.Errorf(f.Pos, message, f.Key)
		}
	}
	return nil
}
