package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bastide-cloud/bastide/internal/policy/naive"
)

// The alphabet is small on purpose, so that generated policies and requests meet often.
var (
	someActions  = []string{"s3:GetObject", "s3:PutObject", "s3:GetBucket", "sqs:SendMessage", "S3:getobject", "iam:PassRole"}
	someMatchers = []string{"s3:GetObject", "s3:Get*", "s3:*", "*", "*:*", "S3:g?tObject", "sqs:*", "s3:*Object",
		"sqs:SendMessage", "s3:Put*", "*:Get*", "iam:Pass*e"}
	someResources = []string{"arn:aws:s3:::b/alice", "arn:aws:s3:::b/a:b", "arn:aws:sqs:eu:111111111111:q", "*",
		"arn:aws:s3:::b/*", "arn:aws:s3:::b/${k:x}", "arn:aws:s3:::b/é", "arn:aws:s3:::b", "arn:aws:s3:::a:b:c"}
	someKeys = []string{"k:x", "K:X", "k:y", "aws:username", "aws:PrincipalArn", "aws:PrincipalTag/Team", "aws:userid",
		"aws:PrincipalType", "aws:PrincipalAccount", "aws:SourceIp", "aws:ResourceAccount", "aws:PrincipalIsAWSService", "k:none"}
	someTexts = []string{"", "a", "b", "A", "alice", "a*", "*", "?", "5", "05.0", "-5", "5.1", "9007199254740993",
		"9007199254740992", "true", "False", "10.0.0.1", "10.0.0.9", "::ffff:10.0.0.1", "2001:db8::1", "YQ==", "YWI=",
		"arn:aws:s3:::b/alice", "arn:aws:s3:::b/a:b", "arn:aws:iam::111111111111:role/app/reader", aliceARN, home, "User",
		"2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026-01-01", "1767225600", "2026", "2026-01-01T00:00:00.5Z", "AssumedRole"}
	someSigns = []string{"a", "b", ":", "/", "*", "?", "alice", "é", "${aws:username}", "${k:x}", "${k:y, 'b'}",
		"${aws:PrincipalTag/Team}", "${*}", "${?}", "${$}", "$", "}"}
	somePrincipals = []string{`"*"`, `{"AWS":"*"}`, aws(home), aws(away), aws("arn:aws:iam::111111111111:root"), aws(aliceARN),
		aws(roleARN), aws(sessionARN), aws(fedARN), aws(bobARN), aws(home, aliceARN), aws(home, roleARN, sessionARN),
		aws("AIDAALICEALICEALICE0"), aws("AROAREADERREADERREAD"), aws(home, fedARN), aws(aliceARN, home), aws(home, sessionARN), aws(home, roleARN), aws(roleARN, sessionARN),
		`{"Service":"apigateway.amazonaws.com"}`, `{"Service":["sns.amazonaws.com","apigateway.amazonaws.com"],"AWS":"222222222222"}`,
		`{"Federated":"accounts.google.com"}`}
	someValues = map[family][]string{
		familyNumeric: {"5", "5.0", "-5", "9007199254740992", "0"},
		familyDate:    {"2026-01-01", "2026-01-01T00:00:00Z", "1767225600", "2025", "2026-01-01T00:00:00.25Z"},
		familyBool:    {"true", "false", "True"},
		familyNull:    {"true", "false"},
		familyBinary:  {"YQ==", "YWI="},
		familyIP:      {"10.0.0.0/29", "10.0.0.1", "0.0.0.0/0", "2001:db8::/32", "10.0.0.7/24", "::/0"},
		familyARN: {"arn:aws:s3:::b/*", "*", "arn:aws:*", "arn:aws:iam::*:role/*", "arn:*:iam::111111111111:user/al?ce", "nonsense",
			"arn:aws:s3:::b/${aws:username}", "arn:aws:iam::${aws:PrincipalAccount}:user/alice", "arn:*:b"},
	}
)

func pick[T any](t *rapid.T, from []T, label string) T { return rapid.SampledFrom(from).Draw(t, label) }

