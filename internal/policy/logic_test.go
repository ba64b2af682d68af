package policy

import (
	"encoding/json"
	"strings"
	"testing"
)

// The people and things of these tests. The resource owner is account 111111111111.
const (
	home, away = "111111111111", "222222222222"
	roleARN    = "arn:aws:iam::111111111111:role/app/reader"
	sessionARN = "arn:aws:sts::111111111111:assumed-role/reader/s1"
	aliceARN   = "arn:aws:iam::111111111111:user/alice"
	bobARN     = "arn:aws:iam::222222222222:user/bob"
	fedARN     = "arn:aws:sts::111111111111:federated-user/fay"
	taskARN    = "arn:aws:s3:::tasks/1"
)

var (
	alice = &Principal{ARN: aliceARN, Account: home, Type: User, UserID: "AIDAALICEALICEALICE0"}
	bob   = &Principal{ARN: bobARN, Account: away, Type: User, UserID: "AIDABOBBOBBOBBOBBOB0"}
	role  = &Principal{ARN: sessionARN, RoleARN: roleARN, Account: home, Type: AssumedRole, SessionName: "s1",
		UserID: "AROAREADERREADERREAD:s1"}
	fed  = &Principal{ARN: fedARN, RoleARN: aliceARN, Account: home, Type: FederatedUser, UserID: home + ":fay"}
	own  = &Principal{ARN: "arn:aws:iam::111111111111:root", Account: home, Type: Root, UserID: home}
	far  = &Principal{ARN: "arn:aws:iam::222222222222:root", Account: away, Type: Root, UserID: away}
	svc  = &Principal{Type: Service, Service: "apigateway.amazonaws.com"}
	oidc = &Principal{Type: WebIdentity, Provider: "accounts.google.com", UserID: "p:sub"}
)

