package policy

// Principal types. They are CloudTrail's userIdentity types where it has one.
const (
	User          = "User"
	AssumedRole   = "AssumedRole"
	Root          = "Root"
	FederatedUser = "FederatedUser" // a GetFederationToken session
	Service       = "Service"
	WebIdentity   = "WebIdentityUser" // the caller of AssumeRoleWithWebIdentity
	SAML          = "SAMLUser"        // the caller of AssumeRoleWithSAML
	Anonymous     = "Anonymous"
)

// Principal is who asks. From it come the condition keys aws:PrincipalArn, aws:PrincipalAccount,
// aws:PrincipalType, aws:PrincipalTag/…, aws:userid, aws:username, aws:PrincipalIsAWSService and
// aws:PrincipalServiceName. An unknown Type is granted nothing.
type Principal struct {
	ARN     string // of the user, the role session, the federated session or the account root
	Account string
	Type    string
	UserID  string // AIDA… of a user, AROA…:session of a role session, account:name of a federated user
	Tags    map[string]string
	// RoleARN is, of a role session, the role's own ARN with its path; of a federated user, the ARN
	// of the user who federated. Resource policies may name either the session or what it came from.
	RoleARN       string
	SessionName   string
	Service       string // apigateway.amazonaws.com, for Service
	Provider      string // what a Federated principal names: an ARN or a domain; WebIdentity and SAML
	CanonicalUser string // the account's canonical user id, where a service uses such
}

// Request is one wish: this principal, this action, this resource.
type Request struct {
	Principal       *Principal // nil is the anonymous caller
	Action          string     // s3:GetObject
	Resource        string     // an ARN, or "*" for actions that have none
	ResourceAccount string     // who owns the resource; empty is taken for the caller's own account
	Context         Context    // nil has no keys
	// ResourcePolicyRequired is set for resources that nobody reaches but by their own policy, not
	// even from the same account: roles (trust policies) and KMS keys.
	ResourcePolicyRequired bool
}

// Attached is a policy with where it comes from, for explanations.
type Attached struct {
	Policy *Policy // nil allows nothing
	Name   string
	ARN    string
	Where  string // role TaskReader inline policy Table
}

// Set is everything that applies to a request.
type Set struct {
	Identity []Attached
	Boundary *Attached // nil: there is none
	// Session policies; nil: there are none. A list that is present but empty allows nothing, as
	// for GetFederationToken without policies.
	Session []Attached
	// SCPs has one list for each level from the organisation's root to the account; each level
	// must allow. RCPs likewise, for the resource's account.
	SCPs     [][]Attached
	RCPs     [][]Attached
	Resource *Attached // nil: the resource has no policy
}

var anonymous = &Principal{Type: Anonymous}

// typeKey is the value of aws:PrincipalType.
func (p *Principal) typeKey() string {
	switch p.Type {
	case Root:
		return "Account"
	case User, AssumedRole, FederatedUser, Anonymous:
		return p.Type
	}
	return ""
}

// tag finds a tag by its key in lower case. IAM refuses two keys that differ in case only; should
// both be there, the first in byte order counts.
func (p *Principal) tag(key string) Values {
	if v, ok := p.Tags[key]; ok {
		return One(v)
	}
	var name, value string
	for k, v := range p.Tags {
		if equalFold(k, key) && (name == "" || k < name) {
			name, value = k, v
		}
	}
	if name == "" {
		return Values{}
	}
	return One(value)
}

// hasIdentity says that identity policies speak for the caller; services, federated callers before
// they have a role, and strangers have none.
func (p *Principal) hasIdentity() bool {
	switch p.Type {
	case User, AssumedRole, Root, FederatedUser:
		return true
	}
	return false
}
