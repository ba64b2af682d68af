package iam

import (
	"maps"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func lastOf(policyARN string) string {
	return policyARN[strings.LastIndexByte(policyARN, '/')+1:]
}

// pathIn is the path of a policy's ARN: "/service-role/".
func pathIn(policyARN string) string {
	_, resource, _ := strings.Cut(policyARN, ":policy")
	return resource[:strings.LastIndexByte(resource, '/')+1]
}

func noPolicy(policyARN string) error {
	return noEntity("Policy %s was not found.", policyARN)
}

// getManaged reads a customer-managed policy of the account by its ARN.
func (s *Service) getManaged(tx *store.Tx, account, policyARN string) (managed, error) {
	k, ok := policyKey(policyARN)
	if !ok {
		return managed{}, awserr.New("InvalidInput", 400, "ARN %s is not valid.", policyARN)
	}
	p, ok, err := s.t.policies.Get(tx, k)
	if err == nil && (!ok || p.Account != account || p.arn() != policyARN) {
		err = noPolicy(policyARN)
	}
	return p, err
}

// readManaged is a handler's look at a policy, AWS's or the account's own.
func (s *Service) readManaged(c *gate.Call, policyARN string) (managed, error) {
	if a, ok := s.aws[policyARN]; ok {
		return a.managed(), nil
	}
	var p managed
	err := c.View(func(tx *store.Tx) (err error) {
		p, err = s.getManaged(tx, c.Account(), policyARN)
		return err
	})
	return p, err
}

func (s *Service) changeManaged(c *gate.Call, policyARN string, alter func(*managed) error) error {
	return c.Update(func(tx *store.Tx) error {
		p, err := s.getManaged(tx, c.Account(), policyARN)
		if err != nil {
			return err
		}
		if err := alter(&p); err != nil {
			return err
		}
		return s.t.policies.Put(tx, nameKey(p.Account, p.Name), p)
	})
}

func (s *Service) createPolicy(c *gate.Call, in *iam.CreatePolicyInput) (*iam.CreatePolicyOutput, error) {
	if _, err := document(in.PolicyDocument, policy.Identity, maxManaged); err != nil {
		return nil, err
	}
	tags, err := withTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	p := managed{Account: c.Account(), Name: in.PolicyName, Path: pathOf(in.Path), ID: s.ids.Unique("ANPA", 21), Created: c.Now(),
		Updated: c.Now(), Versions: []version{{"v1", in.PolicyDocument, c.Now()}}, Default: "v1", Next: 2, Tags: tags}
	if in.Description != nil {
		p.Description = *in.Description
	}
	return gate.Commit(c, func(tx *store.Tx) (*iam.CreatePolicyOutput, error) {
		_, taken, err := s.t.policies.Get(tx, nameKey(p.Account, p.Name))
		if err != nil {
			return nil, err
		}
		if taken {
			return nil, awserr.New("EntityAlreadyExists", 409, "A policy called %s already exists. Duplicate names are not allowed.", p.Name)
		}
		if err := s.t.policies.Put(tx, nameKey(p.Account, p.Name), p); err != nil {
			return nil, err
		}
		return &iam.CreatePolicyOutput{Policy: new(p.public(0, 0))}, nil
	})
}

func (p managed) public(attached, bounding int32) iam.Policy {
	return iam.Policy{PolicyName: &p.Name, PolicyId: &p.ID, Arn: new(p.arn()), Path: &p.Path, DefaultVersionId: &p.Default,
		AttachmentCount: &attached, PermissionsBoundaryUsageCount: &bounding, IsAttachable: new(true),
		Description: optional(p.Description), CreateDate: &p.Created, UpdateDate: &p.Updated, Tags: tagList(p.Tags)}
}

// users of a policy within an account: entities that it is attached to, and that it bounds.
func (s *Service) usersOf(tx *store.Tx, k kind, account, policyARN string) (attached, bound []entity, err error) {
	for row, err := range k.table.By("attached").Scan(tx, store.K(account, policyARN), store.Range{}) {
		if err != nil {
			return nil, nil, err
		}
		e := row.Value
		if e.Boundary == policyARN {
			bound = append(bound, e)
		}
		for _, a := range e.Attached {
			if a == policyARN {
				attached = append(attached, e)
			}
		}
	}
	return attached, bound, nil
}

func (s *Service) counts(tx *store.Tx, account, policyARN string) (attached, bound int32, err error) {
	for _, k := range []kind{s.t.users, s.t.roles} {
		a, b, err := s.usersOf(tx, k, account, policyARN)
		if err != nil {
			return 0, 0, err
		}
		attached, bound = attached+int32(len(a)), bound+int32(len(b))
	}
	return attached, bound, nil
}

func (s *Service) getPolicy(c *gate.Call, in *iam.GetPolicyInput) (*iam.GetPolicyOutput, error) {
	p, err := s.readManaged(c, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	var a, b int32
	err = c.View(func(tx *store.Tx) (err error) {
		a, b, err = s.counts(tx, c.Account(), in.PolicyArn)
		return err
	})
	return &iam.GetPolicyOutput{Policy: new(p.public(a, b))}, err
}

func (s *Service) deletePolicy(c *gate.Call, in *iam.DeletePolicyInput) (*iam.DeletePolicyOutput, error) {
	return &iam.DeletePolicyOutput{}, c.Update(func(tx *store.Tx) error {
		p, err := s.getManaged(tx, c.Account(), in.PolicyArn)
		if err != nil {
			return err
		}
		a, b, err := s.counts(tx, c.Account(), in.PolicyArn)
		if err != nil {
			return err
		}
		if a+b > 0 {
			return conflict("Cannot delete a policy attached to entities.")
		}
		if len(p.Versions) > 1 {
			return conflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		_, err = s.t.policies.Delete(tx, nameKey(p.Account, p.Name))
		return err
	})
}

func (s *Service) listPolicies(c *gate.Call, in *iam.ListPoliciesInput) (*iam.ListPoliciesOutput, error) {
	p, err := pageOf(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	scope := "All"
	if in.Scope != nil {
		scope = *in.Scope
	}
	var all []iam.Policy
	add := func(tx *store.Tx, m managed) error {
		a, b, err := s.counts(tx, c.Account(), m.arn())
		if err != nil || !strings.HasPrefix(m.Path, pathOf(in.PathPrefix)) {
			return err
		}
		switch uses := wire.Val(in.PolicyUsageFilter); {
		case wire.Val(in.OnlyAttached) && a+b == 0, uses == "PermissionsPolicy" && a == 0, uses == "PermissionsBoundary" && b == 0:
			return nil
		}
		pub := m.public(a, b)
		pub.Tags, pub.Description = nil, nil // ListPolicies leaves them out, as on AWS
		all = append(all, pub)
		return nil
	}
	err = c.View(func(tx *store.Tx) error {
		all = nil
		if scope != "AWS" {
			for row, err := range s.t.policies.Scan(tx, store.K(c.Account()), store.Range{}) {
				if err != nil {
					return err
				}
				if err := add(tx, row.Value); err != nil {
					return err
				}
			}
		}
		if scope == "Local" {
			return nil
		}
		for _, a := range s.awsSorted() {
			if err := add(tx, a.managed()); err != nil {
				return err
			}
		}
		return nil
	})
	found, next := cut(all, p, place)
	return &iam.ListPoliciesOutput{Policies: append([]iam.Policy{}, found...), Marker: next, IsTruncated: new(next != nil)}, err
}

// place orders policies, the account's own by name before AWS's by ARN, so that a page may begin
// behind a policy that is gone.
func place(p iam.Policy) string {
	if strings.HasPrefix(*p.Arn, "arn:aws:iam::aws:") {
		return "1" + *p.Arn
	}
	return "0" + *p.PolicyName
}

func (s *Service) listEntitiesForPolicy(c *gate.Call, in *iam.ListEntitiesForPolicyInput) (*iam.ListEntitiesForPolicyOutput, error) {
	if _, err := s.readManaged(c, in.PolicyArn); err != nil {
		return nil, err
	}
	p, err := pageOf(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	var all []using
	err = c.View(func(tx *store.Tx) error {
		users, err := s.entitiesFor(tx, s.t.users, c.Account(), in)
		if err != nil {
			return err
		}
		roles, err := s.entitiesFor(tx, s.t.roles, c.Account(), in)
		all = append(users, roles...)
		return err
	})
	found, next := cut(all, p, func(u using) string { return u.place })
	out := &iam.ListEntitiesForPolicyOutput{PolicyGroups: []iam.PolicyGroup{}, PolicyUsers: []iam.PolicyUser{}, PolicyRoles: []iam.PolicyRole{},
		Marker: next, IsTruncated: new(next != nil)}
	for _, u := range found {
		if u.kind == s.t.users.noun {
			out.PolicyUsers = append(out.PolicyUsers, iam.PolicyUser{UserName: &u.Name, UserId: &u.ID})
		} else {
			out.PolicyRoles = append(out.PolicyRoles, iam.PolicyRole{RoleName: &u.Name, RoleId: &u.ID})
		}
	}
	return out, err
}

// using is a user or role that a policy is attached to or bounds; users come before roles.
type using struct {
	entity
	kind, place string
}

func (s *Service) entitiesFor(tx *store.Tx, k kind, account string, in *iam.ListEntitiesForPolicyInput) (out []using, err error) {
	if in.EntityFilter != nil && *in.EntityFilter != k.title {
		return nil, nil
	}
	attached, bound, err := s.usersOf(tx, k, account, in.PolicyArn)
	found := map[string]entity{} // one that is both comes once
	if wire.Val(in.PolicyUsageFilter) != "PermissionsBoundary" {
		for _, e := range attached {
			found[strings.ToLower(e.Name)] = e
		}
	}
	if wire.Val(in.PolicyUsageFilter) != "PermissionsPolicy" {
		for _, e := range bound {
			found[strings.ToLower(e.Name)] = e
		}
	}
	rank := "1"
	if k.noun == s.t.users.noun {
		rank = "0"
	}
	for _, low := range slices.Sorted(maps.Keys(found)) {
		if e := found[low]; strings.HasPrefix(e.Path, pathOf(in.PathPrefix)) {
			out = append(out, using{e, k.noun, rank + low})
		}
	}
	return out, err
}

func (s *Service) tagPolicy(c *gate.Call, in *iam.TagPolicyInput) (*iam.TagPolicyOutput, error) {
	return &iam.TagPolicyOutput{}, s.changeManaged(c, in.PolicyArn, func(p *managed) (err error) {
		p.Tags, err = withTags(p.Tags, in.Tags)
		return err
	})
}

func (s *Service) untagPolicy(c *gate.Call, in *iam.UntagPolicyInput) (*iam.UntagPolicyOutput, error) {
	return &iam.UntagPolicyOutput{}, s.changeManaged(c, in.PolicyArn, func(p *managed) error {
		p.Tags = without(p.Tags, in.TagKeys)
		return nil
	})
}

func (s *Service) listPolicyTags(c *gate.Call, in *iam.ListPolicyTagsInput) (*iam.ListPolicyTagsOutput, error) {
	p, err := pageOf(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	m, err := s.readManaged(c, in.PolicyArn)
	tags, next := cut(tagList(m.Tags), p, func(t iam.Tag) string { return t.Key })
	if tags == nil {
		tags = []iam.Tag{}
	}
	return &iam.ListPolicyTagsOutput{Tags: tags, Marker: next, IsTruncated: new(next != nil)}, err
}