// doc wraps statements, given as JSON, in a document of the current version.
func doc(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func must(t testing.TB, kind Kind, src string) *Policy {
	t.Helper()
	p, err := Parse([]byte(src), kind)
	if err != nil {
		t.Fatalf("%s policy %s: %v", kind, src, err)
	}
	return p
}

func attach(t testing.TB, kind Kind, src string) Attached {
	t.Helper()
	return Attached{Policy: must(t, kind, src), Name: kind.String(), Where: "test " + kind.String()}
}

const (
	allowAll  = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	allowRead = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::tasks/*"}`
	allowPut  = `{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}`
	denyRead  = `{"Sid":"No","Effect":"Deny","Action":"s3:Get*","Resource":"*"}`
)

// by is a resource policy statement on the tasks for the principals given as JSON.
func by(effect, principal string) string {
	return `{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::tasks/*"}`
}

func notBy(effect, principal string) string {
	return strings.Replace(by(effect, principal), `"Principal"`, `"NotPrincipal"`, 1)
}

func aws(arns ...string) string {
	b, _ := json.Marshal(map[string][]string{"AWS": arns})
	return string(b)
}

// story is one request for s3:GetObject on taskARN and everything that applies to it. An empty
// string means that there is no such policy; "-" stands for a statement-less permission, which
// allows nothing (it allows s3:PutObject instead).
type story struct {
	name     string
	who      *Principal
	identity string
	boundary string
	session  string
	scp, rcp string
	resource string
	required bool
	want     Reason
}

func (s story) build(t testing.TB) (*Request, *Set) {
	one := func(kind Kind, stmt string) []Attached {
		if stmt == "" {
			return nil
		}
		if stmt == "-" {
			stmt = allowPut
			if kind == Resource {
				stmt = `{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"*"}`
			}
		}
		if kind == RCP {
			stmt = strings.Replace(stmt, `"Effect"`, `"Principal":"*","Effect"`, 1)
		}
		return []Attached{attach(t, kind, doc(stmt))}
	}
	set := &Set{Identity: one(Identity, s.identity), Session: one(Session, s.session)}
	if b := one(Boundary, s.boundary); b != nil {
		set.Boundary = &b[0]
	}
	if r := one(Resource, s.resource); r != nil {
		set.Resource = &r[0]
	}
	if s.scp != "" {
		set.SCPs = [][]Attached{one(SCP, allowAll), one(SCP, s.scp)}
	}
	if s.rcp != "" {
		set.RCPs = [][]Attached{one(RCP, allowAll), one(RCP, s.rcp)}
	}
	return &Request{Principal: s.who, Action: "s3:GetObject", Resource: taskARN, ResourceAccount: home,
		ResourcePolicyRequired: s.required}, set
}

func stories() []story {
	const rd, no = allowRead, "-"
	const yes, miss, deny = Allowed, ImplicitDenyIdentity, ExplicitDeny
	account := aws(home)
	return []story{
		{name: "by default everything is denied", who: alice, want: miss},
		{name: "an identity policy allows", who: alice, identity: rd, want: yes},
		{name: "an identity policy for something else does not", who: alice, identity: no, want: miss},
		{name: "an explicit deny beside the allow wins", who: alice, identity: rd + "," + denyRead, want: deny},
		{name: "deny and allow may come in any order", who: alice, identity: denyRead + "," + rd, want: deny},

		{name: "boundary and identity both allow", who: alice, identity: rd, boundary: rd, want: yes},
		{name: "a boundary that does not allow limits", who: alice, identity: rd, boundary: no, want: ImplicitDenyBoundary},
		{name: "a boundary grants nothing by itself", who: alice, boundary: rd, want: miss},
		{name: "a boundary may deny", who: alice, identity: rd, boundary: allowAll + "," + denyRead, want: deny},

		{name: "session and identity both allow", who: role, identity: rd, session: rd, want: yes},
		{name: "a session policy limits", who: role, identity: rd, session: no, want: ImplicitDenySession},
		{name: "a session policy grants nothing by itself", who: role, session: rd, want: miss},
		{name: "a session policy may deny", who: role, identity: rd, session: allowAll + "," + denyRead, want: deny},
		{name: "boundary is told before session", who: role, identity: rd, boundary: no, session: no, want: ImplicitDenyBoundary},

		{name: "SCP and identity both allow", who: alice, identity: rd, scp: allowAll, want: yes},
		{name: "an SCP that does not allow limits", who: alice, identity: rd, scp: no, want: ImplicitDenySCP},
		{name: "an SCP grants nothing by itself", who: alice, scp: allowAll, want: miss},
		{name: "an SCP may deny", who: alice, identity: rd, scp: allowAll + "," + denyRead, want: deny},
		{name: "SCPs bind the account root", who: own, scp: no, want: ImplicitDenySCP},
		{name: "an SCP denies the account root", who: own, scp: allowAll + "," + denyRead, want: deny},
		{name: "SCPs limit what a resource policy grants directly", who: alice, resource: by("Allow", aws(aliceARN)), scp: no, want: ImplicitDenySCP},
		{name: "SCPs do not bind services", who: svc, resource: by("Allow", `{"Service":"apigateway.amazonaws.com"}`), scp: no, want: yes},
		{name: "SCPs do not bind strangers", who: nil, resource: by("Allow", `"*"`), scp: no, want: yes},

		{name: "RCP and identity both allow", who: alice, identity: rd, rcp: allowAll, want: yes},
		{name: "an RCP that does not allow limits", who: alice, identity: rd, rcp: no, want: ImplicitDenyRCP},
		{name: "an RCP binds strangers", who: nil, resource: by("Allow", `"*"`), rcp: allowAll + `,{"Principal":"*","Effect":"Deny","Action":"s3:*","Resource":"*"}`, want: deny},
		{name: "an RCP binds services", who: svc, resource: by("Allow", `{"Service":"apigateway.amazonaws.com"}`), rcp: no, want: ImplicitDenyRCP},
		{name: "an RCP binds other accounts", who: bob, identity: rd, resource: by("Allow", aws(bobARN)), rcp: no, want: ImplicitDenyRCP},

		{name: "same account: naming the user is enough", who: alice, resource: by("Allow", aws(aliceARN)), want: yes},
		{name: "naming the user passes boundary and identity", who: alice, identity: no, boundary: no, resource: by("Allow", aws(aliceARN)), want: yes},
		{name: "naming the user by unique id", who: alice, boundary: no, resource: by("Allow", aws("AIDAALICEALICEALICE0")), want: yes},
		{name: "a boundary's explicit deny still wins", who: alice, boundary: denyRead, resource: by("Allow", aws(aliceARN)), want: deny},
		{name: "naming the role session is enough", who: role, resource: by("Allow", aws(sessionARN)), want: yes},
		{name: "naming the role session passes boundary and session policy", who: role, boundary: no, session: no, resource: by("Allow", aws(sessionARN)), want: yes},
		{name: "naming another session of the role is not", who: role, resource: by("Allow", aws(sessionARN+"x")), want: miss},
		{name: "naming the role is enough", who: role, resource: by("Allow", aws(roleARN)), want: yes},
		{name: "naming the role is limited by the boundary", who: role, boundary: no, resource: by("Allow", aws(roleARN)), want: ImplicitDenyBoundary},
		{name: "naming the role is limited by the session policy", who: role, session: no, resource: by("Allow", aws(roleARN)), want: ImplicitDenySession},
		{name: "naming the role with both limits allowing", who: role, boundary: rd, session: rd, resource: by("Allow", aws(roleARN)), want: yes},
		{name: "naming the role by unique id", who: role, resource: by("Allow", aws("AROAREADERREADERREAD")), want: yes},
		{name: "a role ARN without its path is another role", who: role, resource: by("Allow", aws("arn:aws:iam::111111111111:role/reader")), want: miss},
		{name: "the closest grant counts, role then session", who: role, session: no, resource: by("Allow", aws(roleARN)) + "," + by("Allow", aws(sessionARN)), want: yes},
		{name: "naming the federated session passes the session policy", who: fed, session: no, resource: by("Allow", aws(fedARN)), want: yes},
		{name: "naming the user who federated is limited by the session policy", who: fed, session: no, resource: by("Allow", aws(aliceARN)), want: ImplicitDenySession},
		{name: "naming the user who federated, session allowing", who: fed, session: rd, resource: by("Allow", aws(aliceARN)), want: yes},
		{name: "naming the own account delegates to identity policies", who: alice, resource: by("Allow", account), want: miss},
		{name: "naming the own account and an identity policy", who: alice, identity: rd, resource: by("Allow", account), want: yes},
		{name: "naming the own root is naming the account", who: alice, resource: by("Allow", aws("arn:aws:iam::111111111111:root")), want: miss},
		{name: "everybody includes the account's users", who: alice, resource: by("Allow", `"*"`), want: yes},
		{name: "everybody, written as AWS", who: alice, resource: by("Allow", `{"AWS":"*"}`), want: yes},
		{name: "everybody passes boundary and session policy", who: role, boundary: no, session: no, resource: by("Allow", `"*"`), want: yes},
		{name: "a deny for the account hits its users", who: alice, identity: rd, resource: by("Deny", account), want: deny},
		{name: "a deny for the role hits its sessions", who: role, identity: rd, resource: by("Deny", aws(roleARN)), want: deny},
		{name: "a deny for another user does not", who: alice, identity: rd, resource: by("Deny", aws(bobARN)), want: yes},
		{name: "a resource policy is not needed in the same account", who: alice, identity: rd, resource: no, want: yes},

		{name: "across accounts identity alone is not enough", who: bob, identity: rd, want: ImplicitDenyResource},
		{name: "across accounts the resource alone is not enough", who: bob, resource: by("Allow", aws(bobARN)), want: miss},
		{name: "across accounts both are", who: bob, identity: rd, resource: by("Allow", aws(bobARN)), want: yes},
		{name: "across accounts naming the account is enough", who: bob, identity: rd, resource: by("Allow", aws(away)), want: yes},
		{name: "across accounts everybody still needs identity", who: bob, resource: by("Allow", `"*"`), want: miss},
		{name: "across accounts the boundary limits", who: bob, identity: rd, boundary: no, resource: by("Allow", aws(bobARN)), want: ImplicitDenyBoundary},
		{name: "across accounts naming another account", who: bob, identity: rd, resource: by("Allow", account), want: ImplicitDenyResource},
		{name: "across accounts the resource may deny", who: bob, identity: rd, resource: by("Deny", aws(away)), want: deny},

		{name: "the root may everything at home", who: own, want: yes},
		{name: "a resource policy can deny the root", who: own, resource: by("Deny", `"*"`), want: deny},
		{name: "a boundary does not bind the root", who: own, boundary: no, want: yes},
		{name: "another account's root is a stranger", who: far, want: ImplicitDenyResource},
		{name: "another account's root, named", who: far, resource: by("Allow", aws(away)), want: yes},

		{name: "required: identity alone is not enough", who: alice, identity: allowAll, required: true, want: ImplicitDenyResource},
		{name: "required: naming the user is", who: alice, resource: by("Allow", aws(aliceARN)), required: true, want: yes},
		{name: "required: naming the account delegates", who: alice, identity: rd, resource: by("Allow", account), required: true, want: yes},
		{name: "required: delegation needs an identity policy", who: alice, resource: by("Allow", account), required: true, want: miss},
		{name: "required: not even the root", who: own, required: true, want: ImplicitDenyResource},
		{name: "required: the root by its account", who: own, resource: by("Allow", account), required: true, want: yes},

		{name: "a service needs the resource policy", who: svc, want: ImplicitDenyResource},
		{name: "a service is named", who: svc, resource: by("Allow", `{"Service":"apigateway.amazonaws.com"}`), want: yes},
		{name: "another service is named", who: svc, resource: by("Allow", `{"Service":"sns.amazonaws.com"}`), want: ImplicitDenyResource},
		{name: "one of several services", who: svc, resource: by("Allow", `{"Service":["sns.amazonaws.com","apigateway.amazonaws.com"]}`), want: yes},
		{name: "identity policies do not speak for services", who: svc, identity: allowAll, want: ImplicitDenyResource},
		{name: "everybody includes services", who: svc, resource: by("Allow", `"*"`), want: yes},
		{name: "an account does not include services", who: svc, resource: by("Allow", account), want: ImplicitDenyResource},
		{name: "a web identity by its provider", who: oidc, resource: by("Allow", `{"Federated":"accounts.google.com"}`), want: yes},
		{name: "a web identity by another provider", who: oidc, resource: by("Allow", `{"Federated":"graph.facebook.com"}`), want: ImplicitDenyResource},
		{name: "a stranger is denied", who: nil, want: ImplicitDenyResource},
		{name: "a public resource admits strangers", who: nil, resource: by("Allow", `"*"`), want: yes},
		{name: "a stranger is nobody's user", who: nil, resource: by("Allow", account), want: ImplicitDenyResource},
		{name: "an unknown kind of caller is granted nothing", who: &Principal{Type: "Robot", ARN: aliceARN, Account: home}, identity: allowAll, resource: by("Allow", aws(aliceARN)), want: ImplicitDenyResource},
		{name: "a canonical user is its account", who: &Principal{ARN: aliceARN, Account: home, Type: User, CanonicalUser: "c0ffee"}, resource: by("Allow", `{"CanonicalUser":"c0ffee"}`), want: miss},

		{name: "NotPrincipal deny spares who is named with the account", who: alice, identity: rd, resource: notBy("Deny", aws(aliceARN, home)), want: yes},
		{name: "NotPrincipal deny without the account hits", who: alice, identity: rd, resource: notBy("Deny", aws(aliceARN)), want: deny},
		{name: "NotPrincipal deny with only the account hits its users", who: alice, identity: rd, resource: notBy("Deny", account), want: deny},
		{name: "NotPrincipal deny wants account, role and session", who: role, identity: rd, resource: notBy("Deny", aws(home, roleARN, sessionARN)), want: yes},
		{name: "NotPrincipal deny without the session hits", who: role, identity: rd, resource: notBy("Deny", aws(home, roleARN)), want: deny},
		{name: "NotPrincipal deny hits strangers", who: nil, resource: by("Allow", `"*"`) + "," + notBy("Deny", aws(aliceARN, home)), want: deny},
		{name: "NotPrincipal deny spares a named service", who: svc, resource: by("Allow", `"*"`) + "," + notBy("Deny", `{"Service":"apigateway.amazonaws.com"}`), want: yes},
		{name: "NotPrincipal deny spares a named root", who: own, resource: notBy("Deny", account), want: yes},
		{name: "NotPrincipal allow reaches everybody else", who: nil, resource: notBy("Allow", aws(aliceARN)), want: yes},
		{name: "NotPrincipal allow does not reach who is named", who: alice, resource: notBy("Allow", aws(aliceARN)), want: miss},
		{name: "NotPrincipal allow does not reach a named role's session", who: role, resource: notBy("Allow", aws(roleARN)), want: miss},
		{name: "NotPrincipal everybody is nobody", who: alice, resource: notBy("Allow", `"*"`), want: miss},
	}
}

func TestEvaluationLogic(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			req, set := s.build(t)
			got := Decide(req, set)
			if got.Reason != s.want || got.Allowed != (s.want == Allowed) {
				t.Errorf("got %v (allowed %v), want %v", got.Reason, got.Allowed, s.want)
			}
			if got.Reason == ExplicitDeny && (got.Statement == nil || got.Statement.Allow || got.By == nil) {
				t.Errorf("an explicit deny names its statement, got %+v", got)
			}
		})
	}
}

func TestAbsentAndEmptyPolicies(t *testing.T) {
	req := &Request{Principal: role, Action: "s3:GetObject", Resource: taskARN, ResourceAccount: home}
	identity := []Attached{attach(t, Identity, doc(allowRead))}
	full := []Attached{attach(t, SCP, doc(allowAll))}
	for _, c := range []struct {
		name string
		set  Set
		want Reason
	}{
		{"no session policies", Set{Identity: identity}, Allowed},
		{"session policies present but none", Set{Identity: identity, Session: []Attached{}}, ImplicitDenySession},
		{"a boundary that is gone allows nothing", Set{Identity: identity, Boundary: &Attached{}}, ImplicitDenyBoundary},
		{"an identity policy that is gone allows nothing", Set{Identity: []Attached{{}}}, ImplicitDenyIdentity},
		{"every level allows", Set{Identity: identity, SCPs: [][]Attached{full, full, full}}, Allowed},
		{"a level without policies allows nothing", Set{Identity: identity, SCPs: [][]Attached{full, {}, full}}, ImplicitDenySCP},
		{"one policy of a level is enough", Set{Identity: identity, SCPs: [][]Attached{{attach(t, SCP, doc(allowPut)), full[0]}}}, Allowed},
		{"a deny at any level wins", Set{Identity: identity, SCPs: [][]Attached{full, {attach(t, SCP, doc(denyRead))}, full}}, ExplicitDeny},
		{"one of two session policies is enough", Set{Identity: identity, Session: []Attached{attach(t, Session, doc(allowPut)), attach(t, Session, doc(allowRead))}}, Allowed},
		{"one of two identity policies is enough", Set{Identity: []Attached{attach(t, Identity, doc(allowPut)), identity[0]}}, Allowed},
		{"nothing at all", Set{}, ImplicitDenyIdentity},
	} {
		if got := Decide(req, &c.set); got.Reason != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got.Reason, c.want)
		}
	}
}

func TestRoleTrust(t *testing.T) {
	trust := func(principal, condition string) *Attached {
		a := attach(t, Trust, `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Principal":`+principal+
			`,"Action":"sts:AssumeRole"`+condition+`}}`)
		return &a
	}
	external := `,"Condition":{"StringEquals":{"sts:ExternalId":"42"}}`
	may := []Attached{attach(t, Identity, doc(`{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+roleARN+`"}`))}
	for _, c := range []struct {
		name     string
		who      *Principal
		identity []Attached
		trust    *Attached
		external string
		want     Reason
	}{
		{"a user named by the trust policy needs nothing else", alice, nil, trust(aws(aliceARN), ""), "", Allowed},
		{"trusting the account delegates", alice, nil, trust(aws(home), ""), "", ImplicitDenyIdentity},
		{"trusting the account and an identity policy", alice, may, trust(aws(home), ""), "", Allowed},
		{"an identity policy without trust", alice, may, trust(aws(bobARN), ""), "", ImplicitDenyResource},
		{"another account, trusted and allowed", bob, may, trust(aws(away), ""), "", Allowed},
		{"another account, trusted only", bob, nil, trust(aws(bobARN), ""), "", ImplicitDenyIdentity},
		{"the external id is right", bob, may, trust(aws(away), external), "42", Allowed},
		{"the external id is wrong", bob, may, trust(aws(away), external), "43", ImplicitDenyResource},
		{"the external id is missing", bob, may, trust(aws(away), external), "", ImplicitDenyResource},
		{"a trusted service", svc, nil, trust(`{"Service":"apigateway.amazonaws.com"}`, ""), "", Allowed},
		{"a service that is not", svc, nil, trust(`{"Service":"lambda.amazonaws.com"}`, ""), "", ImplicitDenyResource},
	} {
		keys := &Keys{}
		if c.external != "" {
			keys.Set("sts:ExternalId", c.external)
		}
		req := &Request{Principal: c.who, Action: "sts:AssumeRole", Resource: roleARN, ResourceAccount: home,
			ResourcePolicyRequired: true, Context: keys}
		if got := Decide(req, &Set{Identity: c.identity, Resource: c.trust}); got.Reason != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got.Reason, c.want)
		}
	}
}

func TestMessagesAreWordedAsAWSDoes(t *testing.T) {
	base := "User: " + aliceARN + " is not authorized to perform: s3:GetObject on resource: " + taskARN
	for _, c := range []struct {
		s    story
		want string
	}{
		{story{who: alice}, base + " because no identity-based policy allows the s3:GetObject action"},
		{story{who: alice, identity: denyRead}, base + " with an explicit deny in an identity-based policy"},
		{story{who: alice, identity: allowRead, required: true}, base + " because no resource-based policy allows the s3:GetObject action"},
		{story{who: alice, resource: by("Deny", `"*"`)}, base + " with an explicit deny in a resource-based policy"},
		{story{who: alice, identity: allowRead, boundary: "-"}, base + " because no permissions boundary allows the s3:GetObject action"},
		{story{who: alice, boundary: denyRead}, base + " with an explicit deny in a permissions boundary"},
		{story{who: alice, identity: allowRead, session: "-"}, base + " because no session policy allows the s3:GetObject action"},
		{story{who: alice, session: denyRead}, base + " with an explicit deny in a session policy"},
		{story{who: alice, identity: allowRead, scp: "-"}, base + " because no service control policy allows the s3:GetObject action"},
		{story{who: alice, scp: denyRead}, base + " with an explicit deny in a service control policy"},
		{story{who: alice, identity: allowRead, rcp: "-"}, base + " because no resource control policy allows the s3:GetObject action"},
		{story{who: alice, rcp: denyRead}, base + " with an explicit deny in a resource control policy"},
		{story{who: alice, identity: allowRead}, ""},
	} {
		req, set := c.s.build(t)
		if got := Decide(req, set).Message(req); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
	req := &Request{Principal: svc, Action: "sts:AssumeRole", Resource: roleARN}
	want := "User: apigateway.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: " + roleARN +
		" because no role trust policy allows the sts:AssumeRole action"
	if got := Decide(req, &Set{}).Message(req); got != want {
		t.Errorf("got %q", got)
	}
}
