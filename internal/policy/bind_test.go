package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/policy/naive"
)

const (
	annARN = "arn:aws:iam::123456789012:user/ann"
	appARN = "arn:aws:iam::123456789012:role/svc/app"
	annID  = "AIDAANNANNANNANNANN01"
	appID  = "AROAAPPAPPAPPAPPAPP01"
)

// present finds principals in a map from ARN to unique id.
func present(ids map[string]string) func(string) (string, bool, error) {
	return func(arn string) (string, bool, error) {
		id, ok := ids[arn]
		return id, ok, nil
	}
}

func resourcePolicy(t *testing.T, doc string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(doc), policy.Resource)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestBindNamesByUniqueID: nothing but the account's users and roles changes, to the byte, and Unbind
// gives the caller's text back while they live, and the bare id once they are gone or made anew.
func TestBindNamesByUniqueID(t *testing.T) {
	doc := `{ "Version":"2012-10-17", "Statement":[
  {"Effect":"Allow","Principal":{"AWS":["` + annARN + `","123456789012","arn:aws:iam::123456789012:root","arn:aws:iam::210987654321:user/ann"],
   "Service":"lambda.amazonaws.com"}, "Action":"s3:*","Resource":"*","Condition":{"ArnEquals":{"aws:PrincipalArn":"` + annARN + `"}}},
  {"Effect":"Deny","NotPrincipal":{"AWS":"` + appARN + `"},"Action":"s3:*","Resource":"` + annARN + `"},
  {"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"},
  {"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/app/session"},"Action":"s3:*","Resource":"*"}]}`
	living := map[string]string{annARN: annID, appARN: appID}
	text, names, err := resourcePolicy(t, doc).Bind("123456789012", present(living))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(doc, `["`+annARN, `["`+annID, 1)
	want = strings.Replace(want, `{"AWS":"`+appARN, `{"AWS":"`+appID, 1)
	if text != want {
		t.Errorf("bound\n%s\nwanted\n%s", text, want)
	}
	if len(names) != 2 || names[annID] != annARN || names[appID] != appARN {
		t.Errorf("names %v", names)
	}
	shown := func(ids map[string]string) string {
		t.Helper()
		s, err := policy.Unbind(text, names, present(ids))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got := shown(living); got != doc {
		t.Errorf("shown\n%s\nwanted\n%s", got, doc)
	}
	half := strings.Replace(doc, `["`+annARN, `["`+annID, 1)
	if got := shown(map[string]string{appARN: appID}); got != half {
		t.Errorf("with ann gone, shown\n%s\nwanted\n%s", got, half)
	}
	if got := shown(map[string]string{appARN: appID, annARN: "AIDAANNANNANNANNANN02"}); got != half {
		t.Errorf("with ann made anew, shown\n%s\nwanted\n%s", got, half)
	}
}

func TestBindRefusesWhoIsNotThere(t *testing.T) {
	for _, c := range []struct{ name, principal, message string }{
		{"a user", `{"AWS":"arn:aws:iam::123456789012:user/nobody"}`, `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:user/nobody"`},
		{"one of several", `{"AWS":["` + annARN + `","arn:aws:iam::123456789012:role/none"]}`, `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:role/none"`},
		{"a group", `{"AWS":"arn:aws:iam::123456789012:group/all"}`, `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:group/all"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := resourcePolicy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":`+c.principal+`,"Action":"s3:*","Resource":"*"}]}`)
			_, _, err := p.Bind("123456789012", present(map[string]string{annARN: annID}))
			if e, ok := errors.AsType[*policy.Error](err); !ok || e.Message != c.message {
				t.Errorf("got %v, want %s", err, c.message)
			}
		})
	}
	broken := errors.New("the rows cannot be read")
	p := resourcePolicy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+annARN+`"},"Action":"s3:*","Resource":"*"}]}`)
	if _, _, err := p.Bind("123456789012", func(string) (string, bool, error) { return "", false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// TestABoundPolicyMeansOnePrincipal: both evaluators judge what was bound by the id alone.
func TestABoundPolicyMeansOnePrincipal(t *testing.T) {
	living := map[string]string{annARN: annID, appARN: appID}
	session := "arn:aws:sts::123456789012:assumed-role/app/s"
	statement := func(effect, element, arn string) string {
		return `{"Effect":"` + effect + `","` + element + `":{"AWS":["` + arn + `","arn:aws:iam::123456789012:root","` + session + `"]},"Action":"s3:GetObject","Resource":"*"}`
	}
	plain := func(arn string) string {
		return `{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"s3:GetObject","Resource":"*"}`
	}
	user := func(id string) policy.Principal {
		return policy.Principal{Type: policy.User, ARN: annARN, Account: "123456789012", UserID: id}
	}
	role := func(id string) policy.Principal {
		return policy.Principal{Type: policy.AssumedRole, ARN: session, RoleARN: appARN, Account: "123456789012", UserID: id + ":s"}
	}
	everybody := `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"},`
	for _, c := range []struct {
		name, statements string
		who              policy.Principal
		want             bool
	}{
		{"the user", plain(annARN), user(annID), true},
		{"the user made anew", plain(annARN), user("AIDAANNANNANNANNANN02"), false},
		{"the role", plain(appARN), role(appID), true},
		{"the role made anew", plain(appARN), role("AROAAPPAPPAPPAPPAPP02"), false},
		{"a session by its name", plain(session), role("AROAAPPAPPAPPAPPAPP02"), true},
		{"spared by NotPrincipal", everybody + statement("Deny", "NotPrincipal", annARN), user(annID), true},
		{"not spared when made anew", everybody + statement("Deny", "NotPrincipal", annARN), user("AIDAANNANNANNANNANN02"), false},
		{"the role, spared", everybody + statement("Deny", "NotPrincipal", appARN), role(appID), true},
		{"the role, not spared when made anew", everybody + statement("Deny", "NotPrincipal", appARN), role("AROAAPPAPPAPPAPPAPP02"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, _, err := resourcePolicy(t, `{"Version":"2012-10-17","Statement":[`+c.statements+`]}`).Bind("123456789012", present(living))
			if err != nil {
				t.Fatal(err)
			}
			p := resourcePolicy(t, text)
			d := policy.Decide(&policy.Request{Principal: &c.who, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}, &policy.Set{Resource: &policy.Attached{Policy: p}})
			second, err := naive.Decide(naive.Request{Caller: naive.Caller{Type: c.who.Type, ARN: c.who.ARN, Account: c.who.Account, ID: c.who.UserID, Origin: c.who.RoleARN},
				Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}, naive.Set{Resource: &text})
			if err != nil || d.Allowed != c.want || (second == "Allowed") != c.want {
				t.Errorf("allowed %v and %s %v, want %v", d.Allowed, second, err, c.want)
			}
		})
	}
}
