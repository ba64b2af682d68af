package iam

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

// needs is one action on a resource that the input names, with the tags it brings.
func needs[In any](resource func(*In) string, keys func(*In) map[string][]string, action string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		n := gate.Need{Action: action, Resource: iamARN(a.Account(), resource(in))}
		if keys != nil {
			n.Keys = keys(in)
		}
		return []gate.Need{n}, firstFactor(a)
	}
}

// firstFactor refuses sessions of a user, or of the account itself, that were made without a second
// factor: they may not see or change who may do what, not even through another service. Source: STS
// API Reference, GetSessionToken, "You cannot call any IAM API operations unless MFA authentication
// information is included in the request".
func firstFactor(a *gate.Ask) error {
	p := a.Principal()
	own := p.Kind() == identity.KindUser || p.Kind() == identity.KindRoot && p.AccessKeyID() != "" // not the start-up's
	if own && p.Temporary() && !p.MFA() {
		return awserr.Of(awserr.InvalidToken, "The security token included in the request is invalid")
	}
	return nil
}

// listed is a list operation, which IAM decides on every resource of a sort.
func listed[In any](action, sort string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return needs(func(*In) string { return sort }, nil, action)
}

func tagKeys[In any](tags func(*In) []iam.Tag) func(*In) map[string][]string {
	return func(in *In) map[string][]string { return requestTags(tags(in)) }
}

// madeKeys are what a new user or role brings: its tags, and the boundary that it is made with.
func madeKeys[In any](of func(*In) ([]iam.Tag, *string)) func(*In) map[string][]string {
	return func(in *In) map[string][]string {
		tags, boundary := of(in)
		keys := requestTags(tags)
		if boundary == nil {
			return keys
		}
		if keys == nil {
			keys = map[string][]string{}
		}
		keys["iam:PermissionsBoundary"] = []string{*boundary}
		return keys
	}
}

func requestTags(tags []iam.Tag) map[string][]string {
	if len(tags) == 0 {
		return nil
	}
	keys := make(map[string][]string, len(tags)+1)
	for _, t := range tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	return keys
}

// onEntity is one action on a user or role that exists: its path is part of its name, its tags
// and boundary may be asked for.
func onEntity[In any](s *Service, k kind, action string, name func(*In) string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		n, err := s.entityNeed(a, k, action, name(in))
		return []gate.Need{n}, err
	}
}

func (s *Service) entityNeed(a *gate.Ask, k kind, action, name string) (gate.Need, error) {
	n := gate.Need{Action: action, Resource: iamARN(a.Account(), named(k, "/", name))}
	if err := firstFactor(a); err != nil {
		return n, err
	}
	var e entity
	var ok bool
	err := a.View(func(tx *store.Tx) error {
		var err error
		e, ok, err = k.table.Get(tx, nameKey(a.Account(), name))
		return err
	})
	if err != nil || !ok {
		return n, err // one that does not exist is decided by its name alone
	}
	n.Resource = e.arn(k)
	n.Lazy = entityKeys(e)
	return n, nil
}

func entityKeys(e entity) func(string) policy.Values {
	return func(low string) policy.Values {
		for _, prefix := range []string{"aws:resourcetag/", "iam:resourcetag/"} {
			tag, ok := strings.CutPrefix(low, prefix)
			if !ok {
				continue
			}
			for k, v := range e.Tags {
				if strings.EqualFold(k, tag) {
					return policy.One(v)
				}
			}
		}
		if low == "iam:permissionsboundary" && e.Boundary != "" {
			return policy.One(e.Boundary)
		}
		return policy.Values{}
	}
}

// onSelf is an action on a user that is the caller where the input names none.
func onSelf[In any](s *Service, action string, name func(*In) *string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		if name(in) == nil && a.Principal().Kind() == identity.KindRoot {
			return []gate.Need{{Action: action, Resource: iamARN(a.Account(), "root")}}, nil
		}
		if name(in) == nil && a.Principal().Kind() != identity.KindUser {
			return nil, awserr.New("ValidationError", 400, "Must specify userName when calling with non-User credentials")
		}
		n, err := s.entityNeed(a, s.t.users, action, selfName(a.Principal(), name(in)))
		return []gate.Need{n}, err
	}
}

func selfName(p identity.Principal, name *string) string {
	if name != nil {
		return *name
	}
	return p.UserName()
}

func onTagging[In any](s *Service, k kind, action string, of func(*In) (string, []iam.Tag)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		name, tags := of(in)
		n, err := s.entityNeed(a, k, action, name)
		n.Keys = requestTags(tags)
		return []gate.Need{n}, err
	}
}

func onAttach[In any](s *Service, k kind, action string, of func(*In) (string, string)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		name, policyARN := of(in)
		n, err := s.entityNeed(a, k, action, name)
		n.Keys = map[string][]string{"iam:PolicyARN": {policyARN}}
		return []gate.Need{n}, err
	}
}

func onBoundary[In any](s *Service, k kind, action string, of func(*In) (string, string)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		name, boundary := of(in)
		n, err := s.entityNeed(a, k, action, name)
		n.Keys = map[string][]string{"iam:PermissionsBoundary": {boundary}}
		return []gate.Need{n}, err
	}
}

func onPolicy[In any](action string, policyARN func(*In) string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		return []gate.Need{{Action: action, Resource: policyARN(in)}}, firstFactor(a)
	}
}
