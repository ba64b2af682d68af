package attack

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/test/harness"
)

// stage is a server with IAM and STS of its administrator.
type stage struct {
	*testing.T
	s   *harness.Server
	iam *iam.Client
	sts *sts.Client
}

func newStage(t *testing.T) *stage { return stageOn(t, harness.Start(t)) }

func stageOn(t *testing.T, s *harness.Server) *stage {
	cfg := s.SDK(t)
	return &stage{t, s, iam.NewFromConfig(cfg), sts.NewFromConfig(cfg)}
}

func (g *stage) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// as is the SDK's configuration with other keys.
func (g *stage) as(c sigv4.Credentials) aws.Config {
	cfg := g.s.SDK(g)
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
	})
	return cfg
}

// user makes one with an inline policy and a key.
func (g *stage) user(name, policy string) sigv4.Credentials {
	g.Helper()
	_, err := g.iam.CreateUser(g.Context(), &iam.CreateUserInput{UserName: &name})
	g.must(err)
	if policy != "" {
		_, err = g.iam.PutUserPolicy(g.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("own"), PolicyDocument: &policy})
		g.must(err)
	}
	key, err := g.iam.CreateAccessKey(g.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	g.must(err)
	return sigv4.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
}

// role makes one that principal (a JSON object) may assume.
func (g *stage) role(name, principal, condition, policy string) string {
	g.Helper()
	if condition == "" {
		condition = "{}"
	}
	out, err := g.iam.CreateRole(g.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole","Condition":` + condition + `}]}`)})
	g.must(err)
	if policy != "" {
		_, err = g.iam.PutRolePolicy(g.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("own"), PolicyDocument: &policy})
		g.must(err)
	}
	return *out.Role.Arn
}

func (g *stage) assume(role string, policy *string) sigv4.Credentials {
	g.Helper()
	out, err := g.sts.AssumeRole(g.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("attack"), Policy: policy})
	g.must(err)
	return sigv4.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
}

// refused wants the API error code, and a record of the refusal where event is named.
func (g *stage) refused(err error, code, event string) {
	g.Helper()
	var api smithy.APIError
	if !asAPI(err, &api) || api.ErrorCode() != code {
		g.Errorf("answered %v, want %s", err, code)
		return
	}
	if event != "" {
		g.s.Recorded(g, "the refused "+event, url.Values{"eventName": {event}}, func(r audit.Record) bool { return r.ErrorCode == code })
	}
}

func allow(actions ...string) string {
	b, _ := json.Marshal(actions) // strings always encode
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + string(b) + `,"Resource":"*"}]}`
}

const ownAccount = `{"AWS":"arn:aws:iam::` + harness.Account + `:root"}`

// TestKeysThatAreGone: an inactive, deleted or remade key or role opens nothing, at once.
func TestKeysThatAreGone(t *testing.T) {
	g := newStage(t)
	list := func(c sigv4.Credentials) error {
		_, err := dynamodb.NewFromConfig(g.as(c)).ListTables(t.Context(), &dynamodb.ListTablesInput{})
		return err
	}
	who := func(c sigv4.Credentials) error {
		_, err := sts.NewFromConfig(g.as(c)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		return err
	}
	ann := g.user("ann", allow("dynamodb:*", "sts:*"))
	g.must(list(ann))
	session, err := sts.NewFromConfig(g.as(ann)).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	g.must(err)
	annSession := sigv4.Credentials{AccessKeyID: *session.Credentials.AccessKeyId, SecretAccessKey: *session.Credentials.SecretAccessKey, SessionToken: *session.Credentials.SessionToken}
	g.must(list(annSession))
	set := func(status iamtypes.StatusType) {
		_, err := g.iam.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: aws.String("ann"), AccessKeyId: &ann.AccessKeyID, Status: status})
		g.must(err)
	}
	set(iamtypes.StatusTypeInactive)
	g.refused(list(ann), "UnrecognizedClientException", "")
	g.refused(who(ann), "InvalidClientTokenId", "")
	set(iamtypes.StatusTypeActive)
	g.must(list(ann))
	_, err = g.iam.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: aws.String("ann"), AccessKeyId: &ann.AccessKeyID})
	g.must(err)
	g.refused(list(ann), "UnrecognizedClientException", "")

	_, err = g.iam.DeleteUserPolicy(t.Context(), &iam.DeleteUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("own")})
	g.must(err)
	g.refused(list(annSession), "AccessDeniedException", "ListTables")
	_, err = g.iam.DeleteUser(t.Context(), &iam.DeleteUserInput{UserName: aws.String("ann")})
	g.must(err)
	g.refused(list(annSession), "UnrecognizedClientException", "")
	g.refused(who(annSession), "InvalidClientTokenId", "")
	again := g.user("ann", allow("dynamodb:*"))
	g.must(list(again))
	g.refused(list(annSession), "UnrecognizedClientException", "") // another ann
	g.refused(list(ann), "UnrecognizedClientException", "")

	role := g.role("reader", ownAccount, "", allow("dynamodb:*"))
	first := g.assume(role, nil)
	g.must(list(first))
	_, err = g.iam.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("reader"), PolicyName: aws.String("own")})
	g.must(err)
	_, err = g.iam.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("reader")})
	g.must(err)
	g.refused(list(first), "UnrecognizedClientException", "")
	g.refused(who(first), "InvalidClientTokenId", "")
	second := g.assume(g.role("reader", ownAccount, "", allow("dynamodb:*")), nil)
	g.must(list(second))
	g.refused(list(first), "UnrecognizedClientException", "") // same name, same session name, another role
}

