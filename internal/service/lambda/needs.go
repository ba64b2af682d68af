package lambda

import (
	"slices"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// named is a function as an input names it.
type named struct {
	function  string
	qualifier *string
}

// place is where a call looks for names that do not say where.
type place interface {
	Account() string
	Region() string
}

// reference is a function with the qualifier that was asked for, or "".
type reference struct {
	functionKey
	Qualifier string
}

func (r reference) arn() string { return r.functionKey.arn(r.Qualifier) }

// refer reads what an input names.
func refer(p place, n named) (reference, error) {
	f, err := name.ParseFunction(n.function)
	if err != nil {
		return reference{}, awserr.Of(awserr.Validation, "1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?", n.function)
	}
	r := reference{functionKey{f.Account, f.Region, f.Name}, f.Qualifier}
	if q := wire.Val(n.qualifier); q != "" {
		if r.Qualifier != "" && r.Qualifier != q {
			return r, invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		r.Qualifier = q
	}
	if r.Account == "" {
		r.Account = p.Account()
	}
	if r.Region == "" {
		r.Region = p.Region()
	}
	if r.Region != p.Region() {
		return r, invalid("Functions from '%s' are not reachable in this region ('%s')", r.Region, p.Region())
	}
	return r, nil
}

func invalid(format string, args ...any) error {
	return awserr.New("InvalidParameterValueException", 400, format, args...)
}

func notFound(format string, args ...any) error {
	return awserr.New("ResourceNotFoundException", 404, format, args...)
}

func conflict(format string, args ...any) error {
	return awserr.New("ResourceConflictException", 409, format, args...)
}

func noFunction(arn string) error { return notFound("Function not found: %s", arn) }

// onFunction is one action on the function that the input names.
func onFunction[In any](s *Service, action string, of func(*In) named) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		r, err := refer(a, of(in))
		if err != nil {
			return nil, err
		}
		n, err := s.need(a, action, r)
		return []gate.Need{n}, err
	}
}

// onEverything is one action that knows no resource.
func onEverything[In any](action string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(*gate.Ask, *In) ([]gate.Need, error) {
		return []gate.Need{{Action: action, Resource: "*"}}, nil
	}
}

// onLayer is one action on a layer or one of its versions.
func onLayer[In any](action string, of func(*In) (string, int64)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		n, v := of(in)
		k, inARN, err := referLayer(a, n)
		if err != nil {
			return nil, err
		}
		return []gate.Need{{Action: action, Resource: k.arn(max(v, inARN)), Account: k.Account}}, nil
	}
}

func referLayer(p place, s string) (layerKey, int64, error) {
	l, err := name.ParseLayer(s)
	if err != nil {
		return layerKey{}, 0, awserr.Of(awserr.Validation, "1 validation error detected: Value '%s' at 'layerName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+", s)
	}
	k := layerKey{l.Account, l.Region, l.Name}
	if k.Account == "" {
		k.Account, k.Region = p.Account(), p.Region()
	}
	if k.Region != p.Region() {
		return k, 0, invalid("Layers from '%s' are not reachable in this region ('%s')", k.Region, p.Region())
	}
	return k, l.Version, nil
}

// need is an action on a function, judged with the policy of the qualifier that was asked for.
func (s *Service) need(a *gate.Ask, action string, r reference) (gate.Need, error) {
	n := gate.Need{Action: action, Resource: r.arn(), Account: r.Account}
	var f function
	var p permissions
	err := a.View(func(tx *store.Tx) error {
		var ok bool
		var err error
		if f, ok, err = s.t.functions.Get(tx, r.key()); err != nil || !ok {
			return err // one that does not exist is decided by its name alone
		}
		p, _, err = s.t.permissions.Get(tx, r.key(policyOf(r.Qualifier)))
		return err
	})
	if err != nil {
		return n, err
	}
	n.Lazy = gate.ResourceTags(f.Tags)
	n.Policy, err = compile(a, r, p)
	return n, err
}

// compile makes a resource policy ready to decide with, nil where there is none.
func compile(a *gate.Ask, r reference, p permissions) (*policy.Attached, error) {
	if len(p.Statements) == 0 {
		return nil, nil
	}
	compiled, err := a.Policy(policy.Resource, p.document())
	if err != nil {
		return nil, err
	}
	return &policy.Attached{Policy: compiled, Name: "default", ARN: r.arn(), Where: whereOf(r)}, nil
}

// whereOf names a resource policy in explanations.
func whereOf(r reference) string {
	if r.Qualifier == "" {
		return "resource policy of function " + r.Name
	}
	return "resource policy of function " + r.Name + ":" + r.Qualifier
}

// needCreate wants the function itself, its tags, its role to be passed and its layers to be read.
func (s *Service) needCreate(a *gate.Ask, in *lambda.CreateFunctionInput) ([]gate.Need, error) {
	r, err := refer(a, named{in.FunctionName, nil})
	if err != nil {
		return nil, err
	}
	keys := gate.RequestTags(in.Tags)
	if len(in.Layers) > 0 {
		keys["lambda:Layer"] = in.Layers
	}
	if in.CodeSigningConfigArn != nil {
		keys["lambda:CodeSigningConfigArn"] = []string{*in.CodeSigningConfigArn}
	}
	needs := []gate.Need{{Action: "lambda:CreateFunction", Resource: r.functionKey.arn(""), Account: r.Account, Keys: keys}}
	if len(in.Tags) > 0 {
		needs = append(needs, gate.Need{Action: "lambda:TagResource", Resource: r.functionKey.arn(""), Account: r.Account, Keys: keys})
	}
	if open := declared(in.Tags); len(open) > 0 {
		needs = append(needs, openRoutes(r, open))
	}
	out, err := s.needNetwork(a, r, in.VpcConfig)
	if err != nil {
		return nil, err
	}
	needs = append(append(needs, out...), s.pullImage(r, codeSource(in.Code).Image)...)
	pass, err := passRole(r.functionKey, in.Role)
	if err != nil {
		return nil, err
	}
	layers, err := s.readLayers(a, in.Layers)
	return slices.Concat(needs, []gate.Need{pass}, layers), err
}

