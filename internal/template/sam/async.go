package sam

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// eventInvoke makes the EventInvokeConfig: where results of asynchronous calls go. An SQS or SNS
// destination without ARN is made too. The policies that the role needs come back as well.
func (m *macro) eventInvoke(alias string, to target) (made []*generated, policies []*Node, err error) {
	given := m.get("EventInvokeConfig")
	if given.Empty() {
		return nil, nil, nil
	}
	cfg := m.t.resolve(given)
	g := &generated{id: m.id + "EventInvokeConfig", typ: "AWS::Lambda::EventInvokeConfig", attrs: m.own(), props: tree.M()}
	if alias != "" {
		g.depends = tree.Strs(to.id)
	}
	dests := tree.M()
	if d := cfg.Get("DestinationConfig"); !d.Empty() {
		if !d.Is(tree.Map) {
			return nil, nil, m.errorf(d, "Property 'EventInvokeConfig.DestinationConfig' should be a map.")
		}
		for _, which := range []string{"OnSuccess", "OnFailure"} {
			c := d.Get(which)
			if c.Absent() {
				continue
			}
			dest := &destination{m: m, cfg: c, id: g.id + which}
			if err := dest.build(); err != nil {
				return nil, nil, err
			}
			one := tree.M()
			if dest.arn != nil {
				one.Set("Destination", dest.arn)
			} else {
				one.Set("Destination", tree.Nil())
			}
			dests.Set(which, one)
			if dest.made != nil {
				made = append(made, dest.made)
			}
			policies = append(policies, dest.policy)
		}
	}
	qualifier := alias
	if qualifier == "" {
		qualifier = "$LATEST"
	}
	g.props = tree.M("DestinationConfig", dests, "FunctionName", ref(m.id), "Qualifier", qualifier)
	for _, k := range []string{"MaximumEventAgeInSeconds", "MaximumRetryAttempts"} {
		if v := cfg.Get(k); !v.Absent() {
			g.props.Set(k, v.Clone())
		}
	}
	return append(made, g), policies, nil
}

// destination is one of OnSuccess and OnFailure.
type destination struct {
	m    *macro
	cfg  *Node
	id   string
	made *generated

	arn, policy *Node
}

func (d *destination) build() error {
	typ := d.cfg.Get("Type")
	switch {
	case !d.cfg.Is(tree.Map):
		return d.m.errorf(d.cfg, "Property 'EventInvokeConfig.DestinationConfig' should be a map.")
	case !typ.IsString("SQS") && !typ.IsString("SNS") && !typ.IsString("EventBridge") && !typ.IsString("Lambda") && !typ.IsString("S3Bucket"):
		return d.m.errorf(d.cfg, "'Type: %s' must be one of ['SQS', 'SNS', 'EventBridge', 'Lambda', 'S3Bucket']", strings.Trim(typ.JSON(""), `"`))
	}
	given := d.cfg.Get("Destination")
	d.arn = given.Clone()
	cond, other, err := d.condition(given)
	if err != nil {
		return err
	}
	if given.Absent() || cond != "" {
		if !typ.IsString("SQS") && !typ.IsString("SNS") {
			return d.m.errorf(d.cfg, "Destination is required if Type is not ['SQS', 'SNS']")
		}
		d.create(typ.Text, cond, other)
	}
	d.policy = destinationPolicy(typ.Text, d.arn, d.id)
	return nil
}

// condition reads a Destination of Fn::If with AWS::NoValue on one side: when the queue or topic
// must be made, and what stands in the other case.
func (d *destination) condition(given *Node) (string, *Node, error) {
	name, _, ok := given.Intrinsic()
	if !ok || name != "Fn::If" {
		return "", nil, nil
	}
	parts, ok := isIf(given)
	if !ok || !parts[0].Is(tree.String) {
		return "", nil, d.m.errorf(given, "Malformed 'Destination' property: Fn::If requires 3 arguments.")
	}
	switch {
	case parts[1].NoValue() && parts[2].NoValue():
		return "", nil, nil
	case parts[1].NoValue():
		return parts[0].Text, parts[2], nil
	case parts[2].NoValue():
		not := "NOT" + parts[0].Text + digest(strings.TrimSuffix(strings.TrimSuffix(d.id, "OnSuccess"), "OnFailure"))
		d.m.t.addCondition(not, tree.M("Fn::Not", tree.L(tree.M("Condition", parts[0].Text))))
		return not, parts[1], nil
	}
	return "", nil, nil
}

func (d *destination) create(typ, cond string, other *Node) {
	if typ == "SQS" {
		d.made = d.m.child(d.id+"Queue", "AWS::SQS::Queue")
		d.arn = getAtt(d.made.id, "Arn")
	} else {
		d.made = d.m.child(d.id+"Topic", "AWS::SNS::Topic")
		d.arn = ref(d.made.id)
	}
	if cond != "" {
		d.arn = ifElse(cond, d.arn, other.Clone())
	}
	own := ""
	if c := d.m.def.Get("Condition"); c.Is(tree.String) {
		own = c.Text
	}
	switch {
	case own != "" && cond != "":
		both := own + "AND" + cond + digest(d.m.id)
		d.m.t.addCondition(both, tree.M("Fn::And", tree.L(tree.M("Condition", own), tree.M("Condition", cond))))
		d.made.attrs.Set("Condition", tree.Str(both))
	case cond != "":
		d.made.attrs.Set("Condition", tree.Str(cond))
	}
}

func destinationPolicy(typ string, arn *Node, id string) *Node {
	statement := func(action string, resource *Node) *Node {
		return tree.M("Action", action, "Effect", "Allow", "Resource", resource.Clone())
	}
	var name string
	var st *Node
	switch typ {
	case "SQS":
		name, st = "SQSPolicy", tree.L(statement("sqs:SendMessage", arn))
	case "SNS":
		name, st = "SNSPolicy", tree.L(statement("sns:publish", arn))
	case "EventBridge":
		name, st = "EventBridgePolicy", tree.L(statement("events:PutEvents", arn))
	case "Lambda":
		name, st = "LambdaPolicy", tree.L(statement("lambda:InvokeFunction", arn))
	default:
		all := tree.M("Fn::Join", tree.L(tree.Str("/"), tree.L(arn.Clone(), tree.Str("*"))))
		name, st = "S3Policy", tree.L(statement("s3:PutObject", all), statement("s3:ListBucket", arn))
	}
	return tree.M("PolicyName", id+name, "PolicyDocument", tree.M("Statement", st))
}
