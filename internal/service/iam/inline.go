package iam

import (
	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

func (k kind) putInline(c *gate.Call, name, policyName, doc string, max int) error {
	if _, err := document(doc, policy.Identity, max); err != nil {
		return err
	}
	return k.change(c, name, func(_ *store.Tx, e *entity) error {
		all := make(map[string]string, len(e.Inline)+1)
		total := significant(doc)
		for n, d := range e.Inline {
			all[n] = d
			if n != policyName {
				total += significant(d)
			}
		}
		if total > max {
			return limit("Maximum policy size of %d bytes exceeded for %s %s", max, k.noun, name)
		}
		all[policyName] = doc
		e.Inline = all
		return nil
	})
}

func (k kind) inline(c *gate.Call, name, policyName string) (entity, string, error) {
	e, err := k.read(c, name)
	if err != nil {
		return e, "", err
	}
	doc, ok := e.Inline[policyName]
	if !ok {
		return e, "", k.noInline(policyName)
	}
	return e, encoded(doc), nil
}

func (k kind) noInline(policyName string) error {
	return noEntity("The %s policy with name %s cannot be found.", k.noun, policyName)
}

func (k kind) deleteInline(c *gate.Call, name, policyName string) error {
	return k.change(c, name, func(_ *store.Tx, e *entity) error {
		if _, ok := e.Inline[policyName]; !ok {
			return k.noInline(policyName)
		}
		delete(e.Inline, policyName)
		return nil
	})
}

func (k kind) listInline(c *gate.Call, name string, marker *string, max *int32) ([]string, *string, error) {
	p, err := pageOf(marker, max)
	if err != nil {
		return nil, nil, err
	}
	e, err := k.read(c, name)
	if err != nil {
		return nil, nil, err
	}
	out, next := cut(sortedKeys(e.Inline), p, func(n string) string { return n })
	if out == nil {
		out = []string{}
	}
	return out, next, nil
}

func (s *Service) putUserPolicy(c *gate.Call, in *iam.PutUserPolicyInput) (*iam.PutUserPolicyOutput, error) {
	return &iam.PutUserPolicyOutput{}, s.t.users.putInline(c, in.UserName, in.PolicyName, in.PolicyDocument, maxUser)
}

func (s *Service) getUserPolicy(c *gate.Call, in *iam.GetUserPolicyInput) (*iam.GetUserPolicyOutput, error) {
	e, doc, err := s.t.users.inline(c, in.UserName, in.PolicyName)
	return &iam.GetUserPolicyOutput{UserName: e.Name, PolicyName: in.PolicyName, PolicyDocument: doc}, err
}

func (s *Service) deleteUserPolicy(c *gate.Call, in *iam.DeleteUserPolicyInput) (*iam.DeleteUserPolicyOutput, error) {
	return &iam.DeleteUserPolicyOutput{}, s.t.users.deleteInline(c, in.UserName, in.PolicyName)
}

func (s *Service) listUserPolicies(c *gate.Call, in *iam.ListUserPoliciesInput) (*iam.ListUserPoliciesOutput, error) {
	names, next, err := s.t.users.listInline(c, in.UserName, in.Marker, in.MaxItems)
	return &iam.ListUserPoliciesOutput{PolicyNames: names, Marker: next, IsTruncated: new(next != nil)}, err
}

func (s *Service) putRolePolicy(c *gate.Call, in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
	return &iam.PutRolePolicyOutput{}, s.t.roles.putInline(c, in.RoleName, in.PolicyName, in.PolicyDocument, maxRole)
}

func (s *Service) getRolePolicy(c *gate.Call, in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	e, doc, err := s.t.roles.inline(c, in.RoleName, in.PolicyName)
	return &iam.GetRolePolicyOutput{RoleName: e.Name, PolicyName: in.PolicyName, PolicyDocument: doc}, err
}

func (s *Service) deleteRolePolicy(c *gate.Call, in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
	return &iam.DeleteRolePolicyOutput{}, s.t.roles.deleteInline(c, in.RoleName, in.PolicyName)
}

func (s *Service) listRolePolicies(c *gate.Call, in *iam.ListRolePoliciesInput) (*iam.ListRolePoliciesOutput, error) {
	names, next, err := s.t.roles.listInline(c, in.RoleName, in.Marker, in.MaxItems)
	return &iam.ListRolePoliciesOutput{PolicyNames: names, Marker: next, IsTruncated: new(next != nil)}, err
}
