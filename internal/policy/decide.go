package policy

// Reason says which rule decided.
type Reason int

// The reasons. The zero Reason is that of the zero Decision, which denies.
const (
	Undecided Reason = iota
	Allowed
	ExplicitDeny
	ImplicitDenyIdentity
	ImplicitDenyBoundary
	ImplicitDenySession
	ImplicitDenySCP
	ImplicitDenyRCP
	ImplicitDenyResource
)

func (r Reason) String() string {
	switch r {
	case Allowed:
		return "Allowed"
	case ExplicitDeny:
		return "ExplicitDeny"
	case ImplicitDenyIdentity:
		return "ImplicitDenyIdentity"
	case ImplicitDenyBoundary:
		return "ImplicitDenyBoundary"
	case ImplicitDenySession:
		return "ImplicitDenySession"
	case ImplicitDenySCP:
		return "ImplicitDenySCP"
	case ImplicitDenyRCP:
		return "ImplicitDenyRCP"
	case ImplicitDenyResource:
		return "ImplicitDenyResource"
	}
	return "Undecided"
}

// MarshalText writes the reason's name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Decision is the answer. By and Statement are the policy and statement that decided: the one that
// allows, or the one that explicitly denies; nil for an implicit denial and for the account root,
// whom no policy needs to allow.
type Decision struct {
	Allowed   bool
	Reason    Reason
	Kind      Kind // of the policies that decided: the denying, the lacking or the allowing ones
	By        *Attached
	Statement *Statement
}

// findings are the verdicts of all that applies.
type findings struct {
	rcp, scp, resource, identity, boundary, session verdict
}

// Decide judges req by everything in set. It allocates nothing (a Context may).
//
// An explicit Deny anywhere wins. Then each organisation level must allow. Within one account the
// identity or the resource must allow; how closely the resource's policy names the caller decides
// whether boundary and session still limit it. Across accounts both must allow. Services, federated
// callers and strangers are judged by the resource alone.
func Decide(req *Request, set *Set) Decision {
	var f findings
	var room actionRoom
	e := evaluate(req, room[:])
	if d, denied := e.explicitDeny(set, &f); denied {
		return d
	}
	return e.conclude(set, &f)
}

// explicitDeny fills f and stops at the first Deny.
func (e *evaluation) explicitDeny(set *Set, f *findings) (Decision, bool) {
	f.rcp.readLevels(e, set.RCPs)
	if f.rcp.deny != nil {
		return denied(RCP, &f.rcp), true
	}
	subject := e.who.hasIdentity()
	if subject {
		if f.scp.readLevels(e, set.SCPs); f.scp.deny != nil {
			return denied(SCP, &f.scp), true
		}
	}
	if set.Resource != nil {
		if f.resource.read(e, set.Resource); f.resource.deny != nil {
			return denied(e.resourceKind(set), &f.resource), true
		}
	}
	if !subject {
		return Decision{}, false
	}
	if f.identity.readAll(e, set.Identity); f.identity.deny != nil {
		return denied(Identity, &f.identity), true
	}
	if set.Boundary != nil {
		if f.boundary.read(e, set.Boundary); f.boundary.deny != nil {
			return denied(Boundary, &f.boundary), true
		}
	}
	if f.session.readAll(e, set.Session); f.session.deny != nil {
		return denied(Session, &f.session), true
	}
	return Decision{}, false
}

// conclude weighs the allowing statements when nothing denies.
func (e *evaluation) conclude(set *Set, f *findings) Decision {
	if len(set.RCPs) > 0 && f.rcp.allow == nil {
		return lacking(ImplicitDenyRCP, RCP)
	}
	granted := f.resource.granted
	if !e.who.hasIdentity() {
		if granted == grantNone {
			return lacking(ImplicitDenyResource, e.resourceKind(set))
		}
		return allowed(e.resourceKind(set), &f.resource)
	}
	if len(set.SCPs) > 0 && f.scp.allow == nil {
		return lacking(ImplicitDenySCP, SCP)
	}
	same := e.sameAccount()
	if same && granted == grantDirect {
		return allowed(e.resourceKind(set), &f.resource)
	}
	byResource := same && granted == grantRole
	if !byResource && f.identity.allow == nil && e.who.Type != Root {
		if same && e.req.ResourcePolicyRequired && granted == grantNone {
			return lacking(ImplicitDenyResource, e.resourceKind(set))
		}
		return lacking(ImplicitDenyIdentity, Identity)
	}
	if (!same || e.req.ResourcePolicyRequired) && granted == grantNone {
		return lacking(ImplicitDenyResource, e.resourceKind(set))
	}
	if set.Boundary != nil && f.boundary.allow == nil && e.who.Type != Root {
		return lacking(ImplicitDenyBoundary, Boundary)
	}
	if set.Session != nil && f.session.allow == nil {
		return lacking(ImplicitDenySession, Session)
	}
	if byResource {
		return allowed(e.resourceKind(set), &f.resource)
	}
	return allowed(Identity, &f.identity)
}

func (e *evaluation) sameAccount() bool {
	return e.req.ResourceAccount == "" || e.req.ResourceAccount == e.who.Account
}

func (e *evaluation) resourceKind(set *Set) Kind {
	if set.Resource != nil && set.Resource.Policy != nil {
		return set.Resource.Policy.kind
	}
	if bytesHavePrefix(e.action, "sts:assumerole") {
		return Trust
	}
	return Resource
}

func bytesHavePrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

func denied(k Kind, v *verdict) Decision {
	return Decision{Reason: ExplicitDeny, Kind: k, By: v.in, Statement: v.deny}
}

func allowed(k Kind, v *verdict) Decision {
	return Decision{Allowed: true, Reason: Allowed, Kind: k, By: v.in, Statement: v.allow}
}

func lacking(r Reason, k Kind) Decision { return Decision{Reason: r, Kind: k} }

// Message words a denial as AWS does (IAM User Guide, "Troubleshoot access denied error messages").
// It is empty for an allowed request.
func (d Decision) Message(req *Request) string {
	if d.Allowed {
		return ""
	}
	s := "User: " + req.Principal.name() + " is not authorized to perform: " + req.Action +
		" on resource: " + req.Resource
	one, the := "an identity-based policy", "identity-based policy"
	switch d.Kind {
	case Resource:
		one, the = "a resource-based policy", "resource-based policy"
	case Trust:
		one, the = "the role trust policy", "role trust policy"
	case Boundary:
		one, the = "a permissions boundary", "permissions boundary"
	case Session:
		one, the = "a session policy", "session policy"
	case SCP:
		one, the = "a service control policy", "service control policy"
	case RCP:
		one, the = "a resource control policy", "resource control policy"
	}
	if d.Reason == ExplicitDeny {
		return s + " with an explicit deny in " + one
	}
	return s + " because no " + the + " allows the " + req.Action + " action"
}

// name is how a message calls the caller.
func (p *Principal) name() string {
	switch {
	case p == nil:
		return "anonymous"
	case p.ARN != "":
		return p.ARN
	case p.Service != "":
		return p.Service
	case p.Provider != "":
		return p.Provider
	}
	return "anonymous"
}
