package policy

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bastide-cloud/bastide/internal/policy/naive"
)

// Each test here draws one part of the language at a time, so that its corners are met often.

// someGot are request values that the operators of a family can be right or wrong about.
var someGot = map[family][]string{
	familyNumeric: {"5", "05.00", "5.1", "-5", "-5.5", "9007199254740993", "10", "", "five", "+5", "0", "-0", "5e0"},
	familyDate: {"2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00", "1767225600", "2026", "2026-01-01T00:00:00.25Z",
		"2026-01-01T00:00:00.250000001Z", "2025-12-31T23:59Z", "2026-02-30", "now", "2026-01-01T00:00:00"},
	familyBool:       {"true", "TRUE", "false", "1", ""},
	familyBinary:     {"YQ==", "YWI=", "YQ=", "YR==", "a"},
	familyIP:         {"10.0.0.1", "10.0.0.8", "::ffff:10.0.0.1", "2001:db8::1", "fe80::1%eth0", "nowhere", "10.0.0.255"},
	familyARN:        {"arn:aws:s3:::b/alice", "arn:aws:iam::111111111111:role/app/x", aliceARN, "arn:aws:s3", "b", "arn:aws:a:b:c:d:e"},
	familyNull:       {"", "a"},
	familyString:     {"a", "A", "ab", "b", "alice", "a*", "", "*", "é"},
	familyStringFold: {"a", "A", "AB", "b", "Alice", "É"},
}

// agree compares the evaluators on one statement of a resource policy in the caller's account.
func agree(t *rapid.T, statements any, plain naive.Request, req *Request, rest naive.Set) string {
	src, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	s := string(src)
	rest.Resource = &s
	want, err := naive.Decide(plain, rest)
	if err != nil {
		t.Fatal(err)
	}
	if got := Decide(req, documents{rest}.parse(t)).Reason.String(); got != want {
		t.Fatalf("got %v, the naive evaluator says %s\nrequest %+v\n%s", got, want, plain, s)
	}
	return want
}

func TestConditionsAgree(t *testing.T) {
	held := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		plain, req := drawRequest(t)
		name, key, values := drawCondition(t)
		c, _, _, _ := parseOperator(name)
		if chance(t, 4, "other key") {
			key = pick(t, someKeys, "key")
		} else {
			key = "k:it"
			plain.Keys[key] = rapid.SliceOfN(rapid.SampledFrom(someGot[c.family]), 0, 3).Draw(t, "got")
			req.Context.(*Keys).SetAll(key, plain.Keys[key])
		}
		plain.ResourceAccount, req.ResourceAccount = plain.Caller.Account, plain.Caller.Account
		if agree(t, map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*",
			"Condition": map[string]any{name: map[string]any{key: values}}}, plain, req, naive.Set{}) == "Allowed" {
			held[name]++
		}
	})
	if len(held) < 20 {
		t.Errorf("only %d kinds of condition ever held", len(held))
	}
}

func TestResourcesAgree(t *testing.T) {
	matched := 0
	rapid.Check(t, func(t *rapid.T) {
		plain, req := drawRequest(t)
		for _, k := range []string{"k:x", "k:z"} {
			plain.Keys[k] = rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", ":", "", "*", "b:a"}), 0, 2).Draw(t, k)
			req.Context.(*Keys).SetAll(k, plain.Keys[k])
		}
		segments := func(from []string, least, most int, label string) string {
			one := rapid.Map(rapid.SliceOfN(rapid.SampledFrom(from), 0, 3), func(p []string) string { return strings.Join(p, "") })
			return "arn:aws:" + strings.Join(rapid.SliceOfN(one, least, most).Draw(t, label), ":")
		}
		pattern := segments([]string{"a", "b", "*", "*", "?", "${k:x}", "${k:z, 'a'}", "${*}"}, 1, 5, "pattern")
		req.Resource = segments([]string{"a", "b", "a", "b", "a", "*", "é"}, 3, 6, "resource")
		if pattern == "arn:aws:" || strings.HasPrefix(pattern, "arn:aws::") {
			pattern = "*"
		}
		plain.Resource = req.Resource
		plain.ResourceAccount, req.ResourceAccount = plain.Caller.Account, plain.Caller.Account
		element := pick(t, []string{"Resource", "Resource", "NotResource"}, "element")
		if agree(t, map[string]any{"Effect": "Allow", "Action": "*", element: pattern, "Principal": "*"},
			plain, req, naive.Set{}) == "Allowed" && element == "Resource" {
			matched++
		}
	})
	if matched == 0 {
		t.Error("no generated resource matched")
	}
}

func TestPrincipalsAgree(t *testing.T) {
	limited := 0
	statements := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) map[string]any {
		return map[string]any{"Effect": pick(t, []string{"Allow", "Allow", "Allow", "Deny"}, "effect"), "Action": "*", "Resource": "*",
			pick(t, []string{"Principal", "Principal", "NotPrincipal"}, "element"): json.RawMessage(pick(t, somePrincipals, "principal"))}
	}), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		plain, req := drawRequest(t)
		var rest naive.Set
		if chance(t, 2, "identity") {
			rest.Identity = []string{doc(allowAll)}
		}
		if chance(t, 2, "session") {
			rest.Session = []string{doc(pick(t, []string{allowAll, `{"Effect":"Allow","Action":"k:Nothing","Resource":"*"}`}, "session"))}
		}
		if chance(t, 3, "boundary") {
			b := doc(pick(t, []string{allowAll, `{"Effect":"Allow","Action":"k:Nothing","Resource":"*"}`}, "boundary"))
			rest.Boundary = &b
		}
		switch agree(t, statements.Draw(t, "statements"), plain, req, rest) {
		case "ImplicitDenySession", "ImplicitDenyBoundary":
			limited++
		}
	})
	if limited == 0 {
		t.Error("no generated grant was limited by a boundary or session policy")
	}
}
