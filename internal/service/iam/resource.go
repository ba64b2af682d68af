package iam

import (
	"context"
	"slices"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// Resources are the CloudFormation resource types of the service. Ref is a role's, user's or
// policy's name and a managed policy's ARN. Groups, login profiles and access keys are refused by
// name: nothing here would make them.
func (s *Service) Resources() []gate.Resource {
	entity := func(more ...string) []string {
		return append(more, "Path", "ManagedPolicyArns", "PermissionsBoundary", "Policies", "Policies.PolicyName", "Policies.PolicyDocument",
			"Tags", "Tags.Key", "Tags.Value")
	}
	return []gate.Resource{{
		Type: "AWS::IAM::Role", Attributes: []string{"Arn", "RoleId"},
		Properties: entity("RoleName", "AssumeRolePolicyDocument", "Description", "MaxSessionDuration"),
		Replace:    []string{"RoleName", "Path"},
		Create:     createRoleResource,
		Update:     updateRoleResource,
		Delete: func(ctx context.Context, m gate.Making, id string, props map[string]any) error {
			return deleteHolder(ctx, asRole(m, id), props)
		},
	}, {
		Type: "AWS::IAM::User", Attributes: []string{"Arn"},
		Properties: entity("UserName"),
		Replace:    []string{"UserName", "Path"},
		Create:     createUserResource,
		Update: func(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
			if err := updateHolder(ctx, asUser(m, id), before, after); err != nil {
				return gate.Made{}, err
			}
			return madeUser(ctx, m, id)
		},
		Delete: func(ctx context.Context, m gate.Making, id string, props map[string]any) error {
			return deleteHolder(ctx, asUser(m, id), props)
		},
	}, {
		Type: "AWS::IAM::Policy", Attributes: []string{"Id"},
		Properties: []string{"PolicyName", "PolicyDocument", "Roles", "Users"},
		Create: func(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
			made := gate.Made{ID: m.Name, Attributes: map[string]any{"Id": m.Name}}
			return made, spreadInline(ctx, m, nil, props)
		},
		Update: func(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
			return gate.Made{ID: id, Attributes: map[string]any{"Id": id}}, spreadInline(ctx, m, before, after)
		},
		Delete: func(ctx context.Context, m gate.Making, _ string, props map[string]any) error {
			return spreadInline(ctx, m, props, nil)
		},
	}, {
		Type: "AWS::IAM::ManagedPolicy", Attributes: []string{"PolicyArn", "PolicyId", "DefaultVersionId"},
		Properties: []string{"ManagedPolicyName", "PolicyDocument", "Path", "Description", "Roles", "Users"},
		Replace:    []string{"ManagedPolicyName", "Path", "Description"},
		NameLimit:  128,
		Create:     createManagedResource,
		Update:     updateManagedResource,
		Delete:     deleteManagedResource,
	}}
}

// gone forgives an error that says that what was to be removed is not there.
func gone(err error) error {
	if awserr.Is(err, "NoSuchEntity") {
		return nil
	}
	return err
}

func createRoleResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	r := reading{props: props}
	in := &iam.CreateRoleInput{RoleName: r.or("RoleName", m.Name), Path: r.text("Path"), Description: r.text("Description"),
		AssumeRolePolicyDocument: r.document("AssumeRolePolicyDocument"), MaxSessionDuration: r.number("MaxSessionDuration"),
		PermissionsBoundary: r.text("PermissionsBoundary"), Tags: r.tags()}
	if r.err != nil {
		return gate.Made{}, r.err
	}
	c := iam.Client{Caller: m}
	_, err := c.CreateRole(ctx, in)
	if awserr.Is(err, "EntityAlreadyExists") {
		have, gerr := c.GetRole(ctx, &iam.GetRoleInput{RoleName: in.RoleName})
		if gerr != nil || !m.Owns(in.RoleName, tagsByKey(have.Role.Tags)) {
			return gate.Made{}, err
		}
		err = nil
	}
	if err != nil {
		return gate.Made{}, err
	}
	if err := asRole(m, in.RoleName).policies(ctx, nil, props); err != nil {
		return gate.Made{ID: in.RoleName}, err
	}
	return madeRole(ctx, m, in.RoleName)
}

