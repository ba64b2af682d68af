package cloudformation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/template"
	"github.com/bastide-cloud/bastide/internal/template/tree"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// getTemplate gives a stack's template, or a change set's, as it came or with its transforms done.
func (s *Service) getTemplate(c *gate.Call, in *api.GetTemplateInput) (*api.GetTemplateOutput, error) {
	body, graph := "", (*template.Graph)(nil)
	err := c.View(func(tx *store.Tx) error {
		st, v, err := s.versionOf(tx, c, in)
		if err != nil {
			return err
		}
		body = v.Template
		if wire.Val(in.TemplateStage) == "Processed" {
			graph, err = s.open(tx, st, v)
		}
		return err
	})
	if err != nil {
		return nil, wireError(err)
	}
	if graph != nil && len(graph.Template().Transforms()) > 0 {
		body = graph.Template().JSON()
	}
	return &api.GetTemplateOutput{TemplateBody: &body, StagesAvailable: []string{"Original", "Processed"}}, nil
}

func (s *Service) versionOf(tx *store.Tx, c *gate.Call, in *api.GetTemplateInput) (*stack, *version, error) {
	if in.ChangeSetName != nil {
		st, set, err := s.findChangeSet(tx, c, in.StackName, *in.ChangeSetName)
		if err != nil {
			return nil, nil, err
		}
		return st, &set.Version, nil
	}
	if in.StackName == nil {
		return nil, nil, invalid("StackName is required if ChangeSetName is not specified.")
	}
	st, ok, err := s.t.named(tx, c.Account(), c.Region(), *in.StackName)
	if err == nil && !ok {
		err = noStack(*in.StackName)
	}
	return st, &st.version, err
}

func (s *Service) validateTemplate(c *gate.Call, in *api.ValidateTemplateInput) (*api.ValidateTemplateOutput, error) {
	t, err := s.parsed(c, in.TemplateBody, in.TemplateURL)
	if err != nil {
		return nil, err
	}
	declared, err := t.Parameters()
	if err != nil {
		return nil, wireError(err)
	}
	if err := t.CheckReferences(); err != nil {
		return nil, wireError(err)
	}
	out := &api.ValidateTemplateOutput{Description: optional(t.Description()), Parameters: []api.TemplateParameter{}, DeclaredTransforms: t.Transforms()}
	for _, p := range declared {
		out.Parameters = append(out.Parameters, api.TemplateParameter{ParameterKey: new(p.Name), DefaultValue: defaultOf(p), NoEcho: new(p.NoEcho), Description: optional(p.Description)})
	}
	out.Capabilities, out.CapabilitiesReason = wanted(t)
	return out, nil
}

func defaultOf(p template.Parameter) *string {
	if !p.HasDefault {
		return nil
	}
	return &p.Default
}

func (s *Service) parsed(c *gate.Call, body, from *string) (*template.Template, error) {
	text, err := source(c, body, from)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, invalid("Either Template URL or Template Body must be specified.")
	}
	t, err := template.Parse([]byte(text))
	return t, wireError(err)
}

// wanted are the capabilities that a template needs and the sentence that says why. What a
// transform will make is not known without its parameters; the transform itself is named.
func wanted(t *template.Template) ([]string, *string) {
	p := declaredPowers(t)
	needs, because := p.needs(), p.types
	if len(t.Transforms()) > 0 {
		needs = append(needs, "CAPABILITY_AUTO_EXPAND")
		because = append(because, t.Transforms()...)
	}
	if len(needs) == 0 {
		return nil, nil
	}
	return needs, new(fmt.Sprintf("The following resource(s) require capabilities: [%s]", strings.Join(because, ", ")))
}

func (s *Service) getTemplateSummary(c *gate.Call, in *api.GetTemplateSummaryInput) (*api.GetTemplateSummaryOutput, error) {
	if in.StackSetName != nil {
		return nil, unbuilt("Stack sets are not built in this version of Bastide.")
	}
	if wire.Val(in.CallAs) == "DELEGATED_ADMIN" {
		return nil, unbuilt("CallAs DELEGATED_ADMIN is not built in this version of Bastide.")
	}
	body, from := in.TemplateBody, in.TemplateURL
	if in.StackName != nil {
		err := c.View(func(tx *store.Tx) error {
			st, err := s.find(tx, c, *in.StackName)
			if err == nil {
				body = &st.Template
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	t, err := s.parsed(c, body, from)
	if err != nil {
		return nil, err
	}
	declared, err := t.Parameters()
	if err != nil {
		return nil, wireError(err)
	}
	out := &api.GetTemplateSummaryOutput{Description: optional(t.Description()), Parameters: []api.ParameterDeclaration{}, DeclaredTransforms: t.Transforms(),
		ResourceTypes: []string{}}
	for _, p := range declared {
		d := api.ParameterDeclaration{ParameterKey: new(p.Name), ParameterType: new(p.Type), NoEcho: new(p.NoEcho), Description: optional(p.Description),
			DefaultValue: defaultOf(p), ParameterConstraints: &api.ParameterConstraints{}}
		for _, a := range t.Root().Dig("Parameters", p.Name, "AllowedValues").List() {
			d.ParameterConstraints.AllowedValues = append(d.ParameterConstraints.AllowedValues, a.Text)
		}
		out.Parameters = append(out.Parameters, d)
	}
	for _, f := range t.Root().Get("Resources").Map() {
		if typ := f.Value.Get("Type"); typ.Is(tree.String) && !slices.Contains(out.ResourceTypes, typ.Text) {
			out.ResourceTypes = append(out.ResourceTypes, typ.Text)
		}
	}
	if v := t.Root().Get("AWSTemplateFormatVersion"); v != nil {
		out.Version = new(v.Text)
	}
	if m := t.Metadata(); m != nil {
		b, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		out.Metadata = new(string(b))
	}
	out.Capabilities, out.CapabilitiesReason = wanted(t)
	return out, nil
}
