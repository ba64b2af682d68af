package policy

import "strings"

// Options limit and loosen Parse. The zero Options is right for inline and resource policies.
type Options struct {
	MaxBytes int // of the document; 0 is 64 KiB, above every quota that IAM has
	// RequireVersion refuses documents without "Version": "2012-10-17", as managed policies are.
	RequireVersion bool
	// ResourceOptional lets statements of a Resource policy go without Resource, which then means
	// the resource that the policy stands on, as ECR repository policies do.
	ResourceOptional bool
}

const (
	defaultMaxBytes = 64 << 10
	// maxDepth is two more than a condition value's depth: document, statements, statement,
	// condition block, operator, values.
	maxDepth = 8
)

// Parse reads a policy document. The error, if any, is an *Error.
//
// Unknown elements, equal keys, wrong types, unknown operators and values that are not what their
// operator compares are refused. At most one Options is read; none is the zero Options.
func Parse(src []byte, kind Kind, options ...Options) (*Policy, error) {
	var opts Options
	if len(options) > 0 {
		opts = options[0]
	}
	limit := opts.MaxBytes
	if limit == 0 {
		limit = defaultMaxBytes
	}
	if len(src) > limit {
		return nil, &Error{Message: msgTooLong, Line: 1, Column: 1}
	}
	if kind == Boundary || kind == SCP || kind == RCP {
		opts.RequireVersion = true
	}
	p := &Policy{kind: kind, source: string(src)}
	r := documentReader{policy: p, opts: opts}
	f := r.read()
	if f != nil {
		return nil, f.in(p.source)
	}
	p.buildIndex()
	return p, nil
}

type documentReader struct {
	policy *Policy
	opts   Options
}

func (r *documentReader) read() *fault {
	root, f := readJSON(r.policy.source, maxDepth)
	if f != nil {
		return f
	}
	if root.kind != jsonObject {
		return faultAt(root.start, "", "the document must be an object")
	}
	var statements *node
	for _, e := range root.fields {
		switch e.key {
		case "Version":
			f = text(e.value, e.key, &r.policy.version)
		case "Id":
			f = text(e.value, e.key, &r.policy.id)
		case "Statement":
			statements = e.value
		default:
			f = faultAt(e.start, "", "unknown element %q", clip(e.key))
		}
		if f != nil {
			return f
		}
	}
	switch v := r.policy.version; {
	case v == "2012-10-17":
	case v != "" && v != "2008-10-17" || r.opts.RequireVersion:
		return faultAt(root.start, msgVersion, "")
	default:
		r.policy.version = "2008-10-17"
	}
	if statements == nil {
		return faultAt(root.start, "", "Missing required field Statement")
	}
	list := []*node{statements}
	if statements.kind == jsonArray {
		list = statements.items
	}
	if len(list) == 0 {
		return faultAt(statements.start, "", "Statement is empty")
	}
	return r.statements(list)
}

func (r *documentReader) statements(list []*node) *fault {
	sids := map[string]bool{}
	r.policy.statements = make([]Statement, len(list))
	for i, n := range list {
		s := &r.policy.statements[i]
		s.Index = i
		if f := r.statement(n, s); f != nil {
			return f
		}
		if s.Sid != "" && sids[s.Sid] {
			return faultAt(n.start, msgSidUnique, "%q", clip(s.Sid))
		}
		sids[s.Sid] = true
	}
	return nil
}

func (r *documentReader) statement(n *node, s *Statement) *fault {
	if n.kind != jsonObject {
		return faultAt(n.start, "", "a statement must be an object")
	}
	at := (&fault{at: n.start}).in(r.policy.source)
	s.Line, s.Column, s.Source = at.Line, at.Column, r.policy.source[n.start:n.end]
	seen := map[string]*node{}
	for _, e := range n.fields {
		seen[e.key] = e.value
		if f := r.element(e, s); f != nil {
			return f
		}
	}
	for _, pair := range [...][2]string{{"Action", "NotAction"}, {"Resource", "NotResource"}, {"Principal", "NotPrincipal"}} {
		if seen[pair[0]] != nil && seen[pair[1]] != nil {
			return faultAt(n.start, "", "a statement has %s or %s, not both", pair[0], pair[1])
		}
	}
	if seen["Effect"] == nil {
		return faultAt(n.start, "", "Missing required field Effect")
	}
	return r.complete(n, s)
}

