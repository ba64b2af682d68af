package lambda

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Limits of tags. Source: AWS Lambda Developer Guide, "Using tags on Lambda functions".
const (
	maxTags     = 50
	maxTagKey   = 128 // characters
	maxTagValue = 256
)

// reservedTag words a tag of AWS's own.
func reservedTag(string) error {
	return invalid("Tag keys starting with 'aws:' are reserved for internal use.")
}

// checkTags refuses what is no tag.
func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return tooManyTags()
	}
	for k, v := range tags {
		switch {
		case k == "" || utf8.RuneCountInString(k) > maxTagKey:
			return invalid("Tag keys must have 1 to %d characters.", maxTagKey)
		case utf8.RuneCountInString(v) > maxTagValue:
			return invalid("Tag values must have at most %d characters.", maxTagValue)
		}
	}
	if err := checkIsolation(tags); err != nil {
		return err
	}
	_, err := ways(tags)
	if err == nil {
		_, err = profileMode(tags)
	}
	return err
}

func tooManyTags() error { return invalid("The number of tags must not exceed %d.", maxTags) }

// tagged does what a tag asks for beside being there.
type tagged func(tx *store.Tx, now function, tags map[string]string) error

// profileTagged is what the tag of the profile asks for, where a call names it.
func (s *Service) profileTagged(named bool) []tagged {
	if !named {
		return nil
	}
	return []tagged{s.holdProfile}
}

// retag changes the tags of a function, or of what else has some.
func (s *Service) retag(c *gate.Call, resource string, change func(map[string]string), more ...tagged) error {
	if other, err := taggableAt(c, resource); err != nil || other != nil {
		if err == nil {
			err = s.retagOther(c, other, change)
		}
		return err
	}
	k, err := latest(c, resource)
	if err != nil {
		return err
	}
	err = c.Update(func(tx *store.Tx) error {
		f, err := s.t.find(tx, reference{k, ""})
		if err != nil {
			return err
		}
		tags := maps.Clone(f.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		change(tags)
		if len(tags) > maxTags {
			return tooManyTags()
		}
		for _, do := range more {
			if err := do(tx, f, tags); err != nil {
				return err
			}
		}
		f.Tags = tags
		return s.t.functions.Put(tx, k.key(), f)
	})
	s.nudgeReady(err)
	return err
}

func (s *Service) tagResource(c *gate.Call, in *lambda.TagResourceInput) (*lambda.TagResourceOutput, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if err := s.Isolation.check(in.Tags, wishes{}); err != nil {
		return nil, err
	}
	_, profiled := in.Tags[tagProfile]
	return &lambda.TagResourceOutput{}, s.retag(c, in.Resource, func(tags map[string]string) { maps.Copy(tags, in.Tags) }, s.profileTagged(profiled)...)
}

func (s *Service) untagResource(c *gate.Call, in *lambda.UntagResourceInput) (*lambda.UntagResourceOutput, error) {
	return &lambda.UntagResourceOutput{}, s.retag(c, in.Resource, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	}, s.profileTagged(slices.Contains(in.TagKeys, tagProfile))...)
}

func (s *Service) listTags(c *gate.Call, in *lambda.ListTagsInput) (*lambda.ListTagsOutput, error) {
	if other, err := taggableAt(c, in.Resource); err != nil {
		return nil, err
	} else if other != nil {
		return s.listOtherTags(c, other)
	}
	k, err := latest(c, in.Resource)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListTagsOutput{Tags: map[string]string{}}
	err = c.View(func(tx *store.Tx) error {
		f, err := s.t.find(tx, reference{k, ""})
		maps.Copy(out.Tags, f.Tags)
		return err
	})
	return out, err
}
