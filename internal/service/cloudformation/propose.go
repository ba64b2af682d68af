package cloudformation

import (
	"errors"
	"slices"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/template"
	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// proposal is a version of a stack that was checked: everything in it can be deployed.
type proposal struct {
	version
	given map[string]string
	graph *template.Graph
}

// wish is what a request asks a stack to become.
type wish struct {
	body         string
	parameters   []api.Parameter
	previous     map[string]string // given to what stands
	tags         map[string]string
	capabilities []string
	types        []string
	shown        bool // a change set shows what transforms make
}

// propose checks a wish: syntax, references, parameters, capabilities, and that every type and
// property is built.
func (s *Service) propose(c *gate.Call, st *stack, w wish) (*proposal, error) {
	t, err := template.Parse([]byte(w.body))
	if err != nil {
		return nil, wireError(err)
	}
	given, err := w.given(t)
	if err != nil {
		return nil, err
	}
	p := &proposal{version: version{Template: w.body, Description: t.Description(), Tags: w.tags, Capabilities: w.capabilities}, given: given}
	err = c.View(func(tx *store.Tx) error {
		p.graph, err = s.bind(tx, st, t, given)
		return err
	})
	if e, ok := errors.AsType[*tree.Error](err); ok && e.Unbuilt && p.graph != nil {
		err = s.types.Check(p.graph, e.Causes...)
	}
	if err != nil {
		return nil, wireError(err)
	}
	if err := acknowledged(p.graph, w.capabilities, w.shown); err != nil {
		return nil, err
	}
	for _, r := range p.graph.Resources {
		if len(w.types) > 0 && !allowedType(w.types, r.Type) {
			return nil, invalid("Resource type %s is not allowed by parameter ResourceTypes [%s]", r.Type, strings.Join(w.types, ", "))
		}
	}
	if err := s.types.Check(p.graph); err != nil {
		return nil, wireError(err)
	}
	p.Imports = p.graph.Imported()
	p.Shown = shown(p.graph.Parameters)
	return p, nil
}

// wireError is a template's fault in the form that a client gets.
func wireError(err error) error {
	if e, ok := errors.AsType[*tree.Error](err); ok {
		return e.Unwrap()
	}
	return err
}

func shown(params []template.Parameter) []parameter {
	var out []parameter
	for _, p := range params {
		v := p.Given
		if p.NoEcho {
			v = hidden
		}
		out = append(out, parameter{p.Name, v})
	}
	return out
}

func (w *wish) given(t *template.Template) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range w.parameters {
		if p.ParameterKey == nil {
			return nil, invalid("ParameterKey must be specified.")
		}
		key := *p.ParameterKey
		switch {
		case p.UsePreviousValue != nil && *p.UsePreviousValue:
			if p.ParameterValue != nil {
				return nil, invalid("Invalid input for parameter key %s. Cannot specify usePreviousValue as true and non empty value for a parameter", key)
			}
			v, ok := w.previous[key]
			if !ok {
				declared, err := t.Parameters()
				if err != nil {
					return nil, wireError(err)
				}
				i := slices.IndexFunc(declared, func(d template.Parameter) bool { return d.Name == key && d.HasDefault })
				if i < 0 || w.previous == nil {
					return nil, invalid("Invalid input for parameter key %s. Cannot specify usePreviousValue as true for a parameter key not in the previous template", key)
				}
				continue // the default stood, and stands
			}
			out[key] = v
		case p.ParameterValue == nil:
			return nil, invalid("Parameters: [%s] must have values", key)
		default:
			out[key] = *p.ParameterValue
		}
	}
	return out, nil
}

// bind puts a stack and what it was given into a template. The exports of other stacks are read at
// once: the graph asks for them again after the transaction, and while they are imported they stay.
func (s *Service) bind(tx *store.Tx, st *stack, t *template.Template, given map[string]string) (*template.Graph, error) {
	exports := map[string]string{}
	for e, err := range s.t.exports.Scan(tx, store.K(st.Account, st.Region), store.Range{}) {
		if err != nil {
			return nil, err
		}
		if e.Value.Stack != st.UUID {
			exports[e.Key.Text(2)] = e.Value.Value
		}
	}
	return t.Bind(template.Inputs{Parameters: given, Account: st.Account, Region: st.Region, StackName: st.Name, StackID: st.id(),
		Imports: func(name string) (string, bool) { v, ok := exports[name]; return v, ok }})
}

// open is the graph of a stored version.
func (s *Service) open(tx *store.Tx, st *stack, v *version) (*template.Graph, error) {
	given, err := s.openParameters(tx, st.place(), v)
	if err != nil {
		return nil, err
	}
	t, err := template.Parse([]byte(v.Template))
	if err != nil {
		return nil, err
	}
	return s.bind(tx, st, t, given)
}

// secrets are the values of a version that must not be shown.
func (s *Service) secrets(tx *store.Tx, p place, v *version) ([]string, error) {
	if v.Template == "" {
		return nil, nil
	}
	given, err := s.openParameters(tx, p, v)
	if err != nil {
		return nil, err
	}
	var declared []template.Parameter
	t, err := template.Parse([]byte(v.Template))
	if err == nil {
		declared, err = t.Parameters()
	}
	if err != nil {
		// It was taken when less was checked. Its stack can still be deleted, and shows no value.
		for _, value := range given {
			if value != "" {
				declared = append(declared, template.Parameter{NoEcho: true, Default: value})
			}
		}
	}
	var out []string
	for _, d := range declared {
		value, ok := given[d.Name]
		if !ok {
			value = d.Default
		}
		if d.NoEcho && value != "" {
			out = append(out, value)
		}
	}
	return out, nil
}

func allowedType(patterns []string, typ string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, open := strings.CutSuffix(p, "*")
		return p == typ || open && strings.HasPrefix(typ, prefix)
	})
}

func tagMap(tags []api.Tag) (map[string]string, error) {
	if tags == nil {
		return nil, nil
	}
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, invalid("aws: prefixed tag key names are not allowed for external use.")
		}
		if _, twice := out[t.Key]; twice {
			return nil, invalid("Duplicate tag key %s", t.Key)
		}
		out[t.Key] = t.Value
	}
	return out, nil
}

// information is a deploy.Stack with the tags that a version gives it.
func (s *stack) information(tags map[string]string) deploy.Stack {
	return deploy.Stack{ID: s.id(), Name: s.Name, Account: s.Account, Region: s.Region, Tags: tags}
}

// refusals are the parts of requests that are not built.
type refusals struct {
	notifications, resourcesToImport bool
	rollback                         *api.RollbackConfiguration
	policies                         []*string
}

func (r refusals) check() error {
	switch {
	case r.notifications:
		return unbuilt("NotificationARNs are not built in this version of Bastide.")
	case r.rollback != nil && len(r.rollback.RollbackTriggers) > 0:
		return unbuilt("Rollback triggers are not built in this version of Bastide.")
	case r.rollback != nil && r.rollback.MonitoringTimeInMinutes != nil && *r.rollback.MonitoringTimeInMinutes != 0:
		// Without triggers there is nothing to monitor; to take it would promise a watch that nobody keeps.
		return unbuilt("The monitoring of a stack after its deployment (RollbackConfiguration.MonitoringTimeInMinutes) is not built in this version of Bastide.")
	case r.resourcesToImport:
		return unbuilt("The import of resources that exist is not built in this version of Bastide.")
	}
	for _, p := range r.policies {
		if p != nil {
			return unbuilt("Stack policies are not built in this version of Bastide.")
		}
	}
	return nil
}