func (r *documentReader) element(e field, s *Statement) *fault {
	var f *fault
	switch e.key {
	case "Sid":
		f = r.sid(e.value, s)
	case "Effect":
		var effect string
		if f = text(e.value, e.key, &effect); f == nil && effect != "Allow" && effect != "Deny" {
			f = faultAt(e.value.start, "", "Invalid effect: %s", clip(effect))
		}
		s.Allow = effect == "Allow"
	case "Action":
		f = r.actions(e, &s.Actions, s)
	case "NotAction":
		f = r.actions(e, &s.NotActions, s)
	case "Resource":
		f = r.resources(e, &s.Resources, s)
	case "NotResource":
		f = r.resources(e, &s.NotResources, s)
	case "Principal", "NotPrincipal":
		f = r.principals(e, s)
	case "Condition":
		f = r.conditions(e.value, s)
	default:
		f = faultAt(e.start, "", "unknown element %q", clip(e.key))
	}
	return f
}

// complete checks what a whole statement must have, by kind.
func (r *documentReader) complete(n *node, s *Statement) *fault {
	kind := r.policy.kind
	if s.actions == nil {
		return faultAt(n.start, msgNoActions, "")
	}
	named := kind == Resource || kind == Trust || kind == RCP
	if named && s.principals == nil {
		return faultAt(n.start, "Missing required field Principal", "")
	}
	if kind == RCP && !s.principals.everyone {
		return faultAt(n.start, "", `the Principal of a resource control policy is "*"`)
	}
	if kind != Trust && s.resources == nil && !(kind == Resource && r.opts.ResourceOptional) {
		return faultAt(n.start, msgNoResources, "")
	}
	return nil
}

func (r *documentReader) sid(n *node, s *Statement) *fault {
	if f := text(n, "Sid", &s.Sid); f != nil {
		return f
	}
	if r.policy.kind == Resource {
		return nil // S3, SNS and SQS take any text
	}
	if strings.IndexFunc(s.Sid, func(c rune) bool { return !isAlnum(c) }) >= 0 {
		return faultAt(n.start, msgSidShape, "")
	}
	return nil
}

