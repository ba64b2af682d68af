package template

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Lookup answers for a resource that was already created: its physical id (what Ref yields) and
// its attributes (what Fn::GetAtt yields). ok is false when it does not exist yet.
type Lookup func(logicalID string) (physicalID string, attr func(name string) (any, bool), ok bool)

// evaluator resolves functions. Without a lookup it leaves those that wait for a resource as they
// are: the tree that remains is what a resource depends on.
type evaluator struct {
	g   *Graph
	got Lookup
	// block names the section for messages; missing collects what it refers to and is not there.
	block   string
	missing []string
	at      []Pos
}

// result is an evaluated value; a nil node is AWS::NoValue. pending means that a function in it
// waits for a resource.
type result struct {
	node    *Node
	pending bool
}

func (e *evaluator) eval(n *Node) (result, error) {
	if n == nil {
		return result{}, nil
	}
	switch n.Kind {
	case tree.List:
		return e.list(n)
	case tree.Map:
		if name, arg, ok := n.Intrinsic(); ok && name != "Condition" {
			return e.call(name, arg, n)
		}
		return e.fields(n)
	}
	return result{node: n}, nil
}

func (e *evaluator) list(n *Node) (result, error) {
	out := result{node: &Node{Kind: tree.List, Pos: n.Pos}}
	for _, it := range n.Items {
		r, err := e.eval(it)
		if err != nil {
			return out, err
		}
		if r.node != nil {
			out.node.Items = append(out.node.Items, r.node)
		}
		out.pending = out.pending || r.pending
	}
	return out, nil
}

func (e *evaluator) fields(n *Node) (result, error) {
	out := result{node: &Node{Kind: tree.Map, Pos: n.Pos}}
	for _, f := range n.Fields {
		r, err := e.eval(f.Value)
		if err != nil {
			return out, err
		}
		if r.node != nil {
			out.node.Fields = append(out.node.Fields, tree.Field{Key: f.Key, Pos: f.Pos, Value: r.node})
		}
		out.pending = out.pending || r.pending
	}
	return out, nil
}

const functions = "[Fn::Base64, Fn::GetAtt, Fn::GetAZs, Fn::ImportValue, Fn::Join, Fn::Split, Fn::FindInMap, Fn::Select, Ref, " +
	"Fn::Equals, Fn::If, Fn::Not, Condition, Fn::And, Fn::Or, Fn::Contains, Fn::EachMemberEquals, Fn::EachMemberIn, " +
	"Fn::ValueOf, Fn::ValueOfAll, Fn::RefAll, Fn::Sub, Fn::Cidr]"

func (e *evaluator) call(name string, arg, n *Node) (result, error) {
	switch name {
	case "Ref":
		return e.ref(arg, n)
	case "Fn::GetAtt":
		return e.getAtt(arg, n)
	case "Fn::Sub":
		return e.sub(arg, n)
	case "Fn::If":
		return e.ifElse(arg)
	case "Fn::Join":
		return e.join(arg, n)
	case "Fn::Select":
		return e.choose(arg, n)
	case "Fn::Split":
		return e.split(arg, n)
	case "Fn::FindInMap":
		return e.findInMap(arg, n)
	case "Fn::Base64":
		return e.base64(arg, n)
	case "Fn::Cidr":
		return e.cidr(arg, n)
	case "Fn::GetAZs":
		return e.zones(arg, n)
	case "Fn::ImportValue":
		return e.importValue(arg, n)
	case "Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals":
		v, err := e.g.test(n, e)
		return result{node: at(tree.Truth(v), n.Pos)}, err
	case "Fn::Transform":
		return result{}, transformRefused(n.Pos, arg)
	case "Fn::Length", "Fn::ToJsonString":
		if e.g.t.uses(LanguageExtensions) {
			return e.extension(name, arg, n)
		}
	}
	return result{}, tree.Errorf(n.Pos, "Template error: Encountered unsupported function: %s Supported functions are: %s", name, functions)
}

