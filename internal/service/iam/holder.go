package iam

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// holder is a role or user as the template's resources change one: what IAM does to both under
// different names.
type holder struct {
	put            func(ctx context.Context, policy, document string) error
	unput          func(ctx context.Context, policy string) error
	attach, detach func(ctx context.Context, policyARN string) error
	bound          func(ctx context.Context, policyARN string) error
	unbound        func(context.Context) error
	tag            func(context.Context, []iam.Tag) error
	untag          func(context.Context, []string) error
	remove         func(context.Context) error
}

func asRole(m gate.Making, name string) holder {
	c := iam.Client{Caller: m}
	return holder{
		put: func(ctx context.Context, policy, document string) error {
			_, err := c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: policy, PolicyDocument: document})
			return err
		},
		unput: func(ctx context.Context, policy string) error {
			_, err := c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: policy})
			return err
		},
		attach: func(ctx context.Context, policyARN string) error {
			_, err := c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: policyARN})
			return err
		},
		detach: func(ctx context.Context, policyARN string) error {
			_, err := c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: policyARN})
			return err
		},
		bound: func(ctx context.Context, policyARN string) error {
			_, err := c.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: name, PermissionsBoundary: policyARN})
			return err
		},
		unbound: func(ctx context.Context) error {
			_, err := c.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: name})
			return err
		},
		tag: func(ctx context.Context, tags []iam.Tag) error {
			_, err := c.TagRole(ctx, &iam.TagRoleInput{RoleName: name, Tags: tags})
			return err
		},
		untag: func(ctx context.Context, keys []string) error {
			_, err := c.UntagRole(ctx, &iam.UntagRoleInput{RoleName: name, TagKeys: keys})
			return err
		},
		remove: func(ctx context.Context) error {
			_, err := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
			return err
		},
	}
}

func asUser(m gate.Making, name string) holder {
	c := iam.Client{Caller: m}
	return holder{
		put: func(ctx context.Context, policy, document string) error {
			_, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: policy, PolicyDocument: document})
			return err
		},
		unput: func(ctx context.Context, policy string) error {
			_, err := c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: policy})
			return err
		},
		attach: func(ctx context.Context, policyARN string) error {
			_, err := c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name, PolicyArn: policyARN})
			return err
		},
		detach: func(ctx context.Context, policyARN string) error {
			_, err := c.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: name, PolicyArn: policyARN})
			return err
		},
		bound: func(ctx context.Context, policyARN string) error {
			_, err := c.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: name, PermissionsBoundary: policyARN})
			return err
		},
		unbound: func(ctx context.Context) error {
			_, err := c.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: name})
			return err
		},
		tag: func(ctx context.Context, tags []iam.Tag) error {
			_, err := c.TagUser(ctx, &iam.TagUserInput{UserName: name, Tags: tags})
			return err
		},
		untag: func(ctx context.Context, keys []string) error {
			_, err := c.UntagUser(ctx, &iam.UntagUserInput{UserName: name, TagKeys: keys})
			return err
		},
		remove: func(ctx context.Context) error {
			_, err := c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name})
			return err
		},
	}
}