func isAlnum(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (r *documentReader) actions(e field, into *[]string, s *Statement) *fault {
	if e.key == "NotAction" && r.policy.kind == RCP {
		return prohibited(e)
	}
	list, f := texts(e)
	if f != nil {
		return f
	}
	if len(list) == 0 {
		return faultAt(e.start, msgNoActions, "")
	}
	for _, a := range list {
		if f := checkAction(a, e.value.start); f != nil {
			return f
		}
		if r.policy.kind == Trust && (e.key == "NotAction" || !strings.HasPrefix(strings.ToLower(a), "sts:")) {
			return faultAt(e.value.start, msgTrustActions, "")
		}
		s.actions = append(s.actions, compileAction(a))
	}
	*into = list
	return nil
}

func checkAction(a string, at int) *fault {
	if a == "*" {
		return nil
	}
	vendor, name, ok := strings.Cut(a, ":")
	if !ok {
		return faultAt(at, msgVendor, "")
	}
	if strings.Contains(name, ":") {
		return faultAt(at, msgOneColon, "")
	}
	odd := func(c rune) bool { return !isAlnum(c) && c != '-' && c != '.' }
	if vendor == "" || vendor != "*" && strings.IndexFunc(vendor, odd) >= 0 {
		return faultAt(at, "Vendor "+clip(vendor)+" is not valid", "")
	}
	odd = func(c rune) bool { return !isAlnum(c) && !strings.ContainsRune("*?-_./", c) }
	if name == "" || strings.IndexFunc(name, odd) >= 0 {
		return faultAt(at, "", "%q is not an action", clip(a))
	}
	return nil
}

func (r *documentReader) resources(e field, into *[]string, s *Statement) *fault {
	if r.policy.kind == Trust {
		return prohibited(e)
	}
	list, f := texts(e)
	if f != nil {
		return f
	}
	if len(list) == 0 {
		return faultAt(e.start, msgNoResources, "")
	}
	for _, v := range list {
		if f := checkResource(v, e.value.start); f != nil {
			return f
		}
		p, f := compilePattern(v, dialectResource, r.policy.version == "2012-10-17")
		if f != nil {
			f.at = e.value.start
			return f
		}
		s.resources = append(s.resources, p)
	}
	*into = list
	return nil
}

func checkResource(v string, at int) *fault {
	if v == "*" {
		return nil
	}
	parts := strings.SplitN(v, ":", 6)
	if parts[0] != "arn" || len(parts) < 2 {
		return faultAt(at, `Resource `+clip(v)+` must be in ARN format or "*".`, "")
	}
	partition := parts[1]
	if partition != "*" && partition != "aws" && !strings.HasPrefix(partition, "aws-") {
		parts = append(parts, "*", "*", "*", "*")
		return faultAt(at, `Partition "`+clip(partition)+`" is not valid for resource "`+clip(strings.Join(parts[:6], ":"))+`".`, "")
	}
	if len(parts) == 2 || parts[2] == "" {
		return faultAt(at, "Resource vendor must be fully qualified and cannot contain regexes.", "")
	}
	return nil
}

func (r *documentReader) principals(e field, s *Statement) *fault {
	not := e.key == "NotPrincipal"
	switch r.policy.kind {
	case Resource, Trust:
	case RCP:
		if not {
			return prohibited(e)
		}
	default:
		return prohibited(e)
	}
	set, written := &principalSet{not: not}, map[string][]string{}
	switch {
	case e.value.kind == jsonString && e.value.text == "*":
		set.everyone = true
		written["*"] = []string{"*"}
	case e.value.kind == jsonObject && len(e.value.fields) > 0:
		for _, by := range e.value.fields {
			list, f := texts(by)
			if f != nil {
				return f
			}
			if len(list) == 0 {
				return faultAt(by.start, `Invalid principal in policy: "`+clip(by.key)+`":[]`, "")
			}
			for _, v := range list {
				if !set.add(by.key, v) {
					return faultAt(by.start, `Invalid principal in policy: "`+clip(by.key)+`":"`+clip(v)+`"`, "")
				}
			}
			written[by.key] = list
		}
	default:
		return faultAt(e.value.start, "", "%s is \"*\" or an object", e.key)
	}
	s.principals = set
	if not {
		s.NotPrincipals = written
	} else {
		s.Principals = written
	}
	return nil
}

func (r *documentReader) conditions(n *node, s *Statement) *fault {
	if n.kind != jsonObject {
		return faultAt(n.start, "", "Condition must be an object")
	}
	for _, by := range n.fields {
		if by.value.kind != jsonObject {
			return faultAt(by.value.start, "", "%s must be an object", clip(by.key))
		}
		blank, op, spelled, ok := parseOperator(by.key)
		if !ok {
			return faultAt(by.start, "", "Invalid Condition type : %s", clip(by.key))
		}
		for _, k := range by.value.fields {
			c := blank
			values, f := r.condition(k, &c, op)
			if f != nil {
				return f
			}
			s.conditions = append(s.conditions, c)
			s.Conditions = append(s.Conditions, Condition{Operator: spelled, Key: k.key, Values: values})
		}
	}
	return nil
}

func (r *documentReader) condition(k field, c *condition, op operator) ([]string, *fault) {
	if vendor, name, ok := strings.Cut(k.key, ":"); !ok || vendor == "" || name == "" {
		return nil, faultAt(k.start, msgVendor, "%q", clip(k.key))
	}
	c.key = strings.ToLower(k.key)
	list := []*node{k.value}
	if k.value.kind == jsonArray {
		list = k.value.items
	}
	values := make([]string, 0, len(list))
	for _, v := range list {
		if v.kind != jsonString && v.kind != jsonNumber && v.kind != jsonBool {
			return nil, faultAt(v.start, "", "the values of %s must be text, numbers or booleans", clip(k.key))
		}
		if f := c.add(v.text, op, r.policy.version == "2012-10-17"); f != nil {
			f.at = v.start
			return nil, f
		}
		values = append(values, v.text)
	}
	return values, nil
}

func prohibited(e field) *fault { return faultAt(e.start, "Has prohibited field "+e.key, "") }

func text(n *node, name string, into *string) *fault {
	if n.kind != jsonString {
		return faultAt(n.start, "", "%s must be a string", name)
	}
	*into = n.text
	return nil
}

// texts reads a string or a list of strings.
func texts(e field) ([]string, *fault) {
	list := []*node{e.value}
	if e.value.kind == jsonArray {
		list = e.value.items
	}
	out := make([]string, 0, len(list))
	for _, n := range list {
		if n.kind != jsonString {
			return nil, faultAt(n.start, "", "%s must be a string or a list of strings", clip(e.key))
		}
		out = append(out, n.text)
	}
	return out, nil
}
