package sts

import (
	"slices"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/sts"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// needAssume wants sts:AssumeRole of the role's trust policy, and sts:TagSession and
// sts:SetSourceIdentity where the session brings such. A role that does not exist is refused as
// one that does not trust the caller: nobody learns which it was.
func (s *Service) needAssume(a *gate.Ask, in *sts.AssumeRoleInput) ([]gate.Need, error) {
	if a.Principal().Kind() == identity.KindRoot {
		return nil, awserr.Of(awserr.AccessDenied, "Roles may not be assumed by root accounts.")
	}
	name, err := arn.Parse(in.RoleArn)
	if err != nil {
		return nil, awserr.Of(awserr.Validation, "%s is invalid", in.RoleArn)
	}
	role, ok, err := s.Roles.Role(a.Context(), in.RoleArn)
	if err != nil {
		return nil, err
	}
	source, err := sourceIdentity(a.Principal(), in.SourceIdentity)
	if err != nil {
		return nil, err
	}
	keys := map[string][]string{"sts:RoleSessionName": {in.RoleSessionName}}
	if in.ExternalId != nil {
		keys["sts:ExternalId"] = []string{*in.ExternalId}
	}
	if source != "" {
		keys["sts:SourceIdentity"] = []string{source}
	}
	for _, t := range in.Tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	keys["sts:TransitiveTagKeys"] = in.TransitiveTagKeys
	need := gate.Need{Action: "sts:AssumeRole", Resource: in.RoleArn, Account: name.Account, PolicyRequired: true, Keys: keys}
	if ok {
		p, err := a.Policy(policy.Trust, role.Trust)
		if err != nil {
			return nil, err
		}
		need.Policy = &policy.Attached{Policy: p, Name: "trust policy", ARN: role.ARN, Where: "role " + role.Name + " trust policy"}
		need.Lazy = tagsOf(role)
	}
	needs := []gate.Need{need}
	if len(in.Tags) > 0 {
		need.Action = "sts:TagSession"
		needs = append(needs, need)
	}
	if source != "" {
		need.Action = "sts:SetSourceIdentity"
		needs = append(needs, need)
	}
	return needs, nil
}

// sourceIdentity is who stands behind the session, "" where nobody says: once set it goes through a
// chain of roles unchanged. Source: IAM User Guide, "Monitor and control actions taken with assumed
// roles".
func sourceIdentity(p identity.Principal, asked *string) (string, error) {
	had := p.SourceIdentity()
	if asked != nil && had != "" && *asked != had {
		return "", awserr.Of(awserr.AccessDenied, "The source identity of a session cannot be changed.")
	}
	if had != "" {
		return had, nil
	}
	return wire.Val(asked), nil
}

const hour = 3600 // seconds

func (s *Service) assumeRole(c *gate.Call, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, awserr.Of(awserr.NotImplemented, "MFA devices are not built in this version of Bastide.")
	}
	if len(in.ProvidedContexts) > 0 { // a session without them would be judged by other conditions
		return nil, awserr.Of(awserr.NotImplemented, "ProvidedContexts, which trusted context providers sign, are not built in this version of Bastide.")
	}
	role, ok, err := s.Roles.Role(c.Context(), in.RoleArn)
	if err != nil {
		return nil, err
	}
	if !ok { // deleted since it was allowed
		return nil, awserr.Of(awserr.AccessDenied, "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.Principal().ARN(), in.RoleArn)
	}
	seconds, err := duration(c.Principal(), role, in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	session := identity.Session{Kind: identity.KindAssumedRole, Account: role.Account, RoleARN: role.ARN, RoleID: role.ID,
		Name: in.RoleSessionName, Issued: c.Now(), InvokedBy: c.Principal().ServiceName(), SourceFunctionID: sourceFunction(c), Expires: c.Now().Add(time.Duration(seconds) * time.Second),
		Tags: sessionTags(c.Principal(), role, in), TransitiveTags: transitive(c.Principal(), in.TransitiveTagKeys)}
	if session.SourceIdentity, err = sourceIdentity(c.Principal(), in.SourceIdentity); err != nil {
		return nil, err
	}
	if in.Policy != nil {
		if err := sessionPolicy(*in.Policy); err != nil {
			return nil, err
		}
		session.Policies = []string{*in.Policy}
	}
	for _, p := range in.PolicyArns {
		session.PolicyARNs = append(session.PolicyARNs, wire.Val(p.Arn))
	}
	creds, err := s.Tokens.Issue(session)
	if err != nil {
		return nil, err
	}
	id := role.ID + ":" + in.RoleSessionName
	user := arn.New("sts", "", role.Account, "assumed-role/"+role.Name+"/"+in.RoleSessionName).String()
	return &sts.AssumeRoleOutput{Credentials: public(creds), AssumedRoleUser: &sts.AssumedRoleUser{AssumedRoleId: id, Arn: user},
		SourceIdentity: optional(session.SourceIdentity)}, nil
}

// sourceFunction is the function that Lambda takes its execution role for.
func sourceFunction(c *gate.Call) string {
	if c.Principal().ServiceName() == "lambda.amazonaws.com" {
		return c.SourceARN()
	}
	return ""
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// duration is how long the session lasts: at most the role's maximum, and one hour for a role
// assumed from a role. Source: IAM User Guide, "Roles terms and concepts", role chaining.
func duration(p identity.Principal, role Role, asked *int32) (int32, error) {
	if asked == nil {
		return min(hour, role.MaxSession), nil
	}
	if *asked > role.MaxSession {
		return 0, awserr.Of(awserr.Validation, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	if p.Kind() == identity.KindAssumedRole && *asked > hour {
		return 0, awserr.Of(awserr.Validation, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	return *asked, nil
}

// reservedTag words a tag of AWS's own.
func reservedTag(string) error {
	return awserr.Of(awserr.Validation, "aws: prefixed tag key names are not allowed for external use.")
}

// sessionTags are the role's tags, overlaid with the session's and with those that the caller's
// own session passes on.
func sessionTags(p identity.Principal, role Role, in *sts.AssumeRoleInput) map[string]string {
	tags := make(map[string]string, len(role.Tags)+len(in.Tags))
	for k, v := range role.Tags {
		tags[k] = v
	}
	for _, t := range in.Tags {
		tags[t.Key] = t.Value
	}
	for _, k := range p.TransitiveTags() {
		if v, ok := p.Tag(k); ok {
			tags[k] = v
		}
	}
	return tags
}

// transitive are the keys of the tags that go on to the next role: those asked for, and those that
// came so far.
func transitive(p identity.Principal, asked []string) []string {
	all := slices.Concat(p.TransitiveTags(), asked)
	slices.Sort(all)
	return slices.Compact(all)
}

func sessionPolicy(doc string) error {
	if _, err := policy.Parse([]byte(doc), policy.Session, policy.Options{}); err != nil {
		return awserr.New("MalformedPolicyDocument", 400, "%s", err.Error())
	}
	return nil
}

func tagsOf(role Role) func(string) policy.Values {
	return func(key string) policy.Values {
		for k, v := range role.Tags {
			if key == "aws:resourcetag/"+lower(k) || key == "iam:resourcetag/"+lower(k) {
				return policy.One(v)
			}
		}
		return policy.Values{}
	}
}
