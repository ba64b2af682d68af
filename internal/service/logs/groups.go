package logs

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/eventlog"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func noGroup() error {
	return awserr.New("ResourceNotFoundException", 400, "The specified log group does not exist.")
}

func invalid(format string, args ...any) error {
	return awserr.New("InvalidParameterException", 400, format, args...)
}

// find reads a group of the call's account and region.
func (s *Service) find(tx *store.Tx, c *gate.Call, name string) (group, error) {
	g, ok, err := s.t.groups.Get(tx, groupKey(c.Account(), c.Region(), name))
	if err == nil && !ok {
		err = noGroup()
	}
	return g, err
}

func (s *Service) read(c *gate.Call, name *string) (g group, err error) {
	if name == nil {
		return g, invalid("Either logGroupName or logGroupIdentifier must be given.")
	}
	err = c.View(func(tx *store.Tx) error {
		g, err = s.find(tx, c, *name)
		return err
	})
	return g, err
}

func (s *Service) change(c *gate.Call, name string, alter func(*group) error) error {
	return c.Update(func(tx *store.Tx) error {
		g, err := s.find(tx, c, name)
		if err != nil {
			return err
		}
		if err := alter(&g); err != nil {
			return err
		}
		return s.t.groups.Put(tx, groupKey(g.Account, g.Region, g.Name), g)
	})
}

func (s *Service) createLogGroup(c *gate.Call, in *logs.CreateLogGroupInput) (*logs.CreateLogGroupOutput, error) {
	if in.KmsKeyId != nil {
		return nil, awserr.Of(awserr.NotImplemented, "KMS keys for log groups are not built in this version of Bastide.")
	}
	g := group{Account: c.Account(), Region: c.Region(), Name: in.LogGroupName, ID: s.IDs.UUID(), Created: c.Now(), Class: "STANDARD",
		Protected: wire.Val(in.DeletionProtectionEnabled), Tags: in.Tags}
	if in.LogGroupClass != nil {
		g.Class = *in.LogGroupClass
	}
	return &logs.CreateLogGroupOutput{}, c.Update(func(tx *store.Tx) error {
		taken, err := s.t.groups.Has(tx, groupKey(g.Account, g.Region, g.Name))
		if err != nil {
			return err
		}
		if taken {
			return awserr.New("ResourceAlreadyExistsException", 400, "The specified log group already exists")
		}
		return s.t.groups.Put(tx, groupKey(g.Account, g.Region, g.Name), g)
	})
}

// deleteLogGroup removes the group's rows, and then its events, which nobody can name any more.
func (s *Service) deleteLogGroup(c *gate.Call, in *logs.DeleteLogGroupInput) (*logs.DeleteLogGroupOutput, error) {
	var g group
	err := c.Update(func(tx *store.Tx) (err error) {
		if g, err = s.find(tx, c, in.LogGroupName); err != nil {
			return err
		}
		if g.Protected {
			return awserr.New("ValidationException", 400, "Deletion protection is enabled for the log group.")
		}
		for row, err := range s.t.streams.Scan(tx, streamsKey(g.ID), store.Range{}) {
			if err != nil {
				return err
			}
			if _, err := s.t.streams.Delete(tx, row.Key); err != nil {
				return err
			}
		}
		_, err = s.t.groups.Delete(tx, groupKey(g.Account, g.Region, g.Name))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &logs.DeleteLogGroupOutput{}, s.Events.Delete(c.Context(), g.events(""), 0)
}

const pageOfGroups = 50

func (s *Service) describeLogGroups(c *gate.Call, in *logs.DescribeLogGroupsInput) (*logs.DescribeLogGroupsOutput, error) {
	if len(in.LogGroupIdentifiers) > 0 || len(in.AccountIdentifiers) > 0 || wire.Val(in.IncludeLinkedAccounts) {
		return nil, awserr.Of(awserr.NotImplemented, "Describing log groups of linked accounts or by identifier is not built in this version of Bastide.")
	}
	after, err := unmark(in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := pageOfGroups
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	var found []group
	var next *string
	err = c.View(func(tx *store.Tx) error {
		found, next = nil, nil
		for row, err := range s.t.groups.Scan(tx, groupsKey(c.Account(), c.Region()), store.Range{}) {
			if err != nil {
				return err
			}
			g := row.Value
			if g.Name <= after || !strings.HasPrefix(g.Name, wire.Val(in.LogGroupNamePrefix)) || in.LogGroupClass != nil && *in.LogGroupClass != g.Class ||
				in.LogGroupNamePattern != nil && !strings.Contains(strings.ToLower(g.Name), strings.ToLower(*in.LogGroupNamePattern)) {
				continue
			}
			if len(found) == limit {
				next = mark(found[limit-1].Name)
				return nil
			}
			found = append(found, g)
		}
		return nil
	})
	out := &logs.DescribeLogGroupsOutput{LogGroups: []logs.LogGroup{}, NextToken: next}
	for _, g := range found {
		size, err := s.Events.Size(c.Context(), g.ID)
		if err != nil {
			return nil, err
		}
		out.LogGroups = append(out.LogGroups, g.public(size))
	}
	return out, err
}

func (g group) public(size int64) logs.LogGroup {
	p := logs.LogGroup{LogGroupName: &g.Name, CreationTime: new(g.Created.UnixMilli()), MetricFilterCount: new(int32(0)), Arn: new(g.arn() + ":*"),
		LogGroupArn: new(g.arn()), StoredBytes: &size, LogGroupClass: &g.Class, DeletionProtectionEnabled: &g.Protected}
	if g.Retention > 0 {
		p.RetentionInDays = &g.Retention
	}
	return p
}

func mark(name string) *string { return new(base64.RawURLEncoding.EncodeToString([]byte(name))) }

func unmark(token *string) (string, error) {
	if token == nil {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil {
		return "", invalid("The specified nextToken is invalid.")
	}
	return string(b), nil
}

// retentions are the days that AWS offers. Source: API Reference, PutRetentionPolicy.
var retentions = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

func (s *Service) putRetentionPolicy(c *gate.Call, in *logs.PutRetentionPolicyInput) (*logs.PutRetentionPolicyOutput, error) {
	if !slices.Contains(retentions, in.RetentionInDays) {
		return nil, invalid("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: %v", in.RetentionInDays, retentions)
	}
	return &logs.PutRetentionPolicyOutput{}, s.change(c, in.LogGroupName, func(g *group) error {
		g.Retention = in.RetentionInDays
		return nil
	})
}

func (s *Service) deleteRetentionPolicy(c *gate.Call, in *logs.DeleteRetentionPolicyInput) (*logs.DeleteRetentionPolicyOutput, error) {
	return &logs.DeleteRetentionPolicyOutput{}, s.change(c, in.LogGroupName, func(g *group) error {
		g.Retention = 0
		return nil
	})
}

// expire removes what is older than its group keeps, once an hour.
func (s *Service) expire(ctx context.Context, job gate.Job) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := s.expireOnce(ctx, job); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Service) expireOnce(ctx context.Context, job gate.Job) error {
	var old []group
	var now time.Time
	err := job.View(ctx, func(tx *store.Tx) error {
		old, now = nil, tx.Now()
		for row, err := range s.t.groups.Scan(tx, store.K(), store.Range{}) {
			if err != nil {
				return err
			}
			if row.Value.Retention > 0 {
				old = append(old, row.Value)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, g := range old {
		before := now.Add(-time.Duration(g.Retention) * 24 * time.Hour).UnixMilli()
		if err := s.Events.Delete(ctx, eventlog.Stream{Group: g.ID}, before); err != nil {
			return err
		}
	}
	return nil
}
