package identity

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

// Principal is an authenticated caller; immutable. Its zero value is nobody.
type Principal struct {
	f           *facts // shared between requests
	accessKeyID string
	invokedBy   string
	open        bool
}

// facts are what is known of a principal whatever the request.
type facts struct {
	Session
	arn, userID string
	caller      Caller
}

var nobody = &facts{}

func (p Principal) facts() *facts {
	if p.f == nil {
		return nobody
	}
	return p.f
}

// Kind is how the principal is known.
func (p Principal) Kind() Kind { return p.facts().Kind }

// Account is the 12 digits of the principal's account; empty for nobody.
func (p Principal) Account() string { return p.facts().Account }

// ARN names the principal: the user, the assumed-role session; empty for services and nobody.
func (p Principal) ARN() string { return p.facts().arn }

// UserID is aws:userid: AIDA… of a user, AROA…:session of a role session, the account of root, the
// authorizer's principal id of an authorized caller.
func (p Principal) UserID() string { return p.facts().userID }

// UserName is the user's name (aws:username); empty for others.
func (p Principal) UserName() string { return p.facts().UserName }

// RoleARN is the role of a session.
func (p Principal) RoleARN() string { return p.facts().RoleARN }

// RoleUniqueID is the AROA… of a session's role: a role made anew under an old name has another.
func (p Principal) RoleUniqueID() string { return p.facts().RoleID }

// SessionName is the name of a role session or federated user.
func (p Principal) SessionName() string { return p.facts().Name }

// SessionIssuer is the ARN of what issued the session: the role, or the user.
func (p Principal) SessionIssuer() string {
	if f := p.facts(); f.RoleARN != "" {
		return f.RoleARN
	} else if !f.Expires.IsZero() {
		return f.UserARN
	}
	return ""
}

// AccessKeyID signed the request; empty within the process.
func (p Principal) AccessKeyID() string { return p.accessKeyID }

// IssuingKey is the long-term access key that the session lasts no longer than; empty for others.
func (p Principal) IssuingKey() string { return p.facts().IssuingKey }

// Temporary: the principal is a session with an end.
func (p Principal) Temporary() bool { return !p.facts().Expires.IsZero() }

// CreatedAt is when the session was issued (aws:TokenIssueTime); zero for long-term keys.
func (p Principal) CreatedAt() time.Time { return p.facts().Issued }

// MFA: the session was made with a second factor.
func (p Principal) MFA() bool { return p.facts().MFA }

// SourceIdentity is aws:SourceIdentity.
func (p Principal) SourceIdentity() string { return p.facts().SourceIdentity }

// Tag is a tag of the session or, for long-term keys, of the user.
func (p Principal) Tag(key string) (string, bool) { v, ok := p.facts().Tags[key]; return v, ok }

// Tags is a copy of the principal's tags.
func (p Principal) Tags() map[string]string { return maps.Clone(p.facts().Tags) }

// TransitiveTags are the keys of the tags that a chained session inherits.
func (p Principal) TransitiveTags() []string { return slices.Clone(p.facts().TransitiveTags) }

// SessionPolicies are the inline session policies, JSON.
func (p Principal) SessionPolicies() []string { return slices.Clone(p.facts().Policies) }

// SessionPolicyARNs are the managed session policies.
func (p Principal) SessionPolicyARNs() []string { return slices.Clone(p.facts().PolicyARNs) }

// FederatedBy is the identity provider of a federated session.
func (p Principal) FederatedBy() string { return p.facts().FederatedBy }

// SourceFunction is lambda:SourceFunctionArn, in sessions of execution roles.
func (p Principal) SourceFunction() string { return p.facts().SourceFunctionID }

// ServiceName is the service principal ("lambda.amazonaws.com"); empty for others.
func (p Principal) ServiceName() string {
	if f := p.facts(); f.Kind == KindService {
		return f.Name
	}
	return ""
}

// InvokedBy is the service that calls on the principal's behalf; empty for direct calls.
func (p Principal) InvokedBy() string { return p.invokedBy }

// Caller is what the authorizer said, for an authorized caller.
func (p Principal) Caller() Caller { return p.facts().caller }

// OpenCredentials: the signature was not checked, because credentials are open.
func (p Principal) OpenCredentials() bool { return p.open }

// Via is the principal, called for by a service on its behalf.
func (p Principal) Via(service string) Principal {
	p.invokedBy = service
	return p
}

