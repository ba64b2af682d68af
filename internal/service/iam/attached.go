package iam

import (
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

const maxAttached = 10

// exists wants a managed policy, the account's own or AWS's.
func (s *Service) exists(tx *store.Tx, account, policyARN string) error {
	if _, ok := s.aws[policyARN]; ok {
		return nil
	}
	_, err := s.getManaged(tx, account, policyARN)
	if awserr.Is(err, "NoSuchEntity") {
		return noEntity("Policy %s does not exist or is not attachable.", policyARN)
	}
	return err
}

func (s *Service) attach(c *gate.Call, k kind, name, policyARN string) error {
	return k.change(c, name, func(tx *store.Tx, e *entity) error {
		if err := s.exists(tx, c.Account(), policyARN); err != nil {
			return err
		}
		if slices.Contains(e.Attached, policyARN) {
			return nil
		}
		if len(e.Attached) >= maxAttached {
			return limit("Cannot exceed quota for PoliciesPer%s: %d", k.title, maxAttached)
		}
		e.Attached = append(e.Attached, policyARN)
		slices.SortFunc(e.Attached, order)
		return nil
	})
}

func (k kind) detach(c *gate.Call, name, policyARN string) error {
	return k.change(c, name, func(_ *store.Tx, e *entity) error {
		i := slices.Index(e.Attached, policyARN)
		if i < 0 {
			return noEntity("Policy %s was not found.", policyARN)
		}
		e.Attached = slices.Delete(e.Attached, i, i+1)
		return nil
	})
}

func (s *Service) attached(c *gate.Call, k kind, name string, prefix, marker *string, max *int32) ([]iam.AttachedPolicy, *string, error) {
	p, err := pageOf(marker, max)
	if err != nil {
		return nil, nil, err
	}
	e, err := k.read(c, name)
	if err != nil {
		return nil, nil, err
	}
	wanted := slices.DeleteFunc(e.Attached, func(a string) bool { return !strings.HasPrefix(pathIn(a), pathOf(prefix)) })
	found, next := cut(wanted, p, func(a string) string { return a })
	out := []iam.AttachedPolicy{}
	for _, a := range found {
		out = append(out, iam.AttachedPolicy{PolicyArn: new(a), PolicyName: new(lastOf(a))})
	}
	return out, next, nil
}

func (s *Service) attachUserPolicy(c *gate.Call, in *iam.AttachUserPolicyInput) (*iam.AttachUserPolicyOutput, error) {
	return &iam.AttachUserPolicyOutput{}, s.attach(c, s.t.users, in.UserName, in.PolicyArn)
}

func (s *Service) detachUserPolicy(c *gate.Call, in *iam.DetachUserPolicyInput) (*iam.DetachUserPolicyOutput, error) {
	return &iam.DetachUserPolicyOutput{}, s.t.users.detach(c, in.UserName, in.PolicyArn)
}

func (s *Service) listAttachedUserPolicies(c *gate.Call, in *iam.ListAttachedUserPoliciesInput) (*iam.ListAttachedUserPoliciesOutput, error) {
	list, next, err := s.attached(c, s.t.users, in.UserName, in.PathPrefix, in.Marker, in.MaxItems)
	return &iam.ListAttachedUserPoliciesOutput{AttachedPolicies: list, Marker: next, IsTruncated: new(next != nil)}, err
}

func (s *Service) attachRolePolicy(c *gate.Call, in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
	return &iam.AttachRolePolicyOutput{}, s.attach(c, s.t.roles, in.RoleName, in.PolicyArn)
}

func (s *Service) detachRolePolicy(c *gate.Call, in *iam.DetachRolePolicyInput) (*iam.DetachRolePolicyOutput, error) {
	return &iam.DetachRolePolicyOutput{}, s.t.roles.detach(c, in.RoleName, in.PolicyArn)
}

func (s *Service) listAttachedRolePolicies(c *gate.Call, in *iam.ListAttachedRolePoliciesInput) (*iam.ListAttachedRolePoliciesOutput, error) {
	list, next, err := s.attached(c, s.t.roles, in.RoleName, in.PathPrefix, in.Marker, in.MaxItems)
	return &iam.ListAttachedRolePoliciesOutput{AttachedPolicies: list, Marker: next, IsTruncated: new(next != nil)}, err
}

// setBoundary bounds a user or role that is being written; the policy must exist.
func (s *Service) setBoundary(tx *store.Tx, e *entity, policyARN *string) error {
	if policyARN == nil {
		return nil
	}
	if err := s.exists(tx, e.Account, *policyARN); err != nil {
		return err
	}
	e.Boundary = *policyARN
	return nil
}

func (s *Service) putBoundary(c *gate.Call, k kind, name, policyARN string) error {
	return k.change(c, name, func(tx *store.Tx, e *entity) error { return s.setBoundary(tx, e, &policyARN) })
}

func (k kind) deleteBoundary(c *gate.Call, name string) error {
	return k.change(c, name, func(_ *store.Tx, e *entity) error {
		if e.Boundary == "" {
			return noEntity("Permissions boundary for %s %s cannot be found.", k.noun, name)
		}
		e.Boundary = ""
		return nil
	})
}

func (s *Service) putUserBoundary(c *gate.Call, in *iam.PutUserPermissionsBoundaryInput) (*iam.PutUserPermissionsBoundaryOutput, error) {
	return &iam.PutUserPermissionsBoundaryOutput{}, s.putBoundary(c, s.t.users, in.UserName, in.PermissionsBoundary)
}

func (s *Service) deleteUserBoundary(c *gate.Call, in *iam.DeleteUserPermissionsBoundaryInput) (*iam.DeleteUserPermissionsBoundaryOutput, error) {
	return &iam.DeleteUserPermissionsBoundaryOutput{}, s.t.users.deleteBoundary(c, in.UserName)
}

func (s *Service) putRoleBoundary(c *gate.Call, in *iam.PutRolePermissionsBoundaryInput) (*iam.PutRolePermissionsBoundaryOutput, error) {
	return &iam.PutRolePermissionsBoundaryOutput{}, s.putBoundary(c, s.t.roles, in.RoleName, in.PermissionsBoundary)
}

func (s *Service) deleteRoleBoundary(c *gate.Call, in *iam.DeleteRolePermissionsBoundaryInput) (*iam.DeleteRolePermissionsBoundaryOutput, error) {
	return &iam.DeleteRolePermissionsBoundaryOutput{}, s.t.roles.deleteBoundary(c, in.RoleName)
}