// TestSessionTokens: a token is good for its own key, unchanged, on the installation that made it.
func TestSessionTokens(t *testing.T) {
	g, other := newStage(t), newStage(t)
	who := func(c sigv4.Credentials) error {
		_, err := sts.NewFromConfig(g.as(c)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		return err
	}
	role := g.role("reader", ownAccount, "", allow("dynamodb:*"))
	a, b := g.assume(role, nil), g.assume(role, nil)
	g.must(who(a))
	mixed := a
	mixed.SessionToken = b.SessionToken
	g.refused(who(mixed), "InvalidClientTokenId", "")
	bare := a
	bare.SessionToken = ""
	g.refused(who(bare), "InvalidClientTokenId", "")
	for _, at := range []int{0, len(a.SessionToken) / 2, len(a.SessionToken) - 4} {
		bent := a
		c := byte('A')
		if a.SessionToken[at] == c {
			c = 'B'
		}
		bent.SessionToken = a.SessionToken[:at] + string(c) + a.SessionToken[at+1:]
		g.refused(who(bent), "InvalidClientTokenId", "")
	}
	longer := a
	longer.SessionToken += strings.Repeat("A", 5000)
	g.refused(who(longer), "InvalidClientTokenId", "")
	foreign := other.assume(other.role("reader", ownAccount, "", allow("dynamodb:*")), nil)
	g.refused(who(foreign), "InvalidClientTokenId", "")
	g.refused(who(other.s.Admin(t).Signing()), "InvalidClientTokenId", "")
}

// TestBorrowedRoles: who may not assume a role does not, whatever they say.
func TestBorrowedRoles(t *testing.T) {
	g := newStage(t)
	eve := g.user("eve", allow("sts:AssumeRole"))
	as := sts.NewFromConfig(g.as(eve))
	try := func(role string, external *string) error {
		_, err := as.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("attack"), ExternalId: external})
		return err
	}
	g.refused(try(g.role("for-lambda", `{"Service":"lambda.amazonaws.com"}`, "", allow("*")), nil), "AccessDenied", "AssumeRole")
	g.refused(try(g.role("for-ann", `{"AWS":"arn:aws:iam::`+harness.Account+`:user/admin"}`, "", allow("*")), nil), "AccessDenied", "AssumeRole")
	g.refused(try(g.role("for-others", `{"AWS":"arn:aws:iam::999999999999:root"}`, "", allow("*")), nil), "AccessDenied", "AssumeRole")
	g.refused(try("arn:aws:iam::999999999999:role/for-others", nil), "AccessDenied", "AssumeRole")
	g.refused(try("arn:aws:iam::"+harness.Account+":role/nobody", nil), "AccessDenied", "AssumeRole")
	partner := g.role("partner", ownAccount, `{"StringEquals":{"sts:ExternalId":"blue"}}`, allow("*"))
	g.refused(try(partner, nil), "AccessDenied", "AssumeRole")
	g.refused(try(partner, aws.String("Blue")), "AccessDenied", "AssumeRole")
	g.refused(try(partner, aws.String("bluer")), "AccessDenied", "AssumeRole")
	g.must(try(partner, aws.String("blue")))
	shut := g.role("shut", ownAccount, `{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`, allow("*"))
	g.refused(try(shut, nil), "AccessDenied", "AssumeRole")
	far := g.role("far", ownAccount, `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, allow("*"))
	g.refused(try(far, nil), "AccessDenied", "AssumeRole")
	powerless := g.user("powerless", "")
	_, err := sts.NewFromConfig(g.as(powerless)).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &partner, RoleSessionName: aws.String("attack"), ExternalId: aws.String("blue")})
	g.refused(err, "AccessDenied", "AssumeRole")
}

// TestAPrincipalMadeAnew: what was granted to a user or a role by name is not had by who is made under
// that name after it is gone.
func TestAPrincipalMadeAnew(t *testing.T) {
	g := newStage(t)
	ctx := t.Context()
	as := func(c sigv4.Credentials, role string) error {
		_, err := sts.NewFromConfig(g.as(c)).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("attack")})
		return err
	}
	arn := "arn:aws:iam::" + harness.Account + ":"
	temp := g.user("temp", "")
	middle := g.role("middle", ownAccount, "", allow("sts:AssumeRole"))
	target := g.role("target", `{"AWS":["`+arn+`user/temp","`+middle+`"]}`, "", allow("*"))
	g.must(as(temp, target))
	g.must(as(g.assume(middle, nil), target))

	_, err := g.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("temp"), AccessKeyId: &temp.AccessKeyID})
	g.must(err)
	_, err = g.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("temp")})
	g.must(err)
	_, err = g.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("middle"), PolicyName: aws.String("own")})
	g.must(err)
	_, err = g.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("middle")})
	g.must(err)
	// Both may ask, and the account alone is not what the role trusts.
	g.refused(as(g.user("temp", allow("sts:AssumeRole")), target), "AccessDenied", "AssumeRole")
	g.refused(as(g.assume(g.role("middle", ownAccount, "", allow("sts:AssumeRole")), nil), target), "AccessDenied", "AssumeRole")
	shown, err := g.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("target")})
	g.must(err)
	if doc, err := url.PathUnescape(*shown.Role.AssumeRolePolicyDocument); err != nil || !strings.Contains(doc, `"AIDA`) || !strings.Contains(doc, `"AROA`) || strings.Contains(doc, arn) {
		t.Errorf("the trust policy is shown as %s", doc)
	}
	// Nor can a name be granted anything before it is there.
	_, err = g.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("target"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + arn + `user/later"},"Action":"sts:AssumeRole"}]}`)})
	g.refused(err, "MalformedPolicyDocument", "UpdateAssumeRolePolicy")
}

