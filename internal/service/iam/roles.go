package iam

import (
	"errors"
	"net/url"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

const defaultSession = 3600 // seconds

func (s *Service) createRole(c *gate.Call, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	trust, names, err := trusting(c, in.AssumeRolePolicyDocument)
	if err != nil {
		return nil, err
	}
	tags, err := withTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	e := entity{Account: c.Account(), Name: in.RoleName, Path: pathOf(in.Path), ID: s.ids.Unique("AROA", 21), Created: c.Now(),
		Tags: tags, Trust: trust, TrustNames: names, MaxSession: defaultSession}
	if in.Description != nil {
		e.Description = *in.Description
	}
	if in.MaxSessionDuration != nil {
		e.MaxSession = *in.MaxSessionDuration
	}
	return gate.Commit(c, func(tx *store.Tx) (*iam.CreateRoleOutput, error) {
		if err := s.setBoundary(tx, &e, in.PermissionsBoundary); err != nil {
			return nil, err
		}
		if err := s.t.roles.add(tx, e); err != nil {
			return nil, err
		}
		return &iam.CreateRoleOutput{Role: new(s.role(e, in.AssumeRolePolicyDocument))}, nil
	})
}

// trusting is a trust policy as it is kept.
func trusting(c *gate.Call, doc string) (text string, names map[string]string, err error) {
	p, err := document(doc, policy.Trust, maxTrust)
	if err != nil {
		return "", nil, err
	}
	text, names, err = c.Bind(p)
	return text, names, malformed(err)
}

// shown is the public form of a role that is kept. It has no place inside View or Update.
func (s *Service) shown(c *gate.Call, e entity) (iam.Role, error) {
	trust, err := c.Unbind(e.Trust, e.TrustNames)
	return s.role(e, trust), err
}

// role is the public form; documents travel percent-encoded (RFC 3986), as IAM's answers have them.
func (s *Service) role(e entity, trust string) iam.Role {
	return iam.Role{Path: e.Path, RoleName: e.Name, RoleId: e.ID, Arn: e.arn(s.t.roles), CreateDate: e.Created,
		AssumeRolePolicyDocument: new(encoded(trust)), Description: optional(e.Description), MaxSessionDuration: new(e.MaxSession),
		PermissionsBoundary: boundaryOf(e), Tags: tagList(e.Tags)}
}

func encoded(doc string) string { return strings.ReplaceAll(url.QueryEscape(doc), "+", "%20") }

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (s *Service) getRole(c *gate.Call, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	e, err := s.t.roles.read(c, in.RoleName)
	if err != nil {
		return nil, err
	}
	r, err := s.shown(c, e)
	return &iam.GetRoleOutput{Role: &r}, err
}

func (s *Service) updateRole(c *gate.Call, in *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) {
	return &iam.UpdateRoleOutput{}, s.t.roles.change(c, in.RoleName, func(_ *store.Tx, e *entity) error {
		if in.Description != nil {
			e.Description = *in.Description
		}
		if in.MaxSessionDuration != nil {
			e.MaxSession = *in.MaxSessionDuration
		}
		return nil
	})
}

func (s *Service) updateRoleDescription(c *gate.Call, in *iam.UpdateRoleDescriptionInput) (*iam.UpdateRoleDescriptionOutput, error) {
	var e entity
	err := s.t.roles.change(c, in.RoleName, func(_ *store.Tx, r *entity) error {
		r.Description = in.Description
		e = *r
		return nil
	})
	if err != nil {
		return nil, err
	}
	r, err := s.shown(c, e)
	return &iam.UpdateRoleDescriptionOutput{Role: &r}, err
}

func (s *Service) updateTrust(c *gate.Call, in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
	trust, names, err := trusting(c, in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	return &iam.UpdateAssumeRolePolicyOutput{}, s.t.roles.change(c, in.RoleName, func(_ *store.Tx, e *entity) error {
		e.Trust, e.TrustNames = trust, names
		return nil
	})
}

func (s *Service) deleteRole(c *gate.Call, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	return &iam.DeleteRoleOutput{}, c.Update(func(tx *store.Tx) error {
		return s.t.roles.remove(tx, c.Account(), in.RoleName)
	})
}

func (s *Service) listRoles(c *gate.Call, in *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	p, err := pageOf(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	found, next, err := s.t.roles.list(c, p, in.PathPrefix)
	out := &iam.ListRolesOutput{Roles: []iam.Role{}, Marker: next, IsTruncated: new(next != nil)}
	for _, e := range found {
		r, err := s.shown(c, e)
		if err != nil {
			return nil, err
		}
		r.Tags, r.PermissionsBoundary = nil, nil // ListRoles leaves them out, as on AWS
		out.Roles = append(out.Roles, r)
	}
	return out, err
}

// listInstanceProfilesForRole has nothing to list: instance profiles cannot be made here, and
// clients ask before they delete a role.
func (s *Service) listInstanceProfilesForRole(c *gate.Call, in *iam.ListInstanceProfilesForRoleInput) (*iam.ListInstanceProfilesForRoleOutput, error) {
	if _, err := pageOf(in.Marker, in.MaxItems); err != nil {
		return nil, err
	}
	if _, err := s.t.roles.read(c, in.RoleName); err != nil {
		return nil, err
	}
	return &iam.ListInstanceProfilesForRoleOutput{InstanceProfiles: []iam.InstanceProfile{}, IsTruncated: new(false)}, nil
}

func (s *Service) tagRole(c *gate.Call, in *iam.TagRoleInput) (*iam.TagRoleOutput, error) {
	return &iam.TagRoleOutput{}, s.t.roles.tag(c, in.RoleName, in.Tags)
}

func (s *Service) untagRole(c *gate.Call, in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
	return &iam.UntagRoleOutput{}, s.t.roles.untag(c, in.RoleName, in.TagKeys)
}

func (s *Service) listRoleTags(c *gate.Call, in *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	tags, next, err := s.t.roles.tags(c, in.RoleName, in.Marker, in.MaxItems)
	return &iam.ListRoleTagsOutput{Tags: tags, Marker: next, IsTruncated: new(next != nil)}, err
}

// Sizes of documents in characters. Source: IAM User Guide, "IAM and AWS STS quotas".
const (
	maxTrust   = 2048
	maxManaged = 6144
	maxRole    = 10240 // all inline policies of one role
	maxUser    = 2048  // all inline policies of one user
)

// document checks a policy's grammar and size; white space does not count, as on AWS.
func document(doc string, k policy.Kind, max int) (*policy.Policy, error) {
	if n := significant(doc); n > max {
		return nil, limit("Cannot exceed quota for PolicySize: %d", max)
	}
	p, err := policy.Parse([]byte(doc), k, policy.Options{})
	return p, malformed(err)
}

// malformed words a refused document.
func malformed(err error) error {
	if p, ok := errors.AsType[*policy.Error](err); ok {
		return awserr.New("MalformedPolicyDocument", 400, "%s", p.Message)
	}
	return err
}

func significant(doc string) int {
	n := 0
	for _, r := range doc {
		if r != ' ' && r != '\t' && r != '\n' && r != '\r' {
			n++
		}
	}
	return n
}
