package policy

import (
	"encoding/json"
	"strings"
)

// Remedy is one statement that is missing and the place where it belongs.
type Remedy struct {
	Place Kind   `json:"place"`
	Level int    `json:"level,omitempty"` // of an SCP or RCP
	Where string `json:"where,omitempty"` // the policy to add it to, when there is one already
	// Statement is the smallest that is enough: this action, this resource and, in a resource or
	// trust policy, this principal. It belongs into a document of version 2012-10-17, where a star,
	// question mark or dollar sign of a name is escaped as ${*}, ${?}, ${$}.
	Statement json.RawMessage `json:"statement"`
	// Public warns that the statement opens the resource to everybody.
	Public bool `json:"public,omitempty"`
}

// Document is the remedy as a policy of its own.
func (r Remedy) Document() []byte {
	return []byte(`{"Version":"2012-10-17","Statement":[` + string(r.Statement) + `]}`)
}

// remedies lists what must be added, all of it, for the request to be allowed: the least intrusive
// way, so that a same-account caller gets an identity statement unless the resource's own policy has
// to speak.
func (x *explainer) remedies(set *Set) []Remedy {
	var f findings
	e := &x.e
	if _, denied := e.explicitDeny(set, &f); denied {
		return nil
	}
	var out []Remedy
	out = x.levels(out, RCP, set.RCPs)
	if !e.who.hasIdentity() {
		if f.resource.granted == grantNone {
			out = x.atResource(out, set)
		}
		return out
	}
	out = x.levels(out, SCP, set.SCPs)
	granted, same := f.resource.granted, e.sameAccount()
	if same && granted == grantDirect {
		return out
	}
	if granted == grantNone && (!same || e.req.ResourcePolicyRequired) {
		if out = x.atResource(out, set); same {
			granted = x.grantOfRemedy()
		}
	}
	if same && granted == grantDirect {
		return out
	}
	needsIdentity := !(same && granted == grantRole) && e.who.Type != Root
	if needsIdentity && f.identity.allow == nil {
		out = append(out, x.plain(Identity, 0, ""))
	}
	if set.Boundary != nil && f.boundary.allow == nil && e.who.Type != Root {
		out = append(out, x.plain(Boundary, 0, set.Boundary.Where))
	}
	if set.Session != nil && f.session.allow == nil {
		where := ""
		if len(set.Session) > 0 {
			where = set.Session[0].Where
		}
		out = append(out, x.plain(Session, 0, where))
	}
	return out
}

func (x *explainer) levels(out []Remedy, k Kind, levels [][]Attached) []Remedy {
	for i, level := range levels {
		var v verdict
		if v.readAll(&x.e, level); v.allow == nil {
			out = append(out, x.plain(k, i, ""))
		}
	}
	return out
}

// statement is in the order in which IAM's documentation writes the elements.
type statement struct {
	Effect    string                       `json:"Effect"`
	Principal any                          `json:"Principal,omitempty"`
	Action    string                       `json:"Action"`
	Resource  string                       `json:"Resource,omitempty"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

func (x *explainer) plain(k Kind, level int, where string) Remedy {
	s := statement{Effect: "Allow", Action: x.e.req.Action, Resource: literal(x.e.req.Resource)}
	if k == RCP {
		s.Principal = "*"
	}
	return Remedy{Place: k, Level: level, Where: where, Statement: encode(s)}
}

// atResource names the caller as resource policies should: the role rather than one session of it.
// A caller that no policy can name gets no remedy.
func (x *explainer) atResource(out []Remedy, set *Set) []Remedy {
	req, who, version := x.e.req, x.e.who, "2012-10-17"
	r := Remedy{Place: x.e.resourceKind(set)}
	if set.Resource != nil {
		r.Where = set.Resource.Where
		if set.Resource.Policy != nil {
			version = set.Resource.Policy.version
		}
	}
	s := statement{Effect: "Allow", Action: req.Action}
	if r.Place == Resource {
		if s.Resource = req.Resource; version == "2012-10-17" {
			s.Resource = literal(req.Resource)
		}
	}
	switch {
	case who.Type == Service:
		s.Principal = map[string]string{"Service": who.Service}
		s.Condition = x.source(version)
	case who.Type == WebIdentity || who.Type == SAML:
		s.Principal = map[string]string{"Federated": who.Provider}
	case who.Type == Anonymous:
		s.Principal, r.Public = "*", true
	case x.grantOfRemedy() != grantNone:
		s.Principal = map[string]string{"AWS": x.namesake()}
	default:
		return out
	}
	r.Statement = encode(s)
	return append(out, r)
}

// namesake is what a resource policy should name for a caller with an account.
func (x *explainer) namesake() string {
	switch who := x.e.who; {
	case who.Type == AssumedRole && who.RoleARN != "":
		return who.RoleARN
	case who.Type == Root:
		return who.Account
	default:
		return who.ARN
	}
}

// grantOfRemedy is how closely namesake names the caller; grantNone when it is not a name that a
// policy may hold.
func (x *explainer) grantOfRemedy() grant {
	var s principalSet
	if name := x.namesake(); name == "*" || !s.addAWS(name) {
		return grantNone
	}
	return s.grants(x.e.who)
}

// source narrows a service's permission to the resource on whose behalf it calls, where the request
// says so: without it the service could be sent by anybody's resource (the confused deputy).
func (x *explainer) source(version string) map[string]map[string]string {
	out := map[string]map[string]string{}
	if v := x.e.lookup("aws:sourcearn"); v.Len() == 1 && strings.HasPrefix(v.At(0), "arn:") &&
		strings.Count(v.At(0), ":") >= 5 && version == "2012-10-17" {
		out["ArnLike"] = map[string]string{"aws:SourceArn": literal(v.At(0))}
	}
	if v := x.e.lookup("aws:sourceaccount"); v.Len() == 1 && isAccount(v.At(0)) {
		out["StringEquals"] = map[string]string{"aws:SourceAccount": v.At(0)}
	}
	return out
}

// literal escapes what a pattern would read as a sign.
func literal(s string) string {
	if s == "*" || !strings.ContainsAny(s, "*?$") {
		return s
	}
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(s)
}

// encode writes JSON as policies are written: without HTML escapes.
func encode(v any) json.RawMessage {
	var b strings.Builder
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	if err := w.Encode(v); err != nil {
		return nil // a struct of strings always encodes
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n"))
}
