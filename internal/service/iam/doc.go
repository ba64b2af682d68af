// Package iam keeps users, roles, access keys and policies, and is the Directory that the door
// reads principals and their policies from.
//
// What it promises of AWS: users, roles, access keys (two a user), customer-managed policies with
// up to five versions, inline policies, attachments, permissions boundaries, tags, and the
// AWS-managed policies that templates use, each enforced from the next call on. What it does not
// hold: groups, instance profiles, login profiles, MFA devices, identity providers, last-used
// times; they answer NotImplemented. One exception: ListInstanceProfilesForRole, which terraform
// calls before it deletes a role, answers an empty list, which is true, for none can be made.
package iam
