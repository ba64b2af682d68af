package sam

import (
	_ "embed"
	"regexp"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

//go:embed policies.txt
var policyText string

// policy is one of SAM's policy templates: its parameters and the lines of its statements.
type policy struct {
	params []string
	lines  []string
}

// policyTemplate finds a template by name, nil when SAM has none of that name.
func policyTemplate(name string) *policy {
	if name == "" || strings.ContainsAny(name, "(\n ") {
		return nil
	}
	_, after, ok := strings.Cut(policyText, "\n"+name+"(")
	if !ok {
		return nil
	}
	params, body, _ := strings.Cut(after, ")\n")
	p := &policy{params: strings.Fields(params)}
	for _, line := range strings.Split(body, "\n") {
		if line == "" {
			break
		}
		p.lines = append(p.lines, strings.TrimSpace(line))
	}
	return p
}

// expandPolicies replaces the policy templates in the Policies property by their documents.
func (m *macro) expandPolicies() error {
	list := listOf(m.get("Policies"))
	if len(list) == 0 {
		return nil
	}
	out := &Node{Kind: tree.List, Pos: m.get("Policies").Pos}
	for _, p := range list {
		kind, err := policyKind(p)
		if err != nil {
			return err
		}
		if kind == templated {
			var bad error
			p = eachBranch(p.Clone(), func(n *Node) *Node {
				doc, err := expandPolicy(n.Fields[0])
				if err != nil {
					bad = err
				}
				return doc
			})
			if bad != nil {
				return bad
			}
		}
		out.Add(p)
	}
	m.props.Set("Policies", out)
	return nil
}

func expandPolicy(f tree.Field) (*Node, error) {
	p := policyTemplate(f.Key)
	if p == nil {
		return nil, tree.Errorf(f.Pos, "%s is not a policy template", f.Key)
	}
	if !f.Value.Is(tree.Map) {
		return nil, tree.Errorf(f.Pos, "Must specify valid parameter values for policy template '%s'", f.Key)
	}
	var missing []string
	for _, name := range p.params {
		if !f.Value.Has(name) {
			missing = append(missing, "'"+name+"'")
		}
	}
	if len(missing) > 0 {
		return nil, tree.Errorf(f.Pos, "Following required parameters of template '%s' don't have values: [%s]", f.Key, strings.Join(missing, ", "))
	}
	return p.document(f.Value).At(f.Pos), nil
}

func (p *policy) document(values *Node) *Node {
	statements := tree.L()
	var st *Node
	for _, line := range p.lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "on":
			st.Set("Resource", policyValue(rest, values))
		case "each":
			if !st.Has("Resource") {
				st.Set("Resource", tree.L())
			}
			st.Get("Resource").Add(policyValue(rest, values))
		case "if":
			parts := strings.SplitN(rest, " ", 3)
			st.Set("Condition", tree.M(parts[0], tree.M(parts[1], policyValue(parts[2], values))))
		case "=":
			st = tree.M("Effect", "Allow", "Action", rest)
			statements.Add(st)
		default:
			st = tree.M("Effect", "Allow", "Action", tree.Strs(strings.Fields(line)...))
			statements.Add(st)
		}
	}
	return tree.M("Statement", statements)
}

var policyVariable = regexp.MustCompile(`\$\{([A-Za-z_]+):([A-Za-z]+)\}`)

// policyValue writes a resource of a template: text, or an Fn::Sub with the values given for its
// parameters.
func policyValue(s string, values *Node) *Node {
	vars := tree.M()
	for _, m := range policyVariable.FindAllStringSubmatch(s, -1) {
		vars.Set(m[1], values.Get(m[2]).Clone())
	}
	s = policyVariable.ReplaceAllString(s, "${$1}")
	switch {
	case len(vars.Fields) > 0:
		return sub(s, vars)
	case strings.Contains(s, "${"):
		return sub(s, nil)
	}
	return tree.Str(s)
}
