package sam

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// resourcePolicy adds the statements of a ResourcePolicy for one path to the definition's policy.
func (e *editor) resourcePolicy(p *Node, path string, stage *Node) error {
	if !p.Is(tree.Map) {
		return tree.Errorf(p.Pos, "Resource Policy is not a valid dictionary.")
	}
	w := &policyWriter{policy: e.section(policyKey).At(p.Pos), pos: p.Pos, resources: func() *Node { return e.resourceList(path, stage) }}
	if err := w.accounts(p.Get("AwsAccountWhitelist"), "Allow"); err != nil {
		return err
	}
	if err := w.accounts(p.Get("AwsAccountBlacklist"), "Deny"); err != nil {
		return err
	}
	w.conditional(asList(p.Get("IpRangeWhitelist")), "NotIpAddress")
	w.conditional(asList(p.Get("IpRangeBlacklist")), "IpAddress")
	for _, list := range []struct{ name, operator string }{{"Blacklist", "StringEquals"}, {"Whitelist", "StringNotEquals"}} {
		if err := w.networks(p, list.name, list.operator); err != nil {
			return err
		}
	}
	return nil
}

// customStatements adds the ResourcePolicy's own statements, which name no path.
func (e *editor) customStatements(p *Node) {
	if c := p.Get("CustomStatements"); !c.Empty() {
		(&policyWriter{policy: e.section(policyKey).At(p.Pos), pos: p.Pos}).custom(c)
	}
}

func asList(n *Node) *Node {
	if n.Empty() {
		return nil
	}
	if n.Is(tree.List) {
		return n
	}
	return tree.L(n)
}

// resourceList names the methods of a path as a policy does.
func (e *editor) resourceList(path string, stage *Node) *Node {
	out := tree.L()
	for _, item := range branches(e.paths().Get(path)) {
		for _, m := range keys(item) {
			method := strings.ToUpper(m)
			if strings.EqualFold(m, anyMethod) || strings.EqualFold(m, "any") {
				method = "*"
			}
			out.Add(sub("execute-api:/${__Stage__}/"+method+greedy.ReplaceAllString(path, "*"), tree.M("__Stage__", stage.Clone())))
		}
	}
	return out
}

type policyWriter struct {
	policy    *Node
	pos       tree.Pos
	resources func() *Node
}

func (w *policyWriter) statement(effect string) *Node {
	return tree.M("Effect", effect, "Action", "execute-api:Invoke", "Resource", w.resources(), "Principal", "*")
}

// accounts lets the principals in or keeps them out. The first statement alone is not a list, as
// SAM writes it.
func (w *policyWriter) accounts(list *Node, effect string) error {
	if list.Empty() {
		return nil
	}
	if !list.Is(tree.List) && !list.Is(tree.Map) {
		return tree.Errorf(list.Pos, "Type of '%s' must be a list or dictionary", list.Text)
	}
	st := w.statement(effect)
	st.Set("Principal", tree.M("AWS", asList(list).Clone()))
	w.version()
	if w.policy.Get("Statement").Absent() {
		w.policy.Set("Statement", st.At(w.pos))
		return nil
	}
	w.all().Add(st.At(w.pos))
	return nil
}

func (w *policyWriter) version() { w.policy.Set("Version", tree.Str("2012-10-17").At(w.pos)) }

// all is the list of statements.
func (w *policyWriter) all() *Node {
	s := w.policy.Get("Statement")
	if s.Absent() {
		s = tree.L()
		w.policy.Set("Statement", s)
	} else if !s.Is(tree.List) {
		s = tree.L(s).At(w.pos)
		w.policy.Set("Statement", s)
	}
	return s
}

func (w *policyWriter) once(st *Node) {
	if all := w.all(); !contains(all, st) {
		all.Add(st.At(w.pos))
	}
}

// conditional allows all and denies those for whom the condition holds.
func (w *policyWriter) conditional(addresses *Node, operator string) {
	if addresses == nil {
		return
	}
	w.deny(operator, tree.M("aws:SourceIp", addresses.Clone()))
}

func (w *policyWriter) deny(operator string, condition *Node) {
	w.version()
	d := w.statement("Deny")
	d.Set("Condition", tree.M(operator, condition))
	w.once(w.statement("Allow"))
	w.once(d)
}

func (w *policyWriter) networks(p *Node, list, operator string) error {
	cond := tree.M()
	add := func(key string, n *Node) {
		if !cond.Has(key) {
			cond.Set(key, tree.L())
		}
		cond.Get(key).Add(n.Clone())
	}
	for _, n := range p.Get("SourceVpc" + list).List() {
		if !n.Is(tree.String) {
			return tree.Errorf(n.Pos, "SourceVpc%s must be a list of strings. Use IntrinsicVpc%s instead for values that use Intrinsic Functions", list, list)
		}
		switch {
		case strings.HasPrefix(n.Text, "vpce-"):
			add("aws:SourceVpce", n)
		case strings.HasPrefix(n.Text, "vpc-"):
			add("aws:SourceVpc", n)
		}
	}
	for _, n := range p.Get("IntrinsicVpc" + list).List() {
		add("aws:SourceVpc", n)
	}
	for _, n := range p.Get("IntrinsicVpce" + list).List() {
		add("aws:SourceVpce", n)
	}
	if len(cond.Fields) > 0 {
		w.deny(operator, cond)
	}
	return nil
}

func (w *policyWriter) custom(c *Node) {
	w.version()
	if w.policy.Get("Statement").Absent() {
		w.policy.Set("Statement", c.Clone())
		return
	}
	for _, st := range asList(c).Items {
		w.once(st.Clone())
	}
}
