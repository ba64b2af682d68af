package dynamodb

import (
	"sort"

	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// reservedTag words a tag of AWS's own.
func reservedTag(key string) error {
	return invalid(invalidParam+"Tag keys that begin with aws: are reserved for system tags: %s", key)
}

func (s *Service) tagResource(c *gate.Call, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return &api.TagResourceOutput{}, s.retag(c, in.ResourceArn, func(tags map[string]string) {
		for _, t := range in.Tags {
			tags[t.Key] = t.Value
		}
	})
}

func (s *Service) untagResource(c *gate.Call, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return &api.UntagResourceOutput{}, s.retag(c, in.ResourceArn, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

func (s *Service) retag(c *gate.Call, resource string, change func(map[string]string)) error {
	r, err := refer(c, resource)
	if err != nil {
		return err
	}
	return c.Update(func(tx *store.Tx) error {
		old, err := s.mustTable(tx, r)
		if err != nil {
			return err
		}
		t := old.copy()
		change(t.Tags)
		if len(t.Tags) > maxTags {
			return invalid(invalidParam+"Too many tags: at most %d are allowed", maxTags)
		}
		return s.saveTable(tx, t)
	})
}

func (s *Service) listTags(c *gate.Call, in *api.ListTagsOfResourceInput) (*api.ListTagsOfResourceOutput, error) {
	out := &api.ListTagsOfResourceOutput{}
	err := s.view(c, in.ResourceArn, func(_ *store.Tx, t *table) error {
		out.Tags = []api.Tag{}
		for k, v := range t.Tags {
			out.Tags = append(out.Tags, api.Tag{Key: k, Value: v})
		}
		sort.Slice(out.Tags, func(i, j int) bool { return out.Tags[i].Key < out.Tags[j].Key })
		return nil
	})
	return out, err
}
