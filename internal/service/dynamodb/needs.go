package dynamodb

import (
	"encoding/base64"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// facts are what conditions of policies may ask about one need. They are worked out only when a
// policy asks (Service Authorization Reference, "Condition keys for Amazon DynamoDB").
type facts struct {
	s     *Service
	a     *gate.Ask
	ref   ref
	index string

	leading   func(*table) ([]string, error) // partition key values
	names     func() ([]string, error)       // attributes that the request speaks of
	sel       *string
	returns   *string
	consumed  *string
	enclosing string // the batch or transaction that the action is part of
	scan      bool
}

func (f *facts) need(action string) gate.Need {
	resource := "table/" + f.ref.name
	if f.index != "" {
		resource += "/index/" + f.index
	}
	return gate.Need{Action: "dynamodb:" + action, Resource: arn.New("dynamodb", f.ref.region, f.ref.account, resource).String(),
		Account: f.ref.account, Lazy: f.lookup}
}

// lookup answers one condition key. What cannot be told is absent, so that a policy that insists
// on it refuses.
func (f *facts) lookup(key string) policy.Values {
	switch key {
	case "dynamodb:leadingkeys":
		return many(f.leadingKeys())
	case "dynamodb:attributes":
		if f.names != nil {
			return many(f.names())
		}
	case "dynamodb:select":
		return word(f.sel)
	case "dynamodb:returnvalues":
		return word(f.returns)
	case "dynamodb:returnconsumedcapacity":
		return word(f.consumed)
	case "dynamodb:enclosingoperation":
		if f.enclosing != "" {
			return policy.One(f.enclosing)
		}
	case "dynamodb:fulltablescan":
		if f.scan {
			return policy.One("true")
		}
	}
	if tag, ok := strings.CutPrefix(key, "aws:resourcetag/"); ok {
		return f.tag(tag)
	}
	return policy.Values{}
}

func many(vs []string, err error) policy.Values {
	if err != nil || len(vs) == 0 {
		return policy.Values{}
	}
	return policy.Many(vs)
}

func word(p *string) policy.Values {
	if p == nil {
		return policy.Values{}
	}
	return policy.One(*p)
}

func (f *facts) leadingKeys() ([]string, error) {
	if f.leading == nil {
		return nil, nil
	}
	t, err := f.table()
	if err != nil || t == nil {
		return nil, err
	}
	return f.leading(t)
}

// table is the record as the decision sees it; nil where there is no such table.
func (f *facts) table() (*table, error) {
	var t *table
	err := f.a.View(func(tx *store.Tx) error {
		var err error
		t, _, err = f.s.table(tx, f.ref)
		return err
	})
	return t, err
}

func (f *facts) tag(low string) policy.Values {
	t, err := f.table()
	if err != nil || t == nil {
		return policy.Values{}
	}
	for k, v := range t.Tags {
		if strings.EqualFold(k, low) {
			return policy.One(v)
		}
	}
	return policy.Values{}
}

// keyText is a key's value as policies compare it.
func keyText(v item.Value) string {
	if v.Type() == item.Binary {
		return base64.StdEncoding.EncodeToString([]byte(v.Text()))
	}
	return v.Text()
}

// leads are the partition keys of items or keys.
func leads(texts ...wire.RawJSON) func(*table) ([]string, error) {
	return func(t *table) ([]string, error) {
		out := make([]string, 0, len(texts))
		for _, text := range texts {
			it, err := item.ParseItem(string(text))
			if err != nil {
				return nil, err
			}
			if v := it.Get(t.Key.Hash); v.Exists() {
				out = append(out, keyText(v))
			}
		}
		return out, nil
	}
}

// named are the attributes of items or keys and those that expressions speak of.
func (f *facts) named(texts []wire.RawJSON, names map[string]string, vals wire.RawJSON, exprs func(*expression.Scope, *attributes) error) {
	f.names = func() ([]string, error) {
		var out attributes
		for _, text := range texts {
			it, err := item.ParseItem(string(text))
			if err != nil {
				return nil, err
			}
			for _, a := range it {
				out.add(a.Name)
			}
		}
		if exprs == nil {
			return out, nil
		}
		scope, err := f.s.open(names, vals)
		if err != nil {
			return nil, err
		}
		return out, exprs(scope, &out)
	}
}

// attributes collects names, each once.
type attributes []string

func (a *attributes) add(name string) {
	for _, have := range *a {
		if have == name {
			return
		}
	}
	*a = append(*a, name)
}

func (a *attributes) condition(scope *expression.Scope, kind expression.Kind, text *string) error {
	if text == nil {
		return nil
	}
	p, err := scope.Predicate(kind, *text)
	if err != nil {
		return err
	}
	p.Paths(func(head string, _ bool) { a.add(head) })
	return nil
}

func (a *attributes) change(scope *expression.Scope, text *string) error {
	if text == nil {
		return nil
	}
	c, err := scope.Change(*text)
	if err != nil {
		return err
	}
	c.Paths(func(head string, _, _ bool) { a.add(head) })
	return nil
}

func (a *attributes) projection(scope *expression.Scope, text *string, old []string) error {
	sel, err := selection(scope, text, old)
	if err != nil || sel == nil {
		return err
	}
	for _, head := range sel.Heads() {
		a.add(head)
	}
	return nil
}

// about begins the facts of a need on a table.
func (s *Service) about(a *gate.Ask, name string) (*facts, error) {
	r, err := refer(a, name)
	return &facts{s: s, a: a, ref: r}, err
}

// needTable is one action on the table that the input names.
func needTable[In any](s *Service, action string, name func(*In) string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		f, err := s.about(a, name(in))
		if err != nil {
			return nil, err
		}
		return []gate.Need{f.need(action)}, nil
	}
}

// needAny is an action that knows no resource.
func needAny[In any](action string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(*gate.Ask, *In) ([]gate.Need, error) {
		return []gate.Need{{Action: "dynamodb:" + action, Resource: "*"}}, nil
	}
}

func (s *Service) needCreate(a *gate.Ask, in *api.CreateTableInput) ([]gate.Need, error) {
	f, err := s.about(a, in.TableName)
	if err != nil {
		return nil, err
	}
	needs := []gate.Need{f.need("CreateTable")}
	if len(in.Tags) > 0 {
		needs = append(needs, f.need("TagResource"))
	}
	for i := range needs {
		needs[i].Keys = requestTags(in.Tags)
	}
	return needs, nil
}

func requestTags(tags []api.Tag) map[string][]string {
	if len(tags) == 0 {
		return nil
	}
	keys := make(map[string][]string, len(tags)+1)
	for _, t := range tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	return keys
}

// tagged is an action on the resource of a tagging request.
func (s *Service) tagged(a *gate.Ask, resource, action string, keys map[string][]string) ([]gate.Need, error) {
	f, err := s.about(a, resource)
	if err != nil {
		return nil, err
	}
	n := f.need(action)
	n.Keys = keys
	return []gate.Need{n}, nil
}

func (s *Service) needTag(a *gate.Ask, in *api.TagResourceInput) ([]gate.Need, error) {
	return s.tagged(a, in.ResourceArn, "TagResource", requestTags(in.Tags))
}

func (s *Service) needUntag(a *gate.Ask, in *api.UntagResourceInput) ([]gate.Need, error) {
	return s.tagged(a, in.ResourceArn, "UntagResource", map[string][]string{"aws:TagKeys": in.TagKeys})
}

func (s *Service) needListTags(a *gate.Ask, in *api.ListTagsOfResourceInput) ([]gate.Need, error) {
	return s.tagged(a, in.ResourceArn, "ListTagsOfResource", nil)
}
