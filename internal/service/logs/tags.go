package logs

import (
	"maps"

	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
)

const maxTags = 50

// reservedTag words a tag of AWS's own.
func reservedTag(string) error { return invalid("Tag keys that begin with aws: are reserved.") }

func (s *Service) tag(c *gate.Call, name string, add map[string]string) error {
	return s.change(c, name, func(g *group) error {
		all := map[string]string{}
		maps.Copy(all, g.Tags)
		maps.Copy(all, add)
		if len(all) > maxTags {
			return awserr.New("TooManyTagsException", 400, "A resource can have at most %d tags.", maxTags)
		}
		g.Tags = all
		return nil
	})
}

func (s *Service) untag(c *gate.Call, name string, keys []string) error {
	return s.change(c, name, func(g *group) error {
		for _, k := range keys {
			delete(g.Tags, k)
		}
		return nil
	})
}

func (s *Service) tags(c *gate.Call, name string) (map[string]string, error) {
	g, err := s.read(c, &name)
	if g.Tags == nil {
		g.Tags = map[string]string{}
	}
	return g.Tags, err
}

func (s *Service) tagResource(c *gate.Call, in *logs.TagResourceInput) (*logs.TagResourceOutput, error) {
	return &logs.TagResourceOutput{}, s.tag(c, own(c, in.ResourceArn), in.Tags)
}

func (s *Service) untagResource(c *gate.Call, in *logs.UntagResourceInput) (*logs.UntagResourceOutput, error) {
	return &logs.UntagResourceOutput{}, s.untag(c, own(c, in.ResourceArn), in.TagKeys)
}

func (s *Service) listTagsForResource(c *gate.Call, in *logs.ListTagsForResourceInput) (*logs.ListTagsForResourceOutput, error) {
	tags, err := s.tags(c, own(c, in.ResourceArn))
	return &logs.ListTagsForResourceOutput{Tags: tags}, err
}

func (s *Service) tagLogGroup(c *gate.Call, in *logs.TagLogGroupInput) (*logs.TagLogGroupOutput, error) {
	return &logs.TagLogGroupOutput{}, s.tag(c, in.LogGroupName, in.Tags)
}

func (s *Service) untagLogGroup(c *gate.Call, in *logs.UntagLogGroupInput) (*logs.UntagLogGroupOutput, error) {
	return &logs.UntagLogGroupOutput{}, s.untag(c, in.LogGroupName, in.Tags)
}

func (s *Service) listTagsLogGroup(c *gate.Call, in *logs.ListTagsLogGroupInput) (*logs.ListTagsLogGroupOutput, error) {
	tags, err := s.tags(c, in.LogGroupName)
	return &logs.ListTagsLogGroupOutput{Tags: tags}, err
}
