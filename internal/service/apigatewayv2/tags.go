package apigatewayv2

import (
	"maps"
	"strings"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

const maxTags = 50

// reservedTag words a tag of AWS's own.
func reservedTag(string) error { return bad("Invalid tag key. Tag keys cannot start with 'aws:'") }

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return bad("The number of tags has reached the maximum limit of %d", maxTags)
	}
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 {
			return bad("Invalid tag %q", k)
		}
	}
	return nil
}

// named reads the ARN of an API or a stage: arn:aws:apigateway:REGION::/apis/ID[/stages/NAME].
func named(resourceARN string) (id, stage string, ok bool) {
	a, err := arn.Parse(resourceARN)
	if err != nil || a.Service != "apigateway" {
		return "", "", false
	}
	parts := strings.Split(strings.TrimPrefix(a.Resource, "/"), "/")
	switch {
	case len(parts) == 2 && parts[0] == "apis":
		return parts[1], "", true
	case len(parts) == 4 && parts[0] == "apis" && parts[2] == "stages":
		return parts[1], parts[3], true
	}
	return "", "", false
}

func idOf(resourceARN string) string {
	id, _, _ := named(resourceARN)
	return id
}

// tagsOf finds the tags that an ARN names within its API.
func (r *record) tagsOf(resourceARN string) (*map[string]string, error) {
	_, stage, _ := named(resourceARN)
	if stage == "" {
		return &r.API.Tags, nil
	}
	i, err := find(r.Stages, stageName, "stage", stage)
	if err != nil {
		return nil, err
	}
	return &r.Stages[i].Tags, nil
}

func (s *Service) tagResource(c *gate.Call, in *v2.TagResourceInput) (*v2.TagResourceOutput, error) {
	return changeTags[v2.TagResourceOutput](s, c, in.ResourceArn, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

func (s *Service) untagResource(c *gate.Call, in *v2.UntagResourceInput) (*v2.UntagResourceOutput, error) {
	return changeTags[v2.UntagResourceOutput](s, c, in.ResourceArn, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

func changeTags[Out any](s *Service, c *gate.Call, resourceARN string, alter func(map[string]string)) (*Out, error) {
	id, _, ok := named(resourceARN)
	if !ok {
		return nil, bad("Invalid resource ARN: %s", resourceARN)
	}
	return change(s, c, id, false, func(_ *store.Tx, r *record) (*Out, error) {
		at, err := r.tagsOf(resourceARN)
		if err != nil {
			return nil, err
		}
		tags := map[string]string{}
		maps.Copy(tags, *at)
		alter(tags)
		if *at = tags; len(tags) == 0 {
			*at = nil
		}
		return new(Out), checkTags(tags)
	})
}

func (s *Service) getTags(c *gate.Call, in *v2.GetTagsInput) (*v2.GetTagsOutput, error) {
	id, _, ok := named(in.ResourceArn)
	if !ok {
		return nil, bad("Invalid resource ARN: %s", in.ResourceArn)
	}
	r, err := s.read(c, id)
	if err != nil {
		return nil, err
	}
	tags, err := r.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &v2.GetTagsOutput{Tags: *tags}, nil
}