// policies brings the policies that a holder has from what a template said to what it says.
func (h holder) policies(ctx context.Context, before, after map[string]any) error {
	was, want := reading{props: before}, reading{props: after}
	attached, wanted := was.list("ManagedPolicyArns"), want.list("ManagedPolicyArns")
	inline, wantedInline := was.inline(), want.inline()
	if want.err != nil {
		return want.err
	}
	for _, p := range attached {
		if !slices.Contains(wanted, p) {
			if err := gone(h.detach(ctx, p)); err != nil {
				return err
			}
		}
	}
	for _, p := range wanted {
		if err := h.attach(ctx, p); err != nil {
			return err
		}
	}
	for _, n := range slices.Sorted(maps.Keys(inline)) {
		if _, stays := wantedInline[n]; !stays {
			if err := gone(h.unput(ctx, n)); err != nil {
				return err
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(wantedInline)) {
		if err := h.put(ctx, n, wantedInline[n]); err != nil {
			return err
		}
	}
	return nil
}

func updateHolder(ctx context.Context, h holder, before, after map[string]any) error {
	was, want := reading{props: before}, reading{props: after}
	old, wanted := was.or("PermissionsBoundary", ""), want.or("PermissionsBoundary", "")
	if wanted != "" && old != wanted { // before the policies that it bounds
		if err := h.bound(ctx, wanted); err != nil {
			return err
		}
	}
	if err := h.policies(ctx, before, after); err != nil {
		return err
	}
	if wanted == "" && old != "" {
		if err := gone(h.unbound(ctx)); err != nil {
			return err
		}
	}
	had, tags := tagsByKey(was.tags()), want.tags()
	if want.err != nil {
		return want.err
	}
	for _, t := range tags {
		delete(had, t.Key)
	}
	if len(had) > 0 {
		if err := h.untag(ctx, slices.Sorted(maps.Keys(had))); err != nil {
			return err
		}
	}
	if len(tags) == 0 {
		return nil
	}
	return h.tag(ctx, tags)
}

// deleteHolder takes away what the template gave, and then the role or user; what somebody else has
// attached to it keeps it from going.
func deleteHolder(ctx context.Context, h holder, props map[string]any) error {
	if err := h.policies(ctx, props, nil); err != nil {
		return gone(err)
	}
	return gone(h.remove(ctx))
}

// reading takes a template's properties apart; the first fault stays. Templates write numbers as
// text too.
type reading struct {
	props map[string]any
	err   error
}

func invalidProperty(name, want string) error {
	return awserr.New("ValidationError", 400, "Property %s: %s", name, want)
}

func (r *reading) fault(name, want string) {
	if r.err == nil {
		r.err = invalidProperty(name, want)
	}
}

func (r *reading) text(name string) *string {
	switch v := r.props[name].(type) {
	case nil:
	case string:
		return &v
	case bool, int64, float64:
		return new(fmt.Sprint(v))
	default:
		r.fault(name, "a text is wanted")
	}
	return nil
}

func (r *reading) or(name, otherwise string) string {
	if t := r.text(name); t != nil {
		return *t
	}
	return otherwise
}

func (r *reading) number(name string) *int32 {
	t := r.text(name)
	if t == nil {
		return nil
	}
	n, err := strconv.ParseInt(*t, 10, 32)
	if err != nil {
		r.fault(name, "a whole number is wanted")
	}
	return new(int32(n))
}

// document is a policy, which templates write as a map or as text.
func (r *reading) document(name string) string { return r.policy(r.props[name], name) }

func (r *reading) policy(v any, name string) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		b, err := json.Marshal(v)
		if err == nil {
			return string(b)
		}
	}
	r.fault(name, "a policy document is wanted")
	return ""
}

func (r *reading) list(name string) []string {
	var out []string
	switch v := r.props[name].(type) {
	case nil:
	case string:
		out = append(out, v)
	case []any:
		for _, x := range v {
			s, ok := x.(string)
			if !ok {
				r.fault(name, "a list of texts is wanted")
			}
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	default:
		r.fault(name, "a list of texts is wanted")
	}
	return out
}

func (r *reading) maps(name string) []map[string]any {
	var out []map[string]any
	list, ok := r.props[name].([]any)
	if !ok && r.props[name] != nil {
		r.fault(name, "a list is wanted")
	}
	for _, x := range list {
		m, ok := x.(map[string]any)
		if !ok {
			r.fault(name, "a list of maps is wanted")
		}
		out = append(out, m)
	}
	return out
}

// inline are the policies that stand in the resource itself, by name.
func (r *reading) inline() map[string]string {
	out := map[string]string{}
	for _, p := range r.maps("Policies") {
		name, ok := p["PolicyName"].(string)
		if !ok {
			r.fault("Policies", "each needs a PolicyName")
		}
		out[name] = r.policy(p["PolicyDocument"], "Policies.PolicyDocument")
	}
	return out
}

func (r *reading) tags() []iam.Tag {
	var out []iam.Tag
	for _, t := range r.maps("Tags") {
		key, ok := t["Key"].(string)
		if !ok {
			r.fault("Tags", "each needs a Key")
		}
		value := reading{props: t}
		out = append(out, iam.Tag{Key: key, Value: value.or("Value", "")})
	}
	return out
}

func tagsByKey(tags []iam.Tag) map[string]string {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		out[t.Key] = t.Value
	}
	return out
}
