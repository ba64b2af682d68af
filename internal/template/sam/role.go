package sam

import (
	_ "embed"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

//go:embed managed.txt
var managedPaths string

// managedARN turns the name of an AWS managed policy into its ARN. An ARN stays as it is.
func (t *transformer) managedARN(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	path := ""
	for _, line := range strings.Split(managedPaths, "\n") {
		if strings.HasPrefix(line, "/") {
			path = line[1:]
		} else if line == name {
			return "arn:" + t.opt.Partition + ":iam::aws:policy/" + path + name
		}
	}
	return "arn:" + t.opt.Partition + ":iam::aws:policy/" + name
}

// addRole gives the function a role of its own unless it has one; a Role that is an Fn::If with
// AWS::NoValue in one branch gets one for that branch.
func (m *macro) addRole(made []*generated, fn *generated, asynchronous []*Node) ([]*generated, error) {
	role, err := m.role(asynchronous)
	if err != nil {
		return nil, err
	}
	given := fn.props.Get("Role")
	if given == nil {
		fn.props.Set("Role", getAtt(role.id, "Arn"))
		return append(made, role), nil
	}
	if name, _, ok := given.Intrinsic(); !ok || name != "Fn::If" {
		return made, nil
	}
	parts, ok := isIf(m.t.resolve(given))
	if !ok || !parts[0].Is(tree.String) {
		return nil, m.errorf(m.get("Role"), "Malformed 'Role' property: Fn::If requires 3 arguments.")
	}
	cond, own := parts[0].Text, getAtt(role.id, "Arn")
	switch {
	case parts[1].NoValue() && parts[2].NoValue():
		fn.props.Set("Role", own)
	case parts[1].NoValue():
		fn.props.Set("Role", ifElse(cond, own, parts[2]))
		role.attrs.Set("Condition", tree.Str(cond))
	case parts[2].NoValue():
		fn.props.Set("Role", ifElse(cond, parts[1], own))
		role.attrs.Set("Condition", tree.Str("NOT"+cond))
		m.t.addCondition("NOT"+cond, tree.M("Fn::Not", tree.L(tree.M("Condition", cond))))
	default:
		return made, nil
	}
	return append(made, role), nil
}

// addCondition puts a condition into the template that comes out.
func (t *transformer) addCondition(name string, def *Node) {
	c := t.out.Get("Conditions")
	if c == nil {
		c = tree.M()
		t.out.Set("Conditions", c)
	}
	c.Set(name, def.At(t.out.Pos))
}

func (m *macro) role(asynchronous []*Node) (*generated, error) {
	role := m.child(m.id+"Role", "AWS::IAM::Role")
	trust := m.get("AssumeRolePolicyDocument").Clone()
	if trust == nil {
		trust = tree.M("Version", "2012-10-17", "Statement", tree.L(tree.M("Action", tree.Strs("sts:AssumeRole"),
			"Effect", "Allow", "Principal", tree.M("Service", tree.Strs("lambda.amazonaws.com")))))
	}
	basic := "AWSLambdaBasicExecutionRole"
	if !m.get("DurableConfig").Empty() {
		basic = "AWSLambdaBasicDurableExecutionRolePolicy"
	}
	names := []string{basic}
	if m.tracing() {
		xray := "AWSXrayWriteOnlyAccess"
		if m.t.opt.Partition != "aws" {
			xray = "AWSXRayDaemonWriteAccess"
		}
		names = append(names, xray)
	}
	if !m.get("VpcConfig").Empty() {
		names = append(names, "AWSLambdaVPCAccessExecutionRole")
	}
	managedARNs, docs := tree.L(), tree.L()
	for _, n := range names {
		managedARNs.Add(tree.Str(m.t.managedARN(n)))
	}
	if d := m.get("DeadLetterQueue"); !d.Empty() {
		action := map[string]string{"SQS": "sqs:SendMessage", "SNS": "sns:Publish"}[d.Get("Type").Text]
		docs.Add(tree.M("PolicyName", "DeadLetterQueuePolicy", "PolicyDocument", tree.M("Version", "2012-10-17",
			"Statement", tree.L(tree.M("Action", action, "Resource", d.Get("TargetArn").Clone(), "Effect", "Allow")))))
	}
	docs.Add(asynchronous...)
	if err := m.policies(role.id, managedARNs, docs); err != nil {
		return nil, err
	}
	role.props = tree.M("AssumeRolePolicyDocument", trust, "ManagedPolicyArns", managedARNs)
	if len(docs.Items) > 0 {
		role.props.Set("Policies", docs)
	}
	if v := m.get("RolePath"); v != nil {
		role.props.Set("Path", v.Clone())
	}
	m.pass(role, "PermissionsBoundary")
	tags, err := m.samTags()
	role.props.Set("Tags", tags)
	return role, err
}

// policies sorts the entries of the Policies property into managed policies and documents.
func (m *macro) policies(roleID string, managedARNs, docs *Node) error {
	for i, p := range listOf(m.get("Policies")) {
		kind, err := policyKind(p)
		if err != nil {
			return err
		}
		name := roleID + "Policy" + strconv.Itoa(i)
		switch kind {
		case document:
			docs.Add(eachBranch(p.Clone(), func(n *Node) *Node { return tree.M("PolicyName", name, "PolicyDocument", n) }))
		case managedPolicy:
			arn := eachBranch(p.Clone(), func(n *Node) *Node {
				if n.Is(tree.String) {
					return tree.Str(m.t.managedARN(n.Text)).At(n.Pos)
				}
				return n
			})
			if !contains(managedARNs, arn) {
				managedARNs.Add(arn)
			}
		default:
			return m.errorf(p, "Policy at index %d in the 'Policies' property is not valid", i)
		}
	}
	return nil
}

// eachBranch applies f to both sides of an Fn::If that are not AWS::NoValue, or to n itself.
func eachBranch(n *Node, f func(*Node) *Node) *Node {
	parts, ok := isIf(n)
	if !ok {
		return f(n)
	}
	for i := 1; i <= 2; i++ {
		if !parts[i].NoValue() {
			parts[i] = f(parts[i])
		}
	}
	return n
}

func contains(list, n *Node) bool {
	for _, it := range list.Items {
		if tree.Equal(it, n) {
			return true
		}
	}
	return false
}

// listOf makes one entry a list of one.
func listOf(n *Node) []*Node {
	if n.Empty() {
		return nil
	}
	if n.Is(tree.List) {
		return n.Items
	}
	return []*Node{n}
}

type policyClass int

const (
	unknownPolicy policyClass = iota
	managedPolicy
	document
	templated
)

// policyKind tells what one entry of Policies is.
func policyKind(p *Node) (policyClass, error) {
	if p.Is(tree.String) {
		return managedPolicy, nil
	}
	name, _, fn := p.Intrinsic()
	if fn && name == "Fn::If" {
		parts, ok := isIf(p)
		if !ok {
			return 0, tree.Errorf(p.Pos, "Fn::If requires 3 arguments")
		}
		a, err := policyKind(parts[1])
		if err != nil {
			return 0, err
		}
		b, err := policyKind(parts[2])
		switch {
		case err != nil || a == b || parts[2].NoValue():
			return a, err
		case parts[1].NoValue():
			return b, nil
		}
		return 0, tree.Errorf(p.Pos, "Different policy types within the same Fn::If statement is unsupported. Separate different policy types into different Fn::If statements")
	}
	switch {
	case fn:
		return managedPolicy, nil
	case p.Has("Statement"):
		return document, nil
	case p.Is(tree.Map) && len(p.Fields) == 1 && policyTemplate(p.Fields[0].Key) != nil:
		return templated, nil
	}
	return unknownPolicy, nil
}
