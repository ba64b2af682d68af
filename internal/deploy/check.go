package deploy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template"
	"github.com/bastide-cloud/bastide/internal/template/sam"
	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// fault is something that the template wants and that is not built, and where.
type fault struct {
	at   template.Pos
	what string
}

// Check finds everything in the graph that could not be deployed: types, properties and attributes
// that are not built, references to services that are not. Nothing has been made when it fails. The
// error is a *tree.Error that lists each with line and column, in one list with what binding the
// template has found already.
func (t Types) Check(g *template.Graph, found ...*tree.Error) error {
	if err := t.attributes(g); err != nil {
		return err
	}
	var faults []fault
	for _, e := range found {
		f := fault{what: strings.TrimSuffix(e.Message, ".")}
		if len(e.At) > 0 {
			f.at = e.At[0]
		}
		faults = append(faults, f)
	}
	for _, m := range g.Unsupported(t.Has) {
		if strings.HasPrefix(m.Type, sam.Placeholder) {
			continue // found
		}
		faults = append(faults, fault{m.Pos, fmt.Sprintf("%s: the type %s is not built", m.LogicalID, m.Type)})
	}
	for _, r := range g.Resources {
		faults = append(faults, t.checkResource(g, r)...)
	}
	for _, block := range []string{"Resources", "Outputs"} {
		dynamic(g.Template().Root().Get(block), func(n *template.Node) {
			faults = append(faults, fault{n.Pos, fmt.Sprintf("the dynamic reference %s is not built", n.Text)})
		})
	}
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b fault) int {
		if a.at.Line != b.at.Line {
			return a.at.Line - b.at.Line
		}
		return a.at.Column - b.at.Column
	})
	var b strings.Builder
	b.WriteString("The template needs what Bastide has not built:")
	e := &tree.Error{Unbuilt: true}
	said := map[fault]bool{}
	for _, f := range faults {
		if said[f] {
			continue // one property may ask for the same of every method
		}
		said[f] = true
		fmt.Fprintf(&b, "\n  %s: %s", f.at, f.what)
	}
	e.Message = b.String()
	return e
}

// attributes refuses a question for an attribute that a type does not have, wherever it stands: else
// it would be found only once the resource is made. What types that are not built have is not known.
func (t Types) attributes(g *template.Graph) error {
	for _, a := range g.Attributes() {
		k, ok := t.byName[a.Type]
		switch {
		case !ok || slices.Contains(k.Attributes, a.Name):
		case a.Waits:
			return tree.Errorf(a.Pos, "Template error: the attribute that Fn::GetAtt asks the resource %s for cannot depend on a resource", a.LogicalID)
		case a.Function == "Fn::Sub":
			return tree.Errorf(a.Pos, "Template error: instance of Fn::Sub references invalid resource attribute %s.%s", a.LogicalID, a.Name)
		default:
			return tree.Errorf(a.Pos, "Template error: resource %s does not support attribute type %s in Fn::GetAtt", a.LogicalID, a.Name)
		}
	}
	return nil
}

func (t Types) checkResource(g *template.Graph, r *template.Resource) []fault {
	var out []fault
	say := func(at template.Pos, format string, args ...any) {
		out = append(out, fault{at, r.LogicalID + ": " + fmt.Sprintf(format, args...)})
	}
	if r.DeletionPolicy == "Snapshot" || r.UpdateReplacePolicy == "Snapshot" {
		say(r.Pos, "the policy Snapshot is not built")
	}
	if r.CreationPolicy != nil {
		say(g.Position(r.LogicalID, "CreationPolicy"), "CreationPolicy is not built")
	}
	if r.UpdatePolicy != nil {
		say(g.Position(r.LogicalID, "UpdatePolicy"), "UpdatePolicy is not built")
	}
	k, ok := t.byName[r.Type]
	if !ok {
		return out
	}
	k.unknown(r.Properties, "", func(at template.Pos, name string) {
		say(at, "the property %s of %s is not built", name, r.Type)
	}, func(at template.Pos, what string) { say(at, "%s", what) })
	if props, ok := r.Properties.Value().(map[string]any); ok && k.Lacks != nil {
		for _, l := range k.Lacks(props) {
			say(place(r, l.Path), "%s", l.What)
		}
	}
	checkMetadata(g, r, k, say)
	return out
}

// place is where the value stands that the keys lead to, or else what it is part of.
func place(r *template.Resource, path []string) template.Pos {
	at, n := r.Pos, r.Properties
	for _, k := range path {
		if items := n.List(); items != nil {
			i, err := strconv.Atoi(k)
			if err != nil || i < 0 || i >= len(items) {
				return at
			}
			n = items[i]
		} else if f := n.Field(k); f != nil {
			if n = f.Value; f.Pos != (template.Pos{}) {
				at = f.Pos
			}
		} else {
			return at
		}
		if n != nil && n.Pos != (template.Pos{}) {
			at = n.Pos
		}
	}
	return at
}

// unknown reports the properties that the type does not list, and the values that it has not built.
func (k kind) unknown(n *template.Node, path string, report, unbuilt func(template.Pos, string)) {
	if name, _, pending := n.Intrinsic(); pending && name != "Condition" { // which is a property here
		return
	}
	if n.Scalar() {
		if what := k.Unbuilt[path][n.Text]; what != "" {
			unbuilt(n.Pos, what)
		}
	}
	for _, it := range n.List() {
		k.unknown(it, path, report, unbuilt)
	}
	for _, f := range n.Map() {
		name := f.Key
		if path != "" {
			name = path + "." + f.Key
		}
		switch {
		case k.inner[name], k.Unbuilt[name] != nil:
			k.unknown(f.Value, name, report, unbuilt)
		case !k.listed[name]:
			report(f.Pos, name)
		}
	}
}

// checkMetadata reads what a template asks of Bastide in a resource's metadata.
func checkMetadata(g *template.Graph, r *template.Resource, k kind, say func(template.Pos, string, ...any)) {
	m, _ := r.Metadata.(map[string]any)
	if m[metadataKey] == nil {
		return
	}
	at := g.Position(r.LogicalID, "Metadata", metadataKey)
	own, ok := m[metadataKey].(map[string]any)
	if !ok {
		say(at, "the metadata Bastide must be a map")
		return
	}
	for name, v := range own {
		list := metadataList(m, name)
		if all, ok := v.([]any); !ok || len(all) != len(list) {
			say(at, "the metadata Bastide.%s must be a list of texts", name)
			continue
		}
		for _, s := range list {
			switch {
			case name == "Acknowledge" && route(s), name == "Egress" && k.Type == functionType && hostPort(s):
			case name == "Egress" && k.Type != functionType:
				say(at, "the metadata Bastide.Egress belongs to a function")
			default:
				say(at, "the metadata Bastide.%s: %q is not understood", name, s)
			}
		}
	}
}

// route reports whether s is "METHOD /path", or "$default".
func route(s string) bool {
	method, path, ok := strings.Cut(s, " ")
	return s == "$default" || ok && method != "" && strings.HasPrefix(path, "/")
}

func hostPort(s string) bool {
	host, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	return ok && host != "" && !strings.ContainsAny(host, " /@") && err == nil && n > 0
}

// dynamic finds the strings that CloudFormation would fetch from another service.
func dynamic(n *template.Node, found func(*template.Node)) {
	if n == nil {
		return
	}
	if n.Is(tree.String) && strings.Contains(n.Text, "{{resolve:") {
		found(n)
	}
	for _, it := range n.List() {
		dynamic(it, found)
	}
	for _, f := range n.Map() {
		dynamic(f.Value, found)
	}
}
