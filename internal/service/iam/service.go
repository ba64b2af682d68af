package iam

import (
	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

// Deps are what the service works with.
type Deps struct {
	IDs    ids.Source
	Sealer *sealing.Sealer
}

// Service is IAM.
type Service struct {
	ids    ids.Source
	sealer *sealing.Sealer
	t      tables
	aws    map[string]awsPolicy // AWS-managed policies by ARN
}

// New makes the service.
func New(d Deps) (*Service, error) {
	aws, err := loadManaged()
	if err != nil {
		return nil, err
	}
	return &Service{ids: d.IDs, sealer: d.Sealer, t: newTables(), aws: aws}, nil
}

// Unit is the service's table.
func (s *Service) Unit() gate.Unit {
	return gate.Unit{Model: iam.Service, Ops: s.Ops(), Reserved: reservedTag}
}

// Ops is the table: operation, access, needs, handler.
func (s *Service) Ops() []gate.Op {
	user, role := s.t.users, s.t.roles
	return []gate.Op{
		gate.On(iam.OpCreateUser, gate.Write, needs(func(in *iam.CreateUserInput) string { return named(user, pathOf(in.Path), in.UserName) }, madeKeys(func(in *iam.CreateUserInput) ([]iam.Tag, *string) { return in.Tags, in.PermissionsBoundary }), "iam:CreateUser"), s.createUser),
		gate.On(iam.OpGetUser, gate.Read, onSelf(s, "iam:GetUser", func(in *iam.GetUserInput) *string { return in.UserName }), s.getUser),
		gate.On(iam.OpUpdateUser, gate.Write, onEntity(s, user, "iam:UpdateUser", func(in *iam.UpdateUserInput) string { return in.UserName }), s.updateUser),
		gate.On(iam.OpDeleteUser, gate.Write, onEntity(s, user, "iam:DeleteUser", func(in *iam.DeleteUserInput) string { return in.UserName }), s.deleteUser),
		gate.On(iam.OpListUsers, gate.Read, listed[iam.ListUsersInput]("iam:ListUsers", "user/"), s.listUsers),
		gate.On(iam.OpTagUser, gate.Write, onTagging(s, user, "iam:TagUser", func(in *iam.TagUserInput) (string, []iam.Tag) { return in.UserName, in.Tags }), s.tagUser),
		gate.On(iam.OpUntagUser, gate.Write, gate.Untagging(onEntity(s, user, "iam:UntagUser", func(in *iam.UntagUserInput) string { return in.UserName }), func(in *iam.UntagUserInput) []string { return in.TagKeys }), s.untagUser),
		gate.On(iam.OpListUserTags, gate.Read, onEntity(s, user, "iam:ListUserTags", func(in *iam.ListUserTagsInput) string { return in.UserName }), s.listUserTags),

		gate.On(iam.OpCreateAccessKey, gate.Write, onSelf(s, "iam:CreateAccessKey", func(in *iam.CreateAccessKeyInput) *string { return in.UserName }), s.createAccessKey),
		gate.On(iam.OpUpdateAccessKey, gate.Write, onSelf(s, "iam:UpdateAccessKey", func(in *iam.UpdateAccessKeyInput) *string { return in.UserName }), s.updateAccessKey),
		gate.On(iam.OpDeleteAccessKey, gate.Write, onSelf(s, "iam:DeleteAccessKey", func(in *iam.DeleteAccessKeyInput) *string { return in.UserName }), s.deleteAccessKey),
		gate.On(iam.OpListAccessKeys, gate.Read, onSelf(s, "iam:ListAccessKeys", func(in *iam.ListAccessKeysInput) *string { return in.UserName }), s.listAccessKeys),

		gate.On(iam.OpCreateRole, gate.Write, needs(func(in *iam.CreateRoleInput) string { return named(role, pathOf(in.Path), in.RoleName) }, madeKeys(func(in *iam.CreateRoleInput) ([]iam.Tag, *string) { return in.Tags, in.PermissionsBoundary }), "iam:CreateRole"), s.createRole),
		gate.On(iam.OpGetRole, gate.Read, onEntity(s, role, "iam:GetRole", func(in *iam.GetRoleInput) string { return in.RoleName }), s.getRole),
		gate.On(iam.OpUpdateRole, gate.Write, onEntity(s, role, "iam:UpdateRole", func(in *iam.UpdateRoleInput) string { return in.RoleName }), s.updateRole),
		gate.On(iam.OpUpdateRoleDescription, gate.Write, onEntity(s, role, "iam:UpdateRoleDescription", func(in *iam.UpdateRoleDescriptionInput) string { return in.RoleName }), s.updateRoleDescription),
		gate.On(iam.OpUpdateAssumeRolePolicy, gate.Write, onEntity(s, role, "iam:UpdateAssumeRolePolicy", func(in *iam.UpdateAssumeRolePolicyInput) string { return in.RoleName }), s.updateTrust),
		gate.On(iam.OpDeleteRole, gate.Write, onEntity(s, role, "iam:DeleteRole", func(in *iam.DeleteRoleInput) string { return in.RoleName }), s.deleteRole),
		gate.On(iam.OpListRoles, gate.Read, listed[iam.ListRolesInput]("iam:ListRoles", "role/"), s.listRoles),
		gate.On(iam.OpTagRole, gate.Write, onTagging(s, role, "iam:TagRole", func(in *iam.TagRoleInput) (string, []iam.Tag) { return in.RoleName, in.Tags }), s.tagRole),
		gate.On(iam.OpUntagRole, gate.Write, gate.Untagging(onEntity(s, role, "iam:UntagRole", func(in *iam.UntagRoleInput) string { return in.RoleName }), func(in *iam.UntagRoleInput) []string { return in.TagKeys }), s.untagRole),
		gate.On(iam.OpListRoleTags, gate.Read, onEntity(s, role, "iam:ListRoleTags", func(in *iam.ListRoleTagsInput) string { return in.RoleName }), s.listRoleTags),
		gate.On(iam.OpListInstanceProfilesForRole, gate.Read, onEntity(s, role, "iam:ListInstanceProfilesForRole", func(in *iam.ListInstanceProfilesForRoleInput) string { return in.RoleName }), s.listInstanceProfilesForRole),

		gate.On(iam.OpPutUserPolicy, gate.Write, onEntity(s, user, "iam:PutUserPolicy", func(in *iam.PutUserPolicyInput) string { return in.UserName }), s.putUserPolicy),
		gate.On(iam.OpGetUserPolicy, gate.Read, onEntity(s, user, "iam:GetUserPolicy", func(in *iam.GetUserPolicyInput) string { return in.UserName }), s.getUserPolicy),
		gate.On(iam.OpDeleteUserPolicy, gate.Write, onEntity(s, user, "iam:DeleteUserPolicy", func(in *iam.DeleteUserPolicyInput) string { return in.UserName }), s.deleteUserPolicy),
		gate.On(iam.OpListUserPolicies, gate.Read, onEntity(s, user, "iam:ListUserPolicies", func(in *iam.ListUserPoliciesInput) string { return in.UserName }), s.listUserPolicies),
		gate.On(iam.OpPutRolePolicy, gate.Write, onEntity(s, role, "iam:PutRolePolicy", func(in *iam.PutRolePolicyInput) string { return in.RoleName }), s.putRolePolicy),
		gate.On(iam.OpGetRolePolicy, gate.Read, onEntity(s, role, "iam:GetRolePolicy", func(in *iam.GetRolePolicyInput) string { return in.RoleName }), s.getRolePolicy),
		gate.On(iam.OpDeleteRolePolicy, gate.Write, onEntity(s, role, "iam:DeleteRolePolicy", func(in *iam.DeleteRolePolicyInput) string { return in.RoleName }), s.deleteRolePolicy),
		gate.On(iam.OpListRolePolicies, gate.Read, onEntity(s, role, "iam:ListRolePolicies", func(in *iam.ListRolePoliciesInput) string { return in.RoleName }), s.listRolePolicies),

		gate.On(iam.OpAttachUserPolicy, gate.Write, onAttach(s, user, "iam:AttachUserPolicy", func(in *iam.AttachUserPolicyInput) (string, string) { return in.UserName, in.PolicyArn }), s.attachUserPolicy),
		gate.On(iam.OpDetachUserPolicy, gate.Write, onAttach(s, user, "iam:DetachUserPolicy", func(in *iam.DetachUserPolicyInput) (string, string) { return in.UserName, in.PolicyArn }), s.detachUserPolicy),
		gate.On(iam.OpListAttachedUserPolicies, gate.Read, onEntity(s, user, "iam:ListAttachedUserPolicies", func(in *iam.ListAttachedUserPoliciesInput) string { return in.UserName }), s.listAttachedUserPolicies),
		gate.On(iam.OpAttachRolePolicy, gate.Write, onAttach(s, role, "iam:AttachRolePolicy", func(in *iam.AttachRolePolicyInput) (string, string) { return in.RoleName, in.PolicyArn }), s.attachRolePolicy),
		gate.On(iam.OpDetachRolePolicy, gate.Write, onAttach(s, role, "iam:DetachRolePolicy", func(in *iam.DetachRolePolicyInput) (string, string) { return in.RoleName, in.PolicyArn }), s.detachRolePolicy),
		gate.On(iam.OpListAttachedRolePolicies, gate.Read, onEntity(s, role, "iam:ListAttachedRolePolicies", func(in *iam.ListAttachedRolePoliciesInput) string { return in.RoleName }), s.listAttachedRolePolicies),
		gate.On(iam.OpPutUserPermissionsBoundary, gate.Write, onBoundary(s, user, "iam:PutUserPermissionsBoundary", func(in *iam.PutUserPermissionsBoundaryInput) (string, string) {
			return in.UserName, in.PermissionsBoundary
		}), s.putUserBoundary),
		gate.On(iam.OpDeleteUserPermissionsBoundary, gate.Write, onEntity(s, user, "iam:DeleteUserPermissionsBoundary", func(in *iam.DeleteUserPermissionsBoundaryInput) string { return in.UserName }), s.deleteUserBoundary),
		gate.On(iam.OpPutRolePermissionsBoundary, gate.Write, onBoundary(s, role, "iam:PutRolePermissionsBoundary", func(in *iam.PutRolePermissionsBoundaryInput) (string, string) {
			return in.RoleName, in.PermissionsBoundary
		}), s.putRoleBoundary),
		gate.On(iam.OpDeleteRolePermissionsBoundary, gate.Write, onEntity(s, role, "iam:DeleteRolePermissionsBoundary", func(in *iam.DeleteRolePermissionsBoundaryInput) string { return in.RoleName }), s.deleteRoleBoundary),

		gate.On(iam.OpCreatePolicy, gate.Write, needs(func(in *iam.CreatePolicyInput) string { return "policy" + pathOf(in.Path) + in.PolicyName }, tagKeys(func(in *iam.CreatePolicyInput) []iam.Tag { return in.Tags }), "iam:CreatePolicy"), s.createPolicy),
		gate.On(iam.OpGetPolicy, gate.Read, onPolicy("iam:GetPolicy", func(in *iam.GetPolicyInput) string { return in.PolicyArn }), s.getPolicy),
		gate.On(iam.OpDeletePolicy, gate.Write, onPolicy("iam:DeletePolicy", func(in *iam.DeletePolicyInput) string { return in.PolicyArn }), s.deletePolicy),
		gate.On(iam.OpListPolicies, gate.Read, listed[iam.ListPoliciesInput]("iam:ListPolicies", "policy/"), s.listPolicies),
		gate.On(iam.OpListEntitiesForPolicy, gate.Read, onPolicy("iam:ListEntitiesForPolicy", func(in *iam.ListEntitiesForPolicyInput) string { return in.PolicyArn }), s.listEntitiesForPolicy),
		gate.On(iam.OpCreatePolicyVersion, gate.Write, onPolicy("iam:CreatePolicyVersion", func(in *iam.CreatePolicyVersionInput) string { return in.PolicyArn }), s.createPolicyVersion),
		gate.On(iam.OpGetPolicyVersion, gate.Read, onPolicy("iam:GetPolicyVersion", func(in *iam.GetPolicyVersionInput) string { return in.PolicyArn }), s.getPolicyVersion),
		gate.On(iam.OpDeletePolicyVersion, gate.Write, onPolicy("iam:DeletePolicyVersion", func(in *iam.DeletePolicyVersionInput) string { return in.PolicyArn }), s.deletePolicyVersion),
		gate.On(iam.OpListPolicyVersions, gate.Read, onPolicy("iam:ListPolicyVersions", func(in *iam.ListPolicyVersionsInput) string { return in.PolicyArn }), s.listPolicyVersions),
		gate.On(iam.OpSetDefaultPolicyVersion, gate.Write, onPolicy("iam:SetDefaultPolicyVersion", func(in *iam.SetDefaultPolicyVersionInput) string { return in.PolicyArn }), s.setDefaultPolicyVersion),
		gate.On(iam.OpTagPolicy, gate.Write, onPolicy("iam:TagPolicy", func(in *iam.TagPolicyInput) string { return in.PolicyArn }), s.tagPolicy),
		gate.On(iam.OpUntagPolicy, gate.Write, gate.Untagging(onPolicy("iam:UntagPolicy", func(in *iam.UntagPolicyInput) string { return in.PolicyArn }), func(in *iam.UntagPolicyInput) []string { return in.TagKeys }), s.untagPolicy),
		gate.On(iam.OpListPolicyTags, gate.Read, onPolicy("iam:ListPolicyTags", func(in *iam.ListPolicyTagsInput) string { return in.PolicyArn }), s.listPolicyTags),
	}
}

func named(k kind, path, name string) string { return k.noun + path + name }

func pathOf(p *string) string {
	if p == nil {
		return "/"
	}
	return *p
}

// iamARN names a resource of the caller's account; IAM's names have no region.
func iamARN(account, resource string) string { return arn.New("iam", "", account, resource).String() }