func chance(t *rapid.T, oneIn int, label string) bool {
	return rapid.IntRange(0, oneIn-1).Draw(t, label) == 0
}

func drawText(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(someSigns), 0, 4).Draw(t, "signs"), "")
}

func drawPattern(t *rapid.T) string {
	switch rapid.IntRange(0, 3).Draw(t, "pattern") {
	case 0:
		return "*"
	case 1:
		return strings.NewReplacer("${k:x}", "x").Replace(pick(t, someResources, "resource"))
	case 2:
		return pick(t, []string{"arn:aws:s3:::", "arn:aws:s3:::b/", "arn:aws:s3:*", "arn:*:s3:", "arn:aws:*:*:1*1:"}, "stem") + drawText(t)
	}
	return "arn:aws:s" + drawText(t) + pick(t, []string{"*", ":*", ":::b/alice", "*:*:b*"}, "end")
}

func drawCondition(t *rapid.T) (string, string, any) {
	base := pick(t, slices.Sorted(func(yield func(string) bool) {
		for k := range operators {
			if !yield(k) {
				return
			}
		}
	}), "operator")
	op := operators[base]
	values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any {
		if list := someValues[op.family]; list != nil {
			v := pick(t, list, "value")
			if op.family == familyNumeric && chance(t, 2, "bare") {
				return json.Number(v)
			}
			return v
		}
		if chance(t, 2, "signs") {
			return drawText(t)
		}
		if chance(t, 3, "variable") {
			return pick(t, []string{"${k:x}", "${k:y}", "${k:y, 'a'}", "${aws:username}", "*${k:x}"}, "variable")
		}
		return pick(t, someTexts, "text")
	}), 0, 3).Draw(t, "values")
	name := op.name
	if op.family != familyNull {
		name = pick(t, []string{"", "", "ForAllValues:", "ForAnyValue:"}, "set") + name
		if chance(t, 4, "ifexists") {
			name += "IfExists"
		}
	}
	key := pick(t, someKeys, "key")
	if len(values) == 1 {
		return name, key, values[0]
	}
	return name, key, values
}

func drawStatement(t *rapid.T, kind Kind) map[string]any {
	s := map[string]any{"Effect": pick(t, []string{"Allow", "Allow", "Allow", "Deny"}, "effect")}
	not := func(name string, oneIn int) string {
		if chance(t, oneIn, "not") {
			return "Not" + name
		}
		return name
	}
	s[not("Action", 6)] = rapid.SliceOfN(rapid.SampledFrom(someMatchers), 1, 3).Draw(t, "actions")
	s[not("Resource", 6)] = rapid.SliceOfN(rapid.Custom(drawPattern), 1, 3).Draw(t, "resources")
	if kind == RCP {
		s = map[string]any{"Effect": s["Effect"], "Principal": "*", "Resource": "*",
			"Action": rapid.SliceOfN(rapid.SampledFrom(someMatchers), 1, 2).Draw(t, "actions")}
	}
	if kind == Resource {
		s[not("Principal", 5)] = json.RawMessage(pick(t, somePrincipals, "principal"))
	}
	if chance(t, 2, "conditional") {
		block := map[string]map[string]any{}
		for range rapid.IntRange(1, 2).Draw(t, "conditions") {
			op, key, values := drawCondition(t)
			if block[op] == nil {
				block[op] = map[string]any{}
			}
			block[op][key] = values
		}
		s["Condition"] = block
	}
	return s
}

