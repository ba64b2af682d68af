package cloudformation

import (
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/template"
	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// iamTypes are those that a caller must acknowledge; the value is the property that names one.
func iamTypes() map[string]string {
	return map[string]string{"AWS::IAM::AccessKey": "", "AWS::IAM::Group": "GroupName", "AWS::IAM::InstanceProfile": "InstanceProfileName",
		"AWS::IAM::ManagedPolicy": "ManagedPolicyName", "AWS::IAM::Policy": "", "AWS::IAM::Role": "RoleName", "AWS::IAM::User": "UserName",
		"AWS::IAM::UserToGroupAddition": ""}
}

// powers gathers what must be acknowledged.
type powers struct {
	types []string // of IAM's, each once
	named bool     // one of them is given a name
}

// take adds a resource; names reports whether its properties hold one.
func (p *powers) take(typ string, names func(property string) bool) {
	property, ok := iamTypes()[typ]
	if !ok {
		return
	}
	if !slices.Contains(p.types, typ) {
		p.types = append(p.types, typ)
	}
	p.named = p.named || property != "" && names(property)
}

// needs is the capability that covers them.
func (p *powers) needs() []string {
	switch {
	case p.named:
		return []string{"CAPABILITY_NAMED_IAM"}
	case len(p.types) > 0:
		return []string{"CAPABILITY_IAM"}
	}
	return nil
}

// declaredPowers are those that a template may have under some parameters: nothing is evaluated, so
// that both branches of every Fn::If and the bodies of loops count.
func declaredPowers(t *template.Template) powers {
	var p powers
	var walk func(n *template.Node)
	walk = func(n *template.Node) {
		for _, f := range n.Map() {
			if strings.HasPrefix(f.Key, "Fn::ForEach::") {
				if parts := f.Value.List(); len(parts) == 3 {
					walk(parts[2])
				}
				continue
			}
			if typ := f.Value.Get("Type"); typ.Is(tree.String) {
				p.take(typ.Text, func(property string) bool { return mayName(f.Value.Get("Properties"), property) })
			}
		}
	}
	walk(t.Root().Get("Resources"))
	return p
}

// mayName reports whether properties may hold one of that name: in a function that yields them,
// anywhere.
func mayName(properties *template.Node, property string) bool {
	if n := properties.Get(property); !n.Absent() {
		return !n.NoValue()
	}
	_, arg, function := properties.Intrinsic()
	return function && holds(arg, property)
}

func holds(n *template.Node, key string) bool {
	return n.Has(key) || slices.ContainsFunc(n.List(), func(it *template.Node) bool { return holds(it, key) }) ||
		slices.ContainsFunc(n.Map(), func(f tree.Field) bool { return holds(f.Value, key) })
}

// graphPowers are those that a deployment has: parameters, conditions and transforms are done, so
// that a name counts however it came about, and one that is AWS::NoValue does not.
func graphPowers(g *template.Graph) powers {
	var p powers
	for _, r := range g.Resources {
		p.take(r.Type, func(property string) bool { return !r.Properties.Get(property).Absent() })
	}
	return p
}

// acknowledged refuses a deployment whose powers the caller has not acknowledged. A change set shows
// what a transform makes, so that it needs no CAPABILITY_AUTO_EXPAND.
func acknowledged(g *template.Graph, given []string, shown bool) error {
	p := graphPowers(g)
	needs := p.needs()
	if len(needs) > 0 && (slices.Contains(given, needs[0]) || slices.Contains(given, "CAPABILITY_NAMED_IAM")) {
		needs = nil
	}
	if len(g.Template().Transforms()) > 0 && !shown && !slices.Contains(given, "CAPABILITY_AUTO_EXPAND") {
		needs = append(needs, "CAPABILITY_AUTO_EXPAND")
	}
	if len(needs) == 0 {
		return nil
	}
	return awserr.New("InsufficientCapabilitiesException", 400, "Requires capabilities : [%s]", strings.Join(needs, ", "))
}