// TestEscalation: the known ways from some of IAM to all of it.
func TestEscalation(t *testing.T) {
	g := newStage(t)
	ctx := t.Context()
	boundary, err := g.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("fence"), PolicyDocument: aws.String(allow("dynamodb:ListTables", "iam:PutUserPolicy"))})
	g.must(err)
	tight, err := g.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("tight"), PolicyDocument: aws.String(allow("dynamodb:ListTables"))})
	g.must(err)
	fenced := g.user("fenced", allow("*"))
	_, err = g.iam.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: aws.String("fenced"), PermissionsBoundary: boundary.Policy.Arn})
	g.must(err)
	as := iam.NewFromConfig(g.as(fenced))
	_, err = dynamodb.NewFromConfig(g.as(fenced)).ListTables(ctx, &dynamodb.ListTablesInput{})
	g.must(err)
	_, err = as.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("fenced"), PolicyName: aws.String("more"), PolicyDocument: aws.String(allow("*"))})
	g.must(err) // it may, and it gains nothing by it
	_, err = as.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("fenced")})
	g.refused(err, "AccessDenied", "DeleteUserPermissionsBoundary")
	_, err = as.ListUsers(ctx, &iam.ListUsersInput{})
	g.refused(err, "AccessDenied", "ListUsers")

	weak := iam.NewFromConfig(g.as(g.user("weak", allow("dynamodb:ListTables"))))
	_, err = weak.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("admin")})
	g.refused(err, "AccessDenied", "CreateAccessKey")
	_, err = weak.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("weak"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
	g.refused(err, "AccessDenied", "AttachUserPolicy")
	_, err = weak.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("weak"), PolicyName: aws.String("all"), PolicyDocument: aws.String(allow("*"))})
	g.refused(err, "AccessDenied", "PutUserPolicy")
	_, err = weak.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: tight.Policy.Arn, PolicyDocument: aws.String(allow("*")), SetAsDefault: true})
	g.refused(err, "AccessDenied", "CreatePolicyVersion")
	role := g.role("strong", ownAccount, "", allow("*"))
	_, err = weak.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("strong"), PolicyDocument: aws.String(`{}`)})
	g.refused(err, "AccessDenied", "UpdateAssumeRolePolicy")

	narrowed := iam.NewFromConfig(g.as(g.assume(role, aws.String(allow("iam:ListUsers")))))
	_, err = narrowed.ListUsers(ctx, &iam.ListUsersInput{})
	g.must(err)
	_, err = narrowed.ListRoles(ctx, &iam.ListRolesInput{})
	g.refused(err, "AccessDenied", "ListRoles")
	reader := g.role("reader", ownAccount, "", allow("iam:ListUsers"))
	widened := iam.NewFromConfig(g.as(g.assume(reader, aws.String(allow("*")))))
	_, err = widened.ListRoles(ctx, &iam.ListRolesInput{})
	g.refused(err, "AccessDenied", "ListRoles")
}

// TestSessionsClock: who signs for another time than now is refused, whatever keys they have.
func TestSessionsClock(t *testing.T) {
	g := newStage(t)
	keys := g.assume(g.role("reader", ownAccount, "", allow("dynamodb:*")), nil)
	for _, d := range doors {
		r := d.signed(t, g.s, keys, time.Now().Add(2*time.Hour))
		refused(t, g.s.Send(t, r), d.expired)
	}
}