func drawDocument(t *rapid.T, kind Kind) string {
	d := map[string]any{"Version": "2012-10-17"}
	if (kind == Resource || kind == Identity || kind == Session) && chance(t, 5, "old") {
		d["Version"] = "2008-10-17"
	}
	var list []any
	for range rapid.IntRange(1, 3).Draw(t, "statements") {
		list = append(list, drawStatement(t, kind))
	}
	if chance(t, 4, "broad") && kind != Resource {
		list = append(list, map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*"})
		if kind == RCP {
			list[len(list)-1].(map[string]any)["Principal"] = "*"
		}
	}
	d["Statement"] = list
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents are the same set for both evaluators.
type documents struct {
	naive.Set
}

func (d documents) parse(t *rapid.T) *Set {
	read := func(kind Kind, src string) Attached {
		p, err := Parse([]byte(src), kind)
		if err != nil {
			t.Fatalf("%s does not parse: %v", src, err)
		}
		return Attached{Policy: p}
	}
	all := func(kind Kind, src []string) []Attached {
		if src == nil {
			return nil
		}
		out := []Attached{}
		for _, s := range src {
			out = append(out, read(kind, s))
		}
		return out
	}
	set := &Set{Identity: all(Identity, d.Identity), Session: all(Session, d.Session)}
	if d.Boundary != nil {
		a := read(Boundary, *d.Boundary)
		set.Boundary = &a
	}
	if d.Resource != nil {
		a := read(Resource, *d.Resource)
		set.Resource = &a
	}
	for _, l := range d.SCPs {
		set.SCPs = append(set.SCPs, all(SCP, l))
	}
	for _, l := range d.RCPs {
		set.RCPs = append(set.RCPs, all(RCP, l))
	}
	return set
}

func drawSet(t *rapid.T) documents {
	draw := func(kind Kind, least, most int) []string {
		out := []string{}
		for range rapid.IntRange(least, most).Draw(t, kind.String()) {
			out = append(out, drawDocument(t, kind))
		}
		return out
	}
	one := func(kind Kind) *string {
		s := drawDocument(t, kind)
		return &s
	}
	var d documents
	d.Identity = draw(Identity, 0, 2)
	if chance(t, 2, "resource") {
		d.Resource = one(Resource)
	}
	if chance(t, 4, "boundary") {
		d.Boundary = one(Boundary)
	}
	if chance(t, 4, "session") {
		d.Session = draw(Session, 0, 2)
	}
	if chance(t, 5, "scps") {
		d.SCPs = [][]string{draw(SCP, 0, 2), draw(SCP, 1, 2)}
	}
	if chance(t, 6, "rcps") {
		d.RCPs = [][]string{draw(RCP, 1, 2)}
	}
	return d
}

func drawRequest(t *rapid.T) (naive.Request, *Request) {
	who := *pick(t, []*Principal{alice, alice, bob, role, role, fed, own, far, svc, oidc, anonymous}, "who")
	if who.hasIdentity() && chance(t, 3, "tagged") {
		who.Tags = map[string]string{pick(t, []string{"Team", "team", "TEAM"}, "tag"): pick(t, []string{"a", "b", "*", "a:b"}, "team")}
	}
	keys := map[string][]string{}
	for _, k := range []string{"k:x", "K:y", "aws:SourceIp"} {
		if chance(t, 3, "without") {
			continue
		}
		keys[k] = rapid.SliceOfN(rapid.SampledFrom(someTexts), 0, 3).Draw(t, k)
	}
	lazy := &Keys{}
	for k, v := range keys {
		switch {
		case len(v) == 1:
			lazy.Set(k, v[0])
		default:
			lazy.SetLater(k, func() Values { return Many(v) })
		}
	}
	r := &Request{Principal: &who, Action: pick(t, someActions, "action"), Resource: pick(t, someResources, "resource"),
		ResourceAccount:        pick(t, []string{home, home, away, ""}, "owner"),
		ResourcePolicyRequired: chance(t, 5, "required"), Context: lazy}
	return naive.Request{Caller: naive.Caller{Type: who.Type, ARN: who.ARN, Account: who.Account, ID: who.UserID,
		Origin: who.RoleARN, Service: who.Service, Provider: who.Provider, Tags: who.Tags},
		Action: r.Action, Resource: r.Resource, ResourceAccount: r.ResourceAccount, Keys: keys,
		Required: r.ResourcePolicyRequired}, r
}

func TestBothEvaluatorsAgree(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		plain, req := drawRequest(t)
		docs := drawSet(t)
		want, err := naive.Decide(plain, docs.Set)
		if err != nil {
			t.Fatal(err)
		}
		seen[want]++
		if got := Decide(req, docs.parse(t)); got.Reason.String() != want || got.Allowed != (want == "Allowed") {
			b, _ := json.MarshalIndent(docs.Set, "", " ")
			t.Fatalf("got %v, the naive evaluator says %s\nrequest %+v\n%s", got.Reason, want, plain, b)
		}
	})
	for _, reason := range []string{"Allowed", "ExplicitDeny", "ImplicitDenyIdentity", "ImplicitDenyResource"} {
		if seen[reason] == 0 {
			t.Errorf("no generated case was %s; the alphabet is too large: %v", reason, seen)
		}
	}
}

