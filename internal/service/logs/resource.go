package logs

import (
	"context"
	"fmt"

	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Resources are the CloudFormation types that the service offers.
func (s *Service) Resources() []gate.Resource {
	return []gate.Resource{{
		Type: "AWS::Logs::LogGroup", Attributes: []string{"Arn"},
		Properties: []string{"LogGroupName", "RetentionInDays", "Tags", "Tags.Key", "Tags.Value", "LogGroupClass", "DeletionProtectionEnabled"},
		Replace:    []string{"LogGroupName", "LogGroupClass"},
		NameLimit:  512,
		Create:     createGroup,
		Update:     updateGroup,
		Delete:     deleteGroup,
	}}
}

func madeGroup(m gate.Making, name string) gate.Made {
	return gate.Made{ID: name, Attributes: map[string]any{"Arn": arn.New("logs", m.Region, m.Account, "log-group:"+name+":*").String()}}
}

func createGroup(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	name, ok := props["LogGroupName"].(string)
	if !ok {
		name = m.Name
	}
	in := &logs.CreateLogGroupInput{LogGroupName: name, Tags: tagsFrom(props["Tags"])}
	if class, ok := props["LogGroupClass"].(string); ok {
		in.LogGroupClass = &class
	}
	if err := wire.Properties(in, map[string]any{"DeletionProtectionEnabled": props["DeletionProtectionEnabled"]}); err != nil {
		return gate.Made{}, err
	}
	c := logs.Client{Caller: m.Caller}
	_, err := c.CreateLogGroup(ctx, in)
	if awserr.Is(err, "ResourceAlreadyExistsException") { // by an earlier attempt, or a stranger
		have, terr := c.ListTagsForResource(ctx, &logs.ListTagsForResourceInput{ResourceArn: arn.New("logs", m.Region, m.Account, "log-group:"+name).String()})
		if terr == nil && m.Owns(name, have.Tags) {
			err = nil
		}
	}
	if err != nil {
		return gate.Made{}, err
	}
	return madeGroup(m, name), retain(ctx, c, name, props)
}

func retain(ctx context.Context, c logs.Client, name string, props map[string]any) error {
	if props["RetentionInDays"] == nil {
		return nil
	}
	days, err := whole(props["RetentionInDays"])
	if err == nil {
		_, err = c.PutRetentionPolicy(ctx, &logs.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: days})
	}
	return err
}

func whole(v any) (n int32, err error) {
	if _, err = fmt.Sscan(fmt.Sprint(v), &n); err != nil {
		err = awserr.New("ValidationError", 400, "RetentionInDays must be a whole number, not %v", v)
	}
	return n, err
}

func updateGroup(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	c := logs.Client{Caller: m.Caller}
	if err := sameProtection(ctx, c, id, before, after); err != nil {
		return gate.Made{}, err
	}
	if err := retain(ctx, c, id, after); err != nil {
		return gate.Made{}, err
	}
	if before["RetentionInDays"] != nil && after["RetentionInDays"] == nil {
		if _, err := c.DeleteRetentionPolicy(ctx, &logs.DeleteRetentionPolicyInput{LogGroupName: id}); err != nil {
			return gate.Made{}, err
		}
	}
	old, now := tagsFrom(before["Tags"]), tagsFrom(after["Tags"])
	var gone []string
	for k := range old {
		if _, kept := now[k]; !kept {
			gone = append(gone, k)
		}
	}
	if len(gone) > 0 {
		if _, err := c.UntagLogGroup(ctx, &logs.UntagLogGroupInput{LogGroupName: id, Tags: gone}); err != nil {
			return gate.Made{}, err
		}
	}
	if len(now) > 0 {
		if _, err := c.TagLogGroup(ctx, &logs.TagLogGroupInput{LogGroupName: id, Tags: now}); err != nil {
			return gate.Made{}, err
		}
	}
	return madeGroup(m, id), nil
}

// sameProtection refuses to change the protection that a group was created with: the operation for
// it is not built. What a failed update did not change, its undoing finds as it wants it.
func sameProtection(ctx context.Context, c logs.Client, id string, before, after map[string]any) error {
	var was, want struct{ DeletionProtectionEnabled bool }
	if err := wire.Properties(&was, before); err != nil {
		return err
	}
	if err := wire.Properties(&want, after); err != nil || was == want {
		return err
	}
	groups, err := c.DescribeLogGroups(ctx, &logs.DescribeLogGroupsInput{LogGroupNamePrefix: &id})
	if err != nil {
		return err
	}
	for _, g := range groups.LogGroups {
		if wire.Val(g.LogGroupName) == id && wire.Val(g.DeletionProtectionEnabled) == want.DeletionProtectionEnabled {
			return nil
		}
	}
	return awserr.Of(awserr.NotImplemented, "A change of DeletionProtectionEnabled: not built in this version of Bastide.")
}

func deleteGroup(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := logs.Client{Caller: m.Caller}.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: id})
	if awserr.Is(err, "ResourceNotFoundException") {
		return nil
	}
	return err
}

func tagsFrom(v any) map[string]string {
	list, _ := v.([]any)
	out := make(map[string]string, len(list))
	for _, t := range list {
		if m, ok := t.(map[string]any); ok {
			out[fmt.Sprint(m["Key"])] = fmt.Sprint(m["Value"])
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