func madeRole(ctx context.Context, m gate.Making, name string) (gate.Made, error) {
	out, err := iam.Client{Caller: m}.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	if err != nil {
		return gate.Made{ID: name}, err
	}
	return gate.Made{ID: name, Attributes: map[string]any{"Arn": out.Role.Arn, "RoleId": out.Role.RoleId}}, nil
}

func updateRoleResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	was, want := reading{props: before}, reading{props: after}
	c := iam.Client{Caller: m}
	trust := want.document("AssumeRolePolicyDocument")
	in := &iam.UpdateRoleInput{RoleName: id, Description: new(want.or("Description", "")), MaxSessionDuration: want.number("MaxSessionDuration")}
	if in.MaxSessionDuration == nil {
		in.MaxSessionDuration = new(int32(defaultSession))
	}
	if want.err != nil {
		return gate.Made{}, want.err
	}
	if was.document("AssumeRolePolicyDocument") != trust {
		if _, err := c.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: id, PolicyDocument: trust}); err != nil {
			return gate.Made{}, err
		}
	}
	if was.or("Description", "") != *in.Description || was.or("MaxSessionDuration", "3600") != want.or("MaxSessionDuration", "3600") {
		if _, err := c.UpdateRole(ctx, in); err != nil {
			return gate.Made{}, err
		}
	}
	if err := updateHolder(ctx, asRole(m, id), before, after); err != nil {
		return gate.Made{}, err
	}
	return madeRole(ctx, m, id)
}

func createUserResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	r := reading{props: props}
	in := &iam.CreateUserInput{UserName: r.or("UserName", m.Name), Path: r.text("Path"), PermissionsBoundary: r.text("PermissionsBoundary"), Tags: r.tags()}
	if r.err != nil {
		return gate.Made{}, r.err
	}
	c := iam.Client{Caller: m}
	_, err := c.CreateUser(ctx, in)
	if awserr.Is(err, "EntityAlreadyExists") {
		have, gerr := c.GetUser(ctx, &iam.GetUserInput{UserName: &in.UserName})
		if gerr != nil || !m.Owns(in.UserName, tagsByKey(have.User.Tags)) {
			return gate.Made{}, err
		}
		err = nil
	}
	if err != nil {
		return gate.Made{}, err
	}
	if err := asUser(m, in.UserName).policies(ctx, nil, props); err != nil {
		return gate.Made{ID: in.UserName}, err
	}
	return madeUser(ctx, m, in.UserName)
}

func madeUser(ctx context.Context, m gate.Making, name string) (gate.Made, error) {
	out, err := iam.Client{Caller: m}.GetUser(ctx, &iam.GetUserInput{UserName: &name})
	if err != nil {
		return gate.Made{ID: name}, err
	}
	return gate.Made{ID: name, Attributes: map[string]any{"Arn": out.User.Arn}}, nil
}

// spreadInline brings an inline policy from the roles and users that had it to those that want it.
func spreadInline(ctx context.Context, m gate.Making, before, after map[string]any) error {
	was, want := reading{props: before}, reading{props: after}
	oldName, name := was.or("PolicyName", ""), want.or("PolicyName", "")
	var document string
	if after != nil {
		document = want.document("PolicyDocument")
		if name == "" || len(want.list("Roles"))+len(want.list("Users")) == 0 {
			return invalidProperty("Roles", "at least one of PolicyName with Roles and Users must be given")
		}
	}
	for _, of := range []struct {
		property string
		holder   func(gate.Making, string) holder
	}{{"Roles", asRole}, {"Users", asUser}} {
		wanted := want.list(of.property)
		for _, n := range wanted {
			if want.err != nil {
				return want.err
			}
			if err := of.holder(m, n).put(ctx, name, document); err != nil {
				return err
			}
		}
		for _, n := range was.list(of.property) {
			if oldName == name && slices.Contains(wanted, n) {
				continue
			}
			if err := gone(of.holder(m, n).unput(ctx, oldName)); err != nil {
				return err
			}
		}
	}
	return want.err
}

func createManagedResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	r := reading{props: props}
	in := &iam.CreatePolicyInput{PolicyName: r.or("ManagedPolicyName", m.Name), Path: r.text("Path"), Description: r.text("Description"),
		PolicyDocument: r.document("PolicyDocument"), Tags: []iam.Tag{{Key: gate.TagStackID, Value: m.StackID}, {Key: gate.TagLogicalID, Value: m.LogicalID}}}
	if r.err != nil {
		return gate.Made{}, r.err
	}
	c := iam.Client{Caller: m}
	id := iamARN(m.Account, "policy"+pathOf(in.Path)+in.PolicyName)
	_, err := c.CreatePolicy(ctx, in)
	if awserr.Is(err, "EntityAlreadyExists") {
		have, gerr := c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: id})
		if gerr != nil || !m.Owns(in.PolicyName, tagsByKey(have.Policy.Tags)) {
			return gate.Made{}, err
		}
		err = nil
	}
	if err != nil {
		return gate.Made{}, err
	}
	if err := attachTo(ctx, m, id, nil, props); err != nil {
		return gate.Made{ID: id}, err
	}
	return madeManaged(ctx, m, id)
}

func madeManaged(ctx context.Context, m gate.Making, id string) (gate.Made, error) {
	out, err := iam.Client{Caller: m}.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: id})
	if err != nil {
		return gate.Made{ID: id}, err
	}
	return gate.Made{ID: id, Attributes: map[string]any{"PolicyArn": id, "PolicyId": *out.Policy.PolicyId, "DefaultVersionId": *out.Policy.DefaultVersionId}}, nil
}

// attachTo brings a managed policy from the roles and users that had it to those that want it.
func attachTo(ctx context.Context, m gate.Making, policyARN string, before, after map[string]any) error {
	was, want := reading{props: before}, reading{props: after}
	for _, of := range []struct {
		property string
		holder   func(gate.Making, string) holder
	}{{"Roles", asRole}, {"Users", asUser}} {
		wanted := want.list(of.property)
		for _, n := range wanted {
			if err := of.holder(m, n).attach(ctx, policyARN); err != nil {
				return err
			}
		}
		for _, n := range was.list(of.property) {
			if slices.Contains(wanted, n) {
				continue
			}
			if err := gone(of.holder(m, n).detach(ctx, policyARN)); err != nil {
				return err
			}
		}
	}
	return want.err
}

func updateManagedResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	was, want := reading{props: before}, reading{props: after}
	document := want.document("PolicyDocument")
	if want.err != nil {
		return gate.Made{}, want.err
	}
	if was.document("PolicyDocument") != document {
		if err := newVersion(ctx, m, id, document); err != nil {
			return gate.Made{}, err
		}
	}
	if err := attachTo(ctx, m, id, before, after); err != nil {
		return gate.Made{}, err
	}
	return madeManaged(ctx, m, id)
}

// newVersion makes room for a version and adds it: a policy has at most five.
func newVersion(ctx context.Context, m gate.Making, id, document string) error {
	c := iam.Client{Caller: m}
	have, err := c.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: id})
	if err != nil {
		return err
	}
	if len(have.Versions) >= maxVersions {
		for _, v := range slices.Backward(have.Versions) { // the oldest stands last
			if *v.IsDefaultVersion {
				continue
			}
			if _, err := c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: id, VersionId: *v.VersionId}); err != nil {
				return err
			}
			break
		}
	}
	_, err = c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: id, PolicyDocument: document, SetAsDefault: new(true)})
	return err
}

func deleteManagedResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	c := iam.Client{Caller: m}
	if err := attachTo(ctx, m, id, props, nil); err != nil {
		return err
	}
	have, err := c.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: id})
	if err != nil {
		return gone(err)
	}
	for _, v := range have.Versions {
		if *v.IsDefaultVersion {
			continue
		}
		if _, err := c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: id, VersionId: *v.VersionId}); gone(err) != nil {
			return err
		}
	}
	_, err = c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: id})
	return gone(err)
}
