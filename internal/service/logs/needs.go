package logs

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

// named is a group given by name or by identifier, which may be an ARN.
func named(name, identifier *string) *string {
	if name != nil || identifier == nil {
		return name
	}
	return new(groupOfARN(*identifier))
}

// groupOfARN is a group's name from its ARN; a plain name stays as it is.
func groupOfARN(id string) string {
	a, err := arn.Parse(id)
	if err != nil {
		return id
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(a.Resource, "log-group:"), ":")
	return name
}

// own is the group that an identifier names in the call's account and region; an ARN of another
// account or region names none of ours.
func own(c *gate.Call, id string) string {
	if a, err := arn.Parse(id); err == nil && (a.Service != "logs" || a.Account != c.Account() || a.Region != c.Region()) {
		return ""
	}
	return groupOfARN(id)
}

// ownNamed is named, within the call's account and region.
func ownNamed(c *gate.Call, name, identifier *string) *string {
	if name != nil || identifier == nil {
		return name
	}
	return new(own(c, *identifier))
}

func orEmpty(s *string) *string {
	if s == nil {
		return new("")
	}
	return s
}

// onGroup is an action on a group: AWS's resource is the group's ARN with any of its streams.
// Source: Service Authorization Reference, "Amazon CloudWatch Logs".
func onGroup[In any](s *Service, action string, name func(*In) *string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		return []gate.Need{s.groupNeed(a, action, *orEmpty(name(in)))}, nil
	}
}

func (s *Service) groupNeed(a *gate.Ask, action, name string) gate.Need {
	return gate.Need{Action: action, Resource: a.ARN("log-group:" + name + ":*"), Lazy: s.tagsOf(a, name)}
}

// tagsOf answers aws:ResourceTag keys of a group.
func (s *Service) tagsOf(a *gate.Ask, name string) func(string) policy.Values {
	return a.ResourceTags(func(tx *store.Tx) (map[string]string, error) {
		g, _, err := s.t.groups.Get(tx, groupKey(a.Account(), a.Region(), name))
		return g.Tags, err
	})
}

func onStream[In any](s *Service, action string, of func(*In) (group, stream string)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		name, stream := of(in)
		n := s.groupNeed(a, action, name)
		n.Resource = a.ARN("log-group:" + name + ":log-stream:" + stream)
		return []gate.Need{n}, nil
	}
}

func onARN[In any](s *Service, action string, of func(*In) (string, map[string]string)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		resource, tags := of(in)
		n := s.groupNeed(a, action, groupOfARN(resource))
		n.Keys = gate.RequestTags(tags)
		return []gate.Need{n}, nil
	}
}

func (s *Service) needTagged(action string) func(*gate.Ask, *logs.CreateLogGroupInput) ([]gate.Need, error) {
	return func(a *gate.Ask, in *logs.CreateLogGroupInput) ([]gate.Need, error) {
		n := gate.Need{Action: action, Resource: a.ARN("log-group:" + in.LogGroupName), Keys: gate.RequestTags(in.Tags)}
		needs := []gate.Need{n}
		if len(in.Tags) > 0 {
			n.Action = "logs:TagResource"
			needs = append(needs, n)
		}
		return needs, nil
	}
}

func (s *Service) needDescribe(a *gate.Ask, _ *logs.DescribeLogGroupsInput) ([]gate.Need, error) {
	return []gate.Need{{Action: "logs:DescribeLogGroups", Resource: a.ARN("log-group::log-stream:")}}, nil
}