// TestRemediesFlipTheDecision: what Explain proposes, added where it says, allows the request; and
// Explain always answers as Decide does.
func TestRemediesFlipTheDecision(t *testing.T) {
	flipped := 0
	rapid.Check(t, func(t *rapid.T) {
		_, req := drawRequest(t)
		docs := drawSet(t)
		set := docs.parse(t)
		before := Decide(req, set)
		x := Explain(req, set)
		if x.Allowed != before.Allowed || x.Reason != before.Reason || (x.Deciding == nil) != (before.Statement == nil) {
			t.Fatalf("Explain says %v, Decide %v", x.Reason, before.Reason)
		}
		if (len(x.Denials) > 0) != (before.Reason == ExplicitDeny) {
			t.Fatalf("%d denials for %v", len(x.Denials), before.Reason)
		}
		if before.Allowed || before.Reason == ExplicitDeny {
			if len(x.Remedies) != 0 {
				t.Fatalf("%v needs no remedy, got %v", before.Reason, x.Remedies)
			}
			return
		}
		if _, err := json.Marshal(x); err != nil {
			t.Fatal(err)
		}
		for i := range x.Remedies {
			if d := Decide(req, docs.with(t, x.Remedies[:i]).parse(t)); d.Allowed {
				t.Fatalf("%d of %d remedies are enough: %s", i, len(x.Remedies), show(x.Remedies))
			}
		}
		if after := Decide(req, docs.with(t, x.Remedies).parse(t)); !after.Allowed {
			t.Fatalf("still %v with %s", after.Reason, show(x.Remedies))
		}
		flipped++
	})
	if flipped == 0 {
		t.Error("no generated case had a remedy")
	}
}

func show(r []Remedy) string {
	var b strings.Builder
	for _, x := range r {
		fmt.Fprintf(&b, "\n%v[%d] %s", x.Place, x.Level, x.Statement)
	}
	return b.String()
}

// with adds remedies to the documents.
func (d documents) with(t *rapid.T, remedies []Remedy) documents {
	levels := func(l [][]string, r Remedy) [][]string {
		l = slices.Clone(l)
		l[r.Level] = append(slices.Clone(l[r.Level]), string(r.Document()))
		return l
	}
	into := func(src *string, r Remedy) *string {
		out := string(r.Document())
		if src != nil {
			var m map[string]any
			if err := json.Unmarshal([]byte(*src), &m); err != nil {
				t.Fatal(err)
			}
			m["Statement"] = append(m["Statement"].([]any), r.Statement)
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			out = string(b)
		}
		return &out
	}
	for _, r := range remedies {
		switch r.Place {
		case Identity:
			d.Identity = append(slices.Clone(d.Identity), string(r.Document()))
		case Session:
			d.Session = append(slices.Clone(d.Session), string(r.Document()))
		case Boundary:
			d.Boundary = into(d.Boundary, r)
		case Resource:
			d.Resource = into(d.Resource, r)
		case SCP:
			d.SCPs = levels(d.SCPs, r)
		case RCP:
			d.RCPs = levels(d.RCPs, r)
		default:
			t.Fatalf("no place %v", r.Place)
		}
	}
	return d
}
