package ec2

import (
	"maps"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const maxTags = 50

// tagsOf reads the tags that come with a new resource.
func tagsOf(specs []api.TagSpecification, kind string) (map[string]string, error) {
	out := map[string]string{}
	for _, t := range specs {
		if got := wire.Val(t.ResourceType); got != kind {
			return nil, bad("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", got)
		}
		more, err := tagMap(t.Tags)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, more)
	}
	return out, tooMany(out)
}

func tagMap(tags []api.Tag) (map[string]string, error) {
	out := map[string]string{}
	for _, t := range tags {
		k, v := wire.Val(t.Key), wire.Val(t.Value)
		if k == "" || len(k) > 512 || len(v) > 1024 {
			return nil, bad("InvalidParameterValue", "Tag keys have 1 to 127 characters and values up to 255.")
		}
		out[k] = v
	}
	return out, nil
}

func tooMany(tags map[string]string) error {
	if len(tags) > maxTags {
		return bad("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
	}
	return nil
}

// tags are a resource's.
func (s *Service) tags(tx *store.Tx, o owner, id string) (map[string]string, error) {
	switch kindOf(id) {
	case "vpc":
		v, err := one(tx, s.t.vpcs, o, "vpc", id)
		return v.Tags, err
	case "subnet":
		v, err := one(tx, s.t.subnets, o, "subnet", id)
		return v.Tags, err
	case "security-group":
		v, err := one(tx, s.t.groups, o, "security-group", id)
		return v.Tags, err
	}
	return nil, bad("InvalidID", "The ID '%s' is not valid", id)
}

// retag changes the tags of resources.
func (s *Service) retag(tx *store.Tx, o owner, ids []string, change func(map[string]string)) error {
	for _, id := range ids {
		had, err := s.tags(tx, o, id)
		if err != nil {
			return err
		}
		tags := maps.Clone(had)
		if tags == nil {
			tags = map[string]string{}
		}
		change(tags)
		if err := tooMany(tags); err != nil {
			return err
		}
		switch kindOf(id) {
		case "vpc":
			v, err := one(tx, s.t.vpcs, o, "vpc", id)
			if v.Tags = tags; err == nil {
				err = s.t.vpcs.Put(tx, o.key(id), v)
			}
			if err != nil {
				return err
			}
		case "subnet":
			v, err := one(tx, s.t.subnets, o, "subnet", id)
			if v.Tags = tags; err == nil {
				err = s.t.subnets.Put(tx, o.key(id), v)
			}
			if err != nil {
				return err
			}
		default:
			v, err := one(tx, s.t.groups, o, "security-group", id)
			if v.Tags = tags; err == nil {
				err = s.t.groups.Put(tx, o.key(id), v)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) needTags(a *gate.Ask, in *api.CreateTagsInput) ([]gate.Need, error) {
	tags, err := tagMap(in.Tags)
	return s.tagNeeds(a, "CreateTags", in.Resources, gate.RequestTags(tags)), err
}

func (s *Service) needUntag(a *gate.Ask, in *api.DeleteTagsInput) ([]gate.Need, error) {
	keys := []string{}
	for _, t := range in.Tags {
		keys = append(keys, wire.Val(t.Key))
	}
	return s.tagNeeds(a, "DeleteTags", in.Resources, map[string][]string{"aws:TagKeys": keys}), nil
}

func (s *Service) tagNeeds(a *gate.Ask, action string, ids []string, keys map[string][]string) (needs []gate.Need) {
	for _, id := range ids {
		n := s.on(a, action, kindOf(id), id)
		n.Keys = keys
		needs = append(needs, n)
	}
	return needs
}

func (s *Service) createTags(c *gate.Call, in *api.CreateTagsInput) (*api.CreateTagsOutput, error) {
	tags, err := tagMap(in.Tags)
	if err == nil {
		err = dry(in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	return &api.CreateTagsOutput{}, c.Update(func(tx *store.Tx) error {
		return s.retag(tx, owner{c.Account(), c.Region()}, in.Resources, func(have map[string]string) { maps.Copy(have, tags) })
	})
}

// deleteTags removes those of a key, or of a key and a value; all where none is named.
func (s *Service) deleteTags(c *gate.Call, in *api.DeleteTagsInput) (*api.DeleteTagsOutput, error) {
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	return &api.DeleteTagsOutput{}, c.Update(func(tx *store.Tx) error {
		return s.retag(tx, owner{c.Account(), c.Region()}, in.Resources, func(have map[string]string) {
			if len(in.Tags) == 0 {
				clear(have)
			}
			for _, t := range in.Tags {
				if k := wire.Val(t.Key); t.Value == nil || have[k] == *t.Value {
					delete(have, k)
				}
			}
		})
	})
}