// String names the principal for logs.
func (p Principal) String() string {
	f := p.facts()
	switch {
	case f.arn != "":
		return f.arn
	case f.Kind == KindService:
		return f.Name
	case f.Kind == KindAuthorized:
		return "authorized:" + f.userID
	}
	return "anonymous"
}

// Of is the principal that signed a request.
func Of(v sigv4.Verified) (Principal, error) {
	f, ok := v.Owner().(*facts)
	if !ok || f.Kind == KindAnonymous {
		return Principal{}, awserr.Of(awserr.UnknownAccessKey, "The security token included in the request is invalid.")
	}
	return Principal{f: f, accessKeyID: v.AccessKeyID(), open: v.Open()}, nil
}

// Anonymous is a caller of whom nothing is known.
func Anonymous() Principal { return Principal{} }

// Service is a service acting for itself in an account: name is its principal,
// "lambda.amazonaws.com".
func Service(name, account string) Principal {
	return Principal{f: &facts{Session: Session{Kind: KindService, Account: account, Name: name}, userID: name}, invokedBy: name}
}

// Caller is what an application's authorizer established of its caller.
type Caller struct {
	Account     string // of the application
	Authorizer  string // its name or id
	PrincipalID string // as the authorizer gave it; a JWT's subject
}

// Authorized is a caller of an application whom its authorizer let in; to AWS's policies, nobody.
func Authorized(c Caller) Principal {
	return Principal{f: &facts{Session: Session{Kind: KindAuthorized, Account: c.Account}, userID: c.PrincipalID, caller: c}}
}

// Principal acts for the session within the process, without credentials. The error names what of s is missing or malformed.
func (s Session) Principal() (Principal, error) {
	f, err := newFacts(s)
	if err != nil {
		return Principal{}, err
	}
	return Principal{f: f, invokedBy: s.InvokedBy}, nil
}

// newFacts names a session's principal and refuses a session that could be mistaken for another.
func newFacts(s Session) (*facts, error) {
	s.Tags = maps.Clone(s.Tags) // the caller keeps its own
	f := &facts{Session: s}
	bad := func(what string) (*facts, error) {
		return nil, awserr.Wrap(&sessionError{what})
	}
	if len(s.Account) != 12 || strings.Trim(s.Account, "0123456789") != "" {
		return bad("account")
	}
	if !s.Issued.Before(s.Expires) || s.Expires.Sub(s.Issued) > 36*time.Hour {
		return bad("times")
	}
	switch s.Kind {
	case KindAssumedRole:
		role, err := arn.Parse(s.RoleARN)
		if err != nil || role.Account != s.Account || !strings.HasPrefix(role.Resource, "role/") || s.RoleID == "" {
			return bad("role")
		}
		if !sessionName(s.Name) {
			return bad("name")
		}
		f.arn = arn.New("sts", "", s.Account, "assumed-role/"+role.Last()+"/"+s.Name).String()
		f.userID = s.RoleID + ":" + s.Name
	case KindFederatedUser:
		if !sessionName(s.Name) {
			return bad("name")
		}
		f.arn = arn.New("sts", "", s.Account, "federated-user/"+s.Name).String()
		f.userID = s.Account + ":" + s.Name
	case KindUser, KindRoot:
		user, err := arn.Parse(s.UserARN)
		if err != nil || user.Account != s.Account || s.UserID == "" || s.Kind == KindUser && s.UserName == "" {
			return bad("user")
		}
		f.arn, f.userID = s.UserARN, s.UserID
	default:
		return bad("kind")
	}
	return f, nil
}

type sessionError struct{ what string }

func (e *sessionError) Error() string { return "identity: a session without a valid " + e.what }

// sessionName is AssumeRole's pattern: 2 to 64 of letters, digits and _+=,.@-
func sessionName(s string) bool {
	if len(s) < 2 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_+=,.@-", c) >= 0) {
			return false
		}
	}
	return true
}

// ofCredential are the facts of a long-term key's owner.
func ofCredential(c Credential) *facts {
	kind := KindUser
	if c.Root {
		kind = KindRoot
	}
	return &facts{Session: Session{Kind: kind, Account: c.Account, UserARN: c.ARN, UserID: c.UserID, UserName: c.UserName, Tags: c.Tags},
		arn: c.ARN, userID: c.UserID}
}
