package sam

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// generated is a CloudFormation resource in the making.
type generated struct {
	id, typ string
	depends *Node // DependsOn, nil for none
	attrs   *Node // Condition, DeletionPolicy, UpdateReplacePolicy, UpdatePolicy, Metadata
	props   *Node
}

func (g *generated) node() *Node {
	n := tree.M("Type", g.typ)
	if !g.depends.Empty() {
		n.Set("DependsOn", g.depends.Clone())
	}
	for _, f := range g.attrs.Fields {
		n.Set(f.Key, f.Value.Clone())
	}
	p := g.props.Clone()
	if p == nil {
		p = tree.M()
	}
	n.Set("Properties", p)
	return n
}

// tagged reports whether PropagateTags gives a resource of this type its tags, as a list.
func (g *generated) tagged() bool {
	switch g.typ {
	case "AWS::Lambda::Function", "AWS::IAM::Role", "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::DynamoDB::Table",
		"AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage", "AWS::ApiGateway::UsagePlan", "AWS::ApiGateway::ApiKey":
		return true
	}
	return false
}

// propagate puts tags on all that can carry them; they replace what was there.
func propagate(made []*generated, tags *Node, on bool) {
	if !on || tags.Empty() {
		return
	}
	for _, g := range made {
		if g.tagged() {
			g.props.Set("Tags", tagList(tags))
		} else if g.typ == "AWS::ApiGatewayV2::Stage" {
			g.props.Set("Tags", tags.Clone())
		}
	}
}

// tagList turns SAM's map of tags into CloudFormation's list.
func tagList(tags *Node) *Node {
	out := tree.L()
	if tags == nil {
		return out
	}
	for _, f := range tags.Fields {
		v := f.Value.Clone()
		if v.Absent() {
			v = tree.Str("")
		}
		out.Add(tree.M("Key", f.Key, "Value", v))
	}
	return out
}

// Functions of the template language.

func ref(id string) *Node { return tree.M("Ref", id) }

func getAtt(id, attr string) *Node { return tree.M("Fn::GetAtt", tree.Strs(id, attr)) }

func sub(text string, vars *Node) *Node {
	if vars == nil {
		return tree.M("Fn::Sub", text)
	}
	return tree.M("Fn::Sub", tree.L(tree.Str(text), vars))
}

func ifElse(condition string, yes, no *Node) *Node {
	if no == nil {
		no = ref("AWS::NoValue")
	}
	return tree.M("Fn::If", tree.L(tree.Str(condition), yes, no))
}

func isIntrinsic(n *Node) bool { _, _, ok := n.Intrinsic(); return ok }

// isIf reports an Fn::If and its three parts.
func isIf(n *Node) ([]*Node, bool) {
	name, arg, ok := n.Intrinsic()
	if !ok || name != "Fn::If" || !arg.Is(tree.List) || len(arg.Items) != 3 {
		return nil, false
	}
	return arg.Items, true
}

// shorthand is ${id} or ${id.Attr} for a Ref or Fn::GetAtt.
func shorthand(n *Node) string {
	if r := n.Get("Ref"); r != nil {
		return "${" + r.Text + "}"
	}
	var parts []string
	for _, it := range n.Get("Fn::GetAtt").Items {
		parts = append(parts, it.Text)
	}
	return "${" + strings.Join(parts, ".") + "}"
}

// digest is the first ten hex digits of SHA-1, which SAM appends to names so that a change of the
// data makes a new resource. It protects nothing.
func digest(data string) string {
	if data == "" {
		return ""
	}
	h := sha1.Sum([]byte(data))
	return hex.EncodeToString(h[:])[:10]
}

// digestNode hashes a value: a string as it is, anything else as canonical JSON.
func digestNode(n *Node) string {
	if n.Is(tree.String) {
		return digest(n.Text)
	}
	return digest(n.Canonical())
}

func alphanumeric(s string) bool {
	for _, r := range s {
		if !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return false
		}
	}
	return s != ""
}
