package attack

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

// late calls, from inside a function, with keys whose time is over.
const late = `
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    answers = {}
    for service, operation in (("dynamodb", "list_tables"), ("iam", "list_users"), ("s3", "list_buckets"), ("lambda", "list_functions")):
        try:
            getattr(boto3.client(service, **event), operation)()
            answers[service] = "allowed"
        except ClientError as e:
            answers[service] = e.response["Error"]["Code"]
    return answers
`

// issued makes a session of the role that ends then, with the installation's own key: no clock
// has to be waited for. The server stands still meanwhile.
func (g *stage) issued(role string, ends time.Time) sigv4.Credentials {
	g.Helper()
	out, err := iam.NewFromConfig(g.s.SDK(g)).GetRole(g.Context(), &iam.GetRoleInput{RoleName: aws.String(role)})
	g.must(err)
	g.s.Stop(g)
	defer g.s.Restart(g)
	db, err := store.Open(g.Context(), store.Options{Dir: g.s.Data})
	g.must(err)
	defer func() { g.must(db.Close()) }()
	root, err := sealing.RootKeyFile(filepath.Join(g.s.Data, "root.key"))
	g.must(err)
	sealer, err := sealing.Open(g.Context(), db, root)
	g.must(err)
	var key []byte
	g.must(db.View(g.Context(), store.In("app"), func(tx *store.Tx) error {
		sealed, _, err := store.NewTable[[]byte]("app", "secrets").Get(tx, store.K("session-tokens"))
		if err == nil {
			key, err = sealer.Open(tx, []byte("app secret session-tokens"), sealed)
		}
		return err
	}))
	tokens, err := identity.NewTokens(key, ids.Source{})
	g.must(err)
	c, err := tokens.Issue(identity.Session{Kind: identity.KindAssumedRole, Account: "123456789012", RoleARN: *out.Role.Arn, RoleID: *out.Role.RoleId,
		Name: "late", Issued: ends.Add(-time.Hour), Expires: ends})
	g.must(err)
	return sigv4.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
}

// TestExpiredCredentials: a session is over when it says, from outside and from inside a function.
func TestExpiredCredentials(t *testing.T) {
	g := newStage(t)
	g.role("strong", `{"Service":"lambda.amazonaws.com"}`, "", allow("*"))
	fns := lambda.NewFromConfig(g.s.SDK(t))
	g.function(fns, "late", g.role("late", `{"Service":"lambda.amazonaws.com"}`, "", ""), zipOf(t, map[string]string{"app.py": late}))
	over := g.issued("strong", time.Now().Add(-time.Minute))
	valid := g.issued("strong", time.Now().Add(time.Hour))
	for _, d := range doors {
		refused(t, g.s.Send(t, d.signed(t, g.s, over, time.Now())), d.over)
	}
	fns = lambda.NewFromConfig(g.s.SDK(t)) // at its new address
	for _, c := range []struct {
		keys sigv4.Credentials
		want map[string]string
	}{
		{valid, map[string]string{"dynamodb": "allowed", "iam": "allowed", "s3": "allowed", "lambda": "allowed"}},
		{over, map[string]string{"dynamodb": "ExpiredTokenException", "iam": "ExpiredToken", "s3": "ExpiredToken", "lambda": "ExpiredTokenException"}},
	} {
		event, err := json.Marshal(map[string]string{"aws_access_key_id": c.keys.AccessKeyID, "aws_secret_access_key": c.keys.SecretAccessKey,
			"aws_session_token": c.keys.SessionToken})
		g.must(err)
		out, err := fns.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("late"), Payload: event})
		g.must(err)
		var got map[string]string
		if err := json.Unmarshal(out.Payload, &got); err != nil || len(got) != len(c.want) {
			t.Fatalf("the function answered %s: %v", out.Payload, err)
		}
		for service, want := range c.want {
			if got[service] != want {
				t.Errorf("%s: %q, want %q", service, got[service], want)
			}
		}
	}
}
