package template

import (
	"sort"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Inputs is what a stack gives to a template.
type Inputs struct {
	Parameters map[string]string // by name; a list as comma-separated text
	Account    string            // 12 digits
	Region     string
	Partition  string // "aws" when empty
	StackName  string
	StackID    string
	// NotificationARNs is the value of the pseudo parameter.
	NotificationARNs []string
	// Imports finds the value of another stack's export; nil means that there are none.
	Imports func(name string) (value string, ok bool)
	// AZs are the zones of Region; the region with a, b and c when empty.
	AZs []string
	// Load reads a file that the template names (a DefinitionUri that is a local path); nil refuses.
	Load func(path string) ([]byte, error)
}

// Graph is a template with a stack's inputs: what there is to create, and in which order.
type Graph struct {
	// Resources in dependency order: each comes after all that it depends on. Resources whose
	// condition is false are not in it.
	Resources  []*Resource
	Outputs    []Output
	Conditions map[string]bool
	Parameters []Parameter

	t        *Template
	in       Inputs
	values   map[string]*Node // parameters and pseudo parameters
	alive    map[string]bool  // resources that will exist
	byID     map[string]*Resource
	testing  map[string]bool
	imported map[string]bool
}

// Output is one output of the stack, not yet evaluated.
type Output struct {
	Name, Description string
	Pos               Pos
	value, export     *Node
}

// Bind transforms the template as it asks for (Template.Transform), checks every reference and
// evaluates what does not wait for a resource. Errors are of type *tree.Error, or tree.Errors for
// several found at once. Where something is not built the error says all of it, and the graph that
// comes back beside it, if what is left could be bound, holds the rest: whoever knows which resources
// are built can then say everything at once.
func (t *Template) Bind(in Inputs) (*Graph, error) {
	done, err := t.Transform(in)
	if done == nil {
		return nil, err
	}
	missing := unbuilt(err)
	if err != nil && len(missing) == 0 {
		return nil, err
	}
	g, err := done.bind(in)
	if g != nil {
		for _, p := range g.Parameters {
			if p.unbuilt != nil {
				missing = append(missing, p.unbuilt)
			}
		}
	}
	if len(missing) > 0 {
		return g, &tree.Error{Message: "The template uses what is not built.", Unbuilt: true, Causes: missing}
	}
	return g, err
}

// unbuilt are the single things that an error says are not built.
func unbuilt(err error) []*tree.Error {
	e, ok := err.(*tree.Error)
	switch {
	case !ok || !e.Unbuilt:
		return nil
	case len(e.Causes) > 0:
		return e.Causes
	}
	return []*tree.Error{e}
}

func (done *Template) bind(in Inputs) (*Graph, error) {
	params, err := done.bindParameters(in.Parameters)
	if err != nil {
		return nil, err
	}
	g := &Graph{t: done, in: in, Parameters: params, values: in.pseudo(), Conditions: map[string]bool{}, alive: map[string]bool{},
		byID: map[string]*Resource{}, testing: map[string]bool{}, imported: map[string]bool{}}
	for _, p := range params {
		g.values[p.Name] = p.Value
	}
	for _, step := range []func() error{g.checkReferences, g.evaluateConditions, g.checkRules, g.readResources, g.connect, g.readOutputs, g.order} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// CheckReferences refuses names that nothing in the template defines, as far as that can be told
// without a stack: what a transform will define is not known, so a template with one is not checked.
func (t *Template) CheckReferences() error {
	if len(t.Transforms()) > 0 {
		return nil
	}
	params, err := t.Parameters()
	if err != nil {
		return err
	}
	g := &Graph{t: t, values: Inputs{}.pseudo()}
	for _, p := range params {
		g.values[p.Name] = tree.Str("")
	}
	return g.checkReferences()
}

// Template is the processed template: transformed, with the functions still in it.
func (g *Graph) Template() *Template { return g.t }

// Imported lists the exports of other stacks that the graph uses so far, in order.
func (g *Graph) Imported() []string {
	var out []string
	for n := range g.imported {
		out = append(out, n)
	}
	return sorted(out)
}

func sorted(s []string) []string { sort.Strings(s); return s }

func (in Inputs) partition() string {
	switch {
	case in.Partition != "":
		return in.Partition
	case strings.HasPrefix(in.Region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(in.Region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

func (in Inputs) pseudo() map[string]*Node {
	suffix := "amazonaws.com"
	if in.partition() == "aws-cn" {
		suffix += ".cn"
	}
	return map[string]*Node{
		"AWS::AccountId":        tree.Str(in.Account),
		"AWS::Region":           tree.Str(in.Region),
		"AWS::Partition":        tree.Str(in.partition()),
		"AWS::URLSuffix":        tree.Str(suffix),
		"AWS::StackId":          tree.Str(in.StackID),
		"AWS::StackName":        tree.Str(in.StackName),
		"AWS::NotificationARNs": tree.Strs(in.NotificationARNs...),
	}
}

// constant is the value of a parameter or pseudo parameter.
func (g *Graph) constant(name string) (*Node, bool) {
	v, ok := g.values[name]
	return v, ok
}

// checkReferences refuses names that nothing defines, wherever they stand: also in the branch of
// an Fn::If that is not taken, as CloudFormation does.
func (g *Graph) checkReferences() error {
	res := g.t.root.Get("Resources")
	for _, block := range []string{"Conditions", "Rules", "Resources", "Outputs"} {
		var missing []string
		var places []Pos
		var first error
		walkRefs(g.t.root.Get(block), func(r reference) {
			if first != nil {
				return
			}
			if r.fn == "Fn::If" {
				if !g.t.root.Get("Conditions").Has(r.name) {
					first = tree.Errorf(r.pos, "Template error: unresolved condition dependency %s in Fn::If", r.name)
				}
				return
			}
			if _, ok := g.values[r.name]; ok || r.name == "AWS::NoValue" {
				if r.fn != "Fn::GetAtt" && r.attr == "" {
					return
				}
			} else if block != "Conditions" && block != "Rules" && res.Has(r.name) {
				return
			}
			switch {
			case block == "Conditions" || block == "Rules" || r.fn == "Ref" || r.fn == "Fn::Sub" && r.attr == "":
				missing, places = append(missing, r.name), append(places, r.pos)
			case r.fn == "Fn::GetAtt":
				first = tree.Errorf(r.pos, "Template error: instance of Fn::GetAtt references undefined resource %s", r.name)
			default:
				first = tree.Errorf(r.pos, "Template error: instance of Fn::Sub references invalid resource attribute %s.%s", r.name, r.attr)
			}
		})
		if first != nil {
			return first
		}
		if block == "Resources" {
			for _, f := range res.Map() {
				dep := f.Value.Get("DependsOn")
				for _, d := range append([]*Node{dep}, dep.List()...) {
					if d.Is(tree.String) && !res.Has(d.Text) {
						missing, places = append(missing, d.Text), append(places, d.Pos)
					}
				}
			}
		}
		if err := unresolved(block, missing, places); err != nil {
			return err
		}
	}
	return nil
}

func unresolved(block string, missing []string, at []Pos) error {
	if len(missing) == 0 {
		return nil
	}
	var names []string
	seen := map[string]bool{}
	for _, m := range missing {
		if !seen[m] {
			seen[m] = true
			names = append(names, m)
		}
	}
	e := &tree.Error{Message: "Template format error: Unresolved resource dependencies [" + strings.Join(names, ", ") + "] in the " + block + " block of the template", At: at}
	if block == "Conditions" {
		e.Message = "Template format error: Unresolved dependencies [" + strings.Join(names, ", ") + "]. Cannot reference resources in the Conditions block of the template"
	}
	return e
}

func (g *Graph) evaluateConditions() error {
	sec := g.t.root.Get("Conditions")
	if sec == nil {
		return nil
	}
	for _, f := range sec.Fields {
		if _, err := g.condition(f.Key, f.Pos); err != nil {
			return err
		}
	}
	return nil
}

// enabled reads the Condition of a resource or output.
func (g *Graph) enabled(n *Node) (string, bool, error) {
	c := n.Get("Condition")
	if c == nil {
		return "", true, nil
	}
	if !c.Is(tree.String) {
		return "", false, tree.Errorf(c.Pos, "Template format error: Every Condition member must be a string.")
	}
	if !g.t.root.Get("Conditions").Has(c.Text) {
		return "", false, tree.Errorf(c.Pos, "Template format error: Condition %s is not defined.", c.Text)
	}
	v, err := g.condition(c.Text, c.Pos)
	return c.Text, v, err
}

func (g *Graph) readOutputs() error {
	sec := g.t.root.Get("Outputs")
	if sec == nil {
		return nil
	}
	e := &evaluator{g: g, block: "Outputs"}
	for _, f := range sec.Fields {
		value := f.Value.Get("Value")
		_, on, err := g.enabled(f.Value)
		if err != nil {
			return err
		}
		if !on {
			continue
		}
		o := Output{Name: f.Key, Pos: f.Pos, value: value}
		if d := f.Value.Get("Description"); d.Scalar() {
			o.Description = d.Text
		}
		if x := f.Value.Get("Export"); x != nil {
			o.export = x.Get("Name")
			if err := e.output(f.Key, "Name", o.export); err != nil {
				return err
			}
		}
		if err := e.output(f.Key, "Value", value); err != nil {
			return err
		}
		g.Outputs = append(g.Outputs, o)
	}
	return unresolved("Outputs", e.missing, e.at)
}

// output evaluates what an output says, which is text, or a function that waits for a resource and
// may yet yield it.
func (e *evaluator) output(name, field string, n *Node) error {
	v, err := e.eval(n)
	if err != nil || v.node.Scalar() {
		return err
	}
	fn, _, function := v.node.Intrinsic()
	if !v.pending || !function || fn == "Fn::Split" || fn == "Fn::Cidr" {
		return tree.Errorf(n.Pos, "Template format error: Output %s is malformed. The %s field of every Outputs member must evaluate to a String.", name, field)
	}
	return nil
}