// needConfigure wants the function, and what its new configuration refers to.
func (s *Service) needConfigure(a *gate.Ask, in *lambda.UpdateFunctionConfigurationInput) ([]gate.Need, error) {
	r, err := refer(a, named{in.FunctionName, nil})
	if err != nil {
		return nil, err
	}
	n, err := s.need(a, "lambda:UpdateFunctionConfiguration", r)
	if err != nil {
		return nil, err
	}
	if len(in.Layers) > 0 {
		n.Keys = map[string][]string{"lambda:Layer": in.Layers}
	}
	more, err := s.needNetwork(a, r, in.VpcConfig)
	if err != nil {
		return nil, err
	}
	needs := append([]gate.Need{n}, more...)
	if in.Role != nil {
		pass, err := passRole(r.functionKey, *in.Role)
		if err != nil {
			return nil, err
		}
		needs = append(needs, pass)
	}
	layers, err := s.readLayers(a, in.Layers)
	return append(needs, layers...), err
}

// passRole wants the role to be passed to Lambda; a function's role is of its own account.
func passRole(f functionKey, role string) (gate.Need, error) {
	a, err := arn.Parse(role)
	if err == nil && a.Account != f.Account {
		return gate.Need{}, awserr.Of(awserr.AccessDenied, "Cross-account pass role is not allowed.")
	}
	return gate.Need{Action: "iam:PassRole", Resource: role, Account: f.Account,
		Keys: map[string][]string{"iam:PassedToService": {"lambda.amazonaws.com"}, "iam:AssociatedResourceArn": {f.arn("")}}}, nil
}

// needAddPermission lets policies limit whom a function is opened to.
func (s *Service) needAddPermission(a *gate.Ask, in *lambda.AddPermissionInput) ([]gate.Need, error) {
	r, err := refer(a, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	n, err := s.need(a, "lambda:AddPermission", r)
	n.Keys = map[string][]string{"lambda:Principal": {in.Principal}}
	if in.FunctionUrlAuthType != nil {
		n.Keys["lambda:FunctionUrlAuthType"] = []string{*in.FunctionUrlAuthType}
	}
	return []gate.Need{n}, err
}

func (s *Service) needTag(a *gate.Ask, in *lambda.TagResourceInput) ([]gate.Need, error) {
	if other, err := taggableAt(a, in.Resource); err != nil {
		return nil, err
	} else if other != nil {
		return s.needTaggable(a, "lambda:TagResource", other, gate.RequestTags(in.Tags))
	}
	r, err := refer(a, named{in.Resource, nil})
	if err != nil {
		return nil, err
	}
	n, err := s.need(a, "lambda:TagResource", r)
	n.Keys = gate.RequestTags(in.Tags)
	needs := []gate.Need{n}
	open := declared(in.Tags)
	_, apart := in.Tags[tagIsolation]
	_, held := in.Tags[tagProfile]
	if err != nil || len(open) == 0 && !apart && !held {
		return needs, err
	}
	err = a.View(func(tx *store.Tx) error {
		needs = needs[:1]
		f, _, err := s.t.functions.Get(tx, r.key())
		had := declared(f.Tags)
		if slices.ContainsFunc(open, func(text string) bool { return !slices.Contains(had, text) }) { // a deployment puts all of its tags again
			needs = append(needs, openRoutes(r, open))
		}
		needs = append(needs, relaxed(r, f, func(tag string) string {
			if v, given := in.Tags[tag]; given {
				return v
			}
			return f.Tags[tag]
		})...)
		return err
	})
	return needs, err
}

// openRoutes is the need of who declares a function's ways out (decision 0026): a tag does that, and
// many may put tags who shall not open the network. Policies may limit the routes by their text.
func openRoutes(r reference, open []string) gate.Need {
	return gate.Need{Action: "bastide:OpenRoute", Resource: r.functionKey.arn(""), Account: r.Account,
		Keys: map[string][]string{"bastide:Route": open}}
}

func (s *Service) needUntag(a *gate.Ask, in *lambda.UntagResourceInput) ([]gate.Need, error) {
	if other, err := taggableAt(a, in.Resource); err != nil {
		return nil, err
	} else if other != nil {
		return s.needTaggable(a, "lambda:UntagResource", other, map[string][]string{"aws:TagKeys": in.TagKeys})
	}
	r, err := refer(a, named{in.Resource, nil})
	if err != nil {
		return nil, err
	}
	n, err := s.need(a, "lambda:UntagResource", r)
	if err != nil {
		return nil, err
	}
	n.Keys = map[string][]string{"aws:TagKeys": in.TagKeys}
	needs := []gate.Need{n}
	err = a.View(func(tx *store.Tx) error {
		f, _, err := s.t.functions.Get(tx, r.key())
		needs = append(needs[:1], relaxed(r, f, func(tag string) string {
			if slices.Contains(in.TagKeys, tag) {
				return ""
			}
			return f.Tags[tag]
		})...)
		return err
	})
	return needs, err
}
