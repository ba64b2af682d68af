package lambda

import (
	"maps"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
)

// TestTagsOfMappingsAndSigningConfigs: both are tagged as functions are, and policies see their tags.
func TestTagsOfMappingsAndSigningConfigs(t *testing.T) {
	r, _ := mappingRig(t)
	ctx := t.Context()
	csc, err := r.client.CreateCodeSigningConfig(ctx, &api.CreateCodeSigningConfigInput{Tags: map[string]string{"team": "a"},
		AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: []string{"arn:aws:signer:eu-west-1:123456789012:/signing-profiles/p/0123456789"}}})
	r.ok(err)
	made, err := r.mapped(api.CreateEventSourceMappingInput{EventSourceArn: new(queueARN), Tags: map[string]string{"team": "a"}})
	r.ok(err)
	r.dir.allow(t, "team-a", `{"Effect":"Allow","Action":["lambda:TagResource","lambda:UntagResource","lambda:ListTags"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}`)
	theirs := r.as(account, "team-a")
	for _, arn := range []string{csc.CodeSigningConfig.CodeSigningConfigArn, *made.EventSourceMappingArn} {
		_, err = theirs.TagResource(ctx, &api.TagResourceInput{Resource: arn, Tags: map[string]string{"x": "1", "y": "2"}})
		r.ok(err)
		_, err = theirs.UntagResource(ctx, &api.UntagResourceInput{Resource: arn, TagKeys: []string{"y", "none"}})
		r.ok(err)
		out, err := theirs.ListTags(ctx, &api.ListTagsInput{Resource: arn})
		r.ok(err)
		if !maps.Equal(out.Tags, map[string]string{"team": "a", "x": "1"}) {
			t.Errorf("%s has %v", arn, out.Tags)
		}
		many := map[string]string{}
		for n := range 49 {
			many[string(rune('A'+n))+"k"] = "v"
		}
		_, err = theirs.TagResource(ctx, &api.TagResourceInput{Resource: arn, Tags: many})
		r.refused(err, "InvalidParameterValueException", "must not exceed 50")
		_, err = theirs.TagResource(ctx, &api.TagResourceInput{Resource: arn, Tags: map[string]string{"team": "b"}})
		r.ok(err)
		_, err = theirs.ListTags(ctx, &api.ListTagsInput{Resource: arn})
		r.refused(err, "AccessDeniedException", "lambda:ListTags")
	}
	for _, arn := range []string{"arn:aws:lambda:eu-west-1:123456789012:code-signing-config:csc-0123456789abcdef0",
		"arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:14e0db71-1d3e-4f4c-8d5e-0a4e5d1e7f11",
		"arn:aws:lambda:eu-west-1:210987654321:event-source-mapping:14e0db71-1d3e-4f4c-8d5e-0a4e5d1e7f11"} {
		_, err := r.client.ListTags(ctx, &api.ListTagsInput{Resource: arn})
		r.refused(err, "ResourceNotFoundException", "")
		_, err = r.client.TagResource(ctx, &api.TagResourceInput{Resource: arn, Tags: map[string]string{"a": "b"}})
		r.refused(err, "ResourceNotFoundException", "")
	}
}
