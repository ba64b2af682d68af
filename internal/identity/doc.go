// Package identity says who a caller is, station 4 of a request's way: it turns what sigv4
// verified into a Principal, on which policies decide and which records name. A Principal has no
// exported fields; only the functions here make one, each for one way of having been
// authenticated:
//
//	who, err := identity.Of(verified)                          // a signed request
//	who := identity.Service("lambda.amazonaws.com", account)   // a job of Bastide's own
//	who, err := session.Principal()                            // a role, within the process
//	who := identity.Authorized(identity.Caller{Account: …})    // an application's caller
//	who := identity.Anonymous()                                // nobody
//
// A Keyring is where sigv4 finds secrets: long-term keys in the Directory (service/iam's
// snapshot), temporary ones in the session token itself. Tokens are stateless: everything about a
// session, its secret too, is sealed into the token (AES-256-GCM under a key derived per token),
// so that any node can open it and none has to remember it.
package identity

import "time"

// Kind is the way in which a principal is known.
type Kind int

// The kinds. The zero Principal is Anonymous. Their numbers are in session tokens: only append.
const (
	KindAnonymous Kind = iota
	KindUser
	KindRoot
	KindAssumedRole
	KindFederatedUser
	KindService
	KindAuthorized // an application's caller, known to its authorizer only
)

// String is CloudTrail's userIdentity.type where it has one.
func (k Kind) String() string {
	switch k {
	case KindUser:
		return "IAMUser"
	case KindRoot:
		return "Root"
	case KindAssumedRole:
		return "AssumedRole"
	case KindFederatedUser:
		return "FederatedUser"
	case KindService:
		return "AWSService"
	case KindAuthorized:
		return "Authorized"
	}
	return "Anonymous"
}

// Credential is a long-term access key with the user, or account root, that it belongs to.
type Credential struct {
	Secret   string
	Active   bool
	Root     bool   // belongs to the account itself
	Account  string // 12 digits
	ARN      string // arn:aws:iam::123456789012:user/name
	UserID   string // AIDA…, or the account for root
	UserName string
	Tags     map[string]string // must not change after
}

// String names the owner, never the secret.
func (c Credential) String() string { return "Credential(" + c.ARN + ")" }

// GoString is String, so that %#v shows no secret either.
func (c Credential) GoString() string { return c.String() }

// Directory is the snapshot of access keys that service/iam keeps.
type Directory interface {
	// Lookup finds a long-term access key, active or not.
	Lookup(accessKeyID string) (Credential, bool)
}

// Session is what temporary credentials stand for.
type Session struct {
	Kind             Kind   // KindAssumedRole, KindUser (GetSessionToken), KindRoot or KindFederatedUser
	Account          string // 12 digits
	RoleARN          string // for a role: arn:aws:iam::123456789012:role/path/name
	RoleID           string // for a role: AROA…
	Name             string // the session's name, or the federated user's
	UserARN          string // for a user
	UserID           string // for a user: AIDA…
	UserName         string // for a user
	Issued, Expires  time.Time
	Policies         []string // inline session policies, JSON
	PolicyARNs       []string // managed session policies
	Tags             map[string]string
	TransitiveTags   []string
	SourceIdentity   string
	MFA              bool
	FederatedBy      string // the identity provider, for web identity and SAML
	InvokedBy        string // the service that the session was made for: "lambda.amazonaws.com"
	SourceFunctionID string // the function's ARN, in sessions of execution roles
	IssuingKey       string `json:",omitempty"` // the long-term access key that the session lasts no longer than
}
