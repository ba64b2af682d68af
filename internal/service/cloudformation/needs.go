package cloudformation

import (
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// onAny is an action that knows no resource.
func onAny[In any](action string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(*gate.Ask, *In) ([]gate.Need, error) {
		return []gate.Need{{Action: "cloudformation:" + action, Resource: "*"}}, nil
	}
}

// onStack is an action on a stack that the input names by its name or id.
func onStack[In any](s *Service, action string, name func(*In) string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		n, err := s.stackNeed(a, action, name(in))
		return []gate.Need{n}, err
	}
}

func onOptionalStack[In any](s *Service, action string, name func(*In) *string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		if name(in) == nil {
			return []gate.Need{{Action: "cloudformation:" + action, Resource: "*"}}, nil
		}
		n, err := s.stackNeed(a, action, *name(in))
		return []gate.Need{n}, err
	}
}

// stackNeed is a need on a stack. One that does not exist is decided by its name alone, as
// arn:…:stack/NAME/*.
func (s *Service) stackNeed(a *gate.Ask, action, nameOrID string) (gate.Need, error) {
	n := gate.Need{Action: "cloudformation:" + action, Resource: nameOrID}
	if !strings.HasPrefix(nameOrID, "arn:") {
		n.Resource = a.ARN("stack/" + nameOrID + "/*")
	}
	var st *stack
	var ok bool
	err := a.View(func(tx *store.Tx) error {
		var err error
		st, ok, err = s.t.named(tx, a.Account(), a.Region(), nameOrID)
		return err
	})
	if err != nil || !ok {
		return n, err
	}
	n.Resource, n.Lazy = st.id(), gate.ResourceTags(st.Tags)
	return n, nil
}

// asked are the condition keys that a request to change a stack brings.
type asked struct {
	url, role, changeSet *string
	types                []string
	tags                 []api.Tag
}

func (q asked) keys() map[string][]string {
	keys := map[string][]string{}
	for name, v := range map[string]*string{"cloudformation:TemplateUrl": q.url, "cloudformation:RoleArn": q.role, "cloudformation:ChangeSetName": q.changeSet} {
		if v != nil {
			keys[name] = []string{*v}
		}
	}
	if len(q.types) > 0 {
		keys["cloudformation:ResourceTypes"] = q.types
	}
	for _, t := range q.tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	return keys
}

// change is the needs of a request to change a stack: the action itself and, with a role, the right
// to hand that over.
func (s *Service) change(a *gate.Ask, action, name string, q asked) ([]gate.Need, error) {
	n, err := s.stackNeed(a, action, name)
	if err != nil {
		return nil, err
	}
	n.Keys = q.keys()
	needs := []gate.Need{n}
	if q.role != nil {
		needs = append(needs, gate.Need{Action: "iam:PassRole", Resource: *q.role, Keys: map[string][]string{"iam:PassedToService": {principal}}})
	}
	return needs, nil
}

func (s *Service) needCreate(a *gate.Ask, in *api.CreateStackInput) ([]gate.Need, error) {
	return s.change(a, "CreateStack", in.StackName, asked{url: in.TemplateURL, role: in.RoleARN, types: in.ResourceTypes, tags: in.Tags})
}

func (s *Service) needUpdate(a *gate.Ask, in *api.UpdateStackInput) ([]gate.Need, error) {
	return s.change(a, "UpdateStack", in.StackName, asked{url: in.TemplateURL, role: in.RoleARN, types: in.ResourceTypes, tags: in.Tags})
}

func (s *Service) needDelete(a *gate.Ask, in *api.DeleteStackInput) ([]gate.Need, error) {
	return s.change(a, "DeleteStack", in.StackName, asked{role: in.RoleARN})
}

func (s *Service) needCreateChangeSet(a *gate.Ask, in *api.CreateChangeSetInput) ([]gate.Need, error) {
	return s.change(a, "CreateChangeSet", in.StackName, asked{url: in.TemplateURL, role: in.RoleARN, types: in.ResourceTypes, tags: in.Tags, changeSet: &in.ChangeSetName})
}

func (s *Service) needResources(a *gate.Ask, in *api.DescribeStackResourcesInput) ([]gate.Need, error) {
	if in.StackName == nil {
		return onAny[api.DescribeStackResourcesInput]("DescribeStackResources")(a, in)
	}
	n, err := s.stackNeed(a, "DescribeStackResources", *in.StackName)
	return []gate.Need{n}, err
}

func (s *Service) needTemplate(a *gate.Ask, in *api.GetTemplateInput) ([]gate.Need, error) {
	name, ok, err := s.stackOf(a.View, a.Account(), a.Region(), in.StackName, in.ChangeSetName)
	if err != nil || !ok {
		return []gate.Need{{Action: "cloudformation:GetTemplate", Resource: "*"}}, err
	}
	n, err := s.stackNeed(a, "GetTemplate", name)
	return []gate.Need{n}, err
}

func (s *Service) needSummary(a *gate.Ask, in *api.GetTemplateSummaryInput) ([]gate.Need, error) {
	if in.StackName == nil {
		return []gate.Need{{Action: "cloudformation:GetTemplateSummary", Resource: "*"}}, nil
	}
	n, err := s.stackNeed(a, "GetTemplateSummary", *in.StackName)
	return []gate.Need{n}, err
}

// onChangeSet is an action on a stack with the name of its change set as a condition key.
func onChangeSet[In any](s *Service, action string, of func(*In) (stack *string, changeSet string)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		stackName, set := of(in)
		keys := map[string][]string{"cloudformation:ChangeSetName": {changeSetName(set)}}
		name, ok, err := s.stackOf(a.View, a.Account(), a.Region(), stackName, &set)
		if err != nil || !ok {
			return []gate.Need{{Action: "cloudformation:" + action, Resource: "*", Keys: keys}}, err
		}
		n, err := s.stackNeed(a, action, name)
		n.Keys = keys
		return []gate.Need{n}, err
	}
}

// hidden stands in records for what must not be read there.
const hidden = "****"

func hideParameters(in []api.Parameter) []api.Parameter {
	out := make([]api.Parameter, len(in))
	for i, p := range in {
		if p.ParameterValue != nil {
			p.ParameterValue = new(hidden)
		}
		out[i] = p
	}
	return out
}

func recordCreate(in *api.CreateStackInput) any {
	c := *in
	c.TemplateBody, c.Parameters = nil, hideParameters(in.Parameters)
	return &c
}

func recordUpdate(in *api.UpdateStackInput) any {
	c := *in
	c.TemplateBody, c.Parameters = nil, hideParameters(in.Parameters)
	return &c
}

func recordChangeSet(in *api.CreateChangeSetInput) any {
	c := *in
	c.TemplateBody, c.Parameters = nil, hideParameters(in.Parameters)
	return &c
}

func recordSummary(in *api.GetTemplateSummaryInput) any {
	c := *in
	c.TemplateBody = nil
	return &c
}

func recordValidate(in *api.ValidateTemplateInput) any {
	c := *in
	c.TemplateBody = nil
	return &c
}