// wait is a function whose argument holds a reference to a resource that is not there yet. The
// argument stays as evaluated so far.
func (e *evaluator) wait(name string, arg, n *Node) (result, error) {
	if e.got != nil {
		return result{}, tree.Errorf(n.Pos, "Template error: %s needs a resource that does not exist yet", name)
	}
	return result{node: at(tree.M(name, arg), n.Pos), pending: true}, nil
}

func at(n *Node, p Pos) *Node { return n.At(p) }

func (e *evaluator) ref(arg, n *Node) (result, error) {
	if !arg.Is(tree.String) {
		return result{}, tree.Errorf(n.Pos, "Template error: every Ref object must have a single String value.")
	}
	if arg.Text == "AWS::NoValue" {
		return result{}, nil
	}
	if v, ok := e.g.constant(arg.Text); ok {
		return result{node: at(v.Clone(), n.Pos)}, nil
	}
	id, pending, err := e.resource(arg.Text, "", n)
	if err != nil || pending {
		return result{node: n, pending: true}, err
	}
	return result{node: at(id, n.Pos)}, nil
}

// resource is the physical id, or an attribute, of a resource.
func (e *evaluator) resource(id, attr string, n *Node) (v *Node, pending bool, err error) {
	if !e.g.alive[id] {
		e.missing, e.at = append(e.missing, id), append(e.at, n.Pos)
		return nil, true, nil
	}
	if e.got == nil {
		return nil, true, nil
	}
	phys, attrs, ok := e.got(id)
	if !ok {
		return nil, true, tree.Errorf(n.Pos, "Template error: the resource %s does not exist yet", id)
	}
	if attr == "" {
		return tree.Str(phys), false, nil
	}
	val, ok := attrs(attr)
	if !ok {
		return nil, true, tree.Errorf(n.Pos, "Template error: resource %s does not support attribute type %s in Fn::GetAtt", id, attr)
	}
	v, err = tree.FromValue(val)
	return v, false, err
}

func (e *evaluator) getAtt(arg, n *Node) (result, error) {
	id, attr, pending, err := e.attribute(arg, n)
	if err != nil {
		return result{}, err
	}
	if pending {
		return e.wait("Fn::GetAtt", arg, n)
	}
	v, pending, err := e.resource(id, attr, n)
	if err != nil || pending {
		return result{node: n, pending: true}, err
	}
	return result{node: at(v, n.Pos)}, nil
}

// attribute reads the two forms of Fn::GetAtt's argument: "Id.Attr" and [Id, Attr, …].
func (e *evaluator) attribute(arg, n *Node) (id, attr string, pending bool, err error) {
	bad := tree.Errorf(n.Pos, "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
	if arg.Is(tree.String) {
		id, attr, _ = strings.Cut(arg.Text, ".")
	} else if arg.Is(tree.List) && len(arg.Items) >= 2 && arg.Items[0].Is(tree.String) {
		id = arg.Items[0].Text
		var parts []string
		for _, it := range arg.Items[1:] {
			r, err := e.eval(it)
			if err != nil || r.pending {
				return id, "", r.pending, err
			}
			if !r.node.Scalar() {
				return "", "", false, bad
			}
			parts = append(parts, r.node.Text)
		}
		attr = strings.Join(parts, ".")
	}
	if id == "" || attr == "" {
		return "", "", false, bad
	}
	return id, attr, false, nil
}

func (e *evaluator) ifElse(arg *Node) (result, error) {
	if !arg.Is(tree.List) || len(arg.Items) != 3 || !arg.Items[0].Is(tree.String) {
		return result{}, tree.Errorf(arg.Pos, "Template error: Fn::If requires a list argument with three elements: a condition, a value if true and a value if false")
	}
	ok, err := e.g.condition(arg.Items[0].Text, arg.Items[0].Pos)
	if err != nil {
		return result{}, err
	}
	if ok {
		return e.eval(arg.Items[1])
	}
	return e.eval(arg.Items[2])
}
