package lambda

import (
	"maps"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// taggable is what has tags beside functions: an event source mapping or a code signing configuration.
type taggable interface {
	arn() string
	// tags are those that it has; it must be there.
	tags(*tables, *store.Tx) (map[string]string, error)
	put(*tables, *store.Tx, map[string]string) error
}

// taggableAt is what an ARN names, if it names one of these. Like every mapping, one of another account
// is not there.
func taggableAt(p place, text string) (taggable, error) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "lambda" {
		return nil, nil
	}
	if uuid, ok := strings.CutPrefix(a.Resource, "event-source-mapping:"); ok {
		if a.Account != p.Account() || a.Region != p.Region() {
			return nil, noLayer()
		}
		return mappingKey{a.Account, a.Region, strings.ToLower(uuid)}, nil
	}
	if strings.HasPrefix(a.Resource, signingResource) {
		return referSigning(p, text)
	}
	return nil, nil
}

func (k mappingKey) tags(t *tables, tx *store.Tx) (map[string]string, error) {
	m, err := t.mappings.find(tx, k)
	return m.Tags, err
}

func (k mappingKey) put(t *tables, tx *store.Tx, tags map[string]string) error {
	m, err := t.mappings.find(tx, k)
	if err != nil {
		return err
	}
	m.Tags = tags
	return t.mappings.rows.Put(tx, k.key(), m)
}

func (k signingKey) tags(t *tables, tx *store.Tx) (map[string]string, error) {
	c, err := t.signingConfig(tx, k)
	return c.Tags, err
}

func (k signingKey) put(t *tables, tx *store.Tx, tags map[string]string) error {
	c, err := t.signingConfig(tx, k)
	if err != nil {
		return err
	}
	c.Tags = tags
	return t.signing.Put(tx, k.key(), c)
}

// needTaggable is an action on one of these; one that is not there is judged by its name alone.
func (s *Service) needTaggable(a *gate.Ask, action string, k taggable, keys map[string][]string) ([]gate.Need, error) {
	n := gate.Need{Action: action, Resource: k.arn(), Keys: keys}
	switch k := k.(type) {
	case mappingKey:
		m, err := s.mappingNeed(a, action, k.UUID)
		if err != nil {
			return nil, err
		}
		m.Keys = maps.Clone(m.Keys)
		if m.Keys == nil {
			m.Keys = map[string][]string{}
		}
		maps.Copy(m.Keys, keys)
		return []gate.Need{m}, nil
	case signingKey:
		n.Account = k.Account
		err := a.View(func(tx *store.Tx) error {
			c, ok, err := s.t.signing.Get(tx, k.key())
			if ok {
				n.Lazy = gate.ResourceTags(c.Tags)
			}
			return err
		})
		return []gate.Need{n}, err
	}
	return []gate.Need{n}, nil
}

// needListTags is reading the tags of whatever has some.
func (s *Service) needListTags(a *gate.Ask, in *lambda.ListTagsInput) ([]gate.Need, error) {
	k, err := taggableAt(a, in.Resource)
	if err != nil {
		return nil, err
	}
	if k != nil {
		return s.needTaggable(a, "lambda:ListTags", k, nil)
	}
	r, err := refer(a, named{in.Resource, nil})
	if err != nil {
		return nil, err
	}
	n, err := s.need(a, "lambda:ListTags", r)
	return []gate.Need{n}, err
}

// retagOther changes the tags of one of these.
func (s *Service) retagOther(c *gate.Call, k taggable, change func(map[string]string)) error {
	return c.Update(func(tx *store.Tx) error {
		had, err := k.tags(&s.t, tx)
		if err != nil {
			return err
		}
		tags := maps.Clone(had)
		if tags == nil {
			tags = map[string]string{}
		}
		change(tags)
		if len(tags) > maxTags {
			return tooManyTags()
		}
		return k.put(&s.t, tx, tags)
	})
}

func (s *Service) listOtherTags(c *gate.Call, k taggable) (*lambda.ListTagsOutput, error) {
	out := &lambda.ListTagsOutput{Tags: map[string]string{}}
	err := c.View(func(tx *store.Tx) error {
		tags, err := k.tags(&s.t, tx)
		maps.Copy(out.Tags, tags)
		return err
	})
	return out, err
}

var (
	_ taggable = mappingKey{}
	_ taggable = signingKey{}
)
