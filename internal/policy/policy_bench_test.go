package policy

import (
	"fmt"
	"strings"
	"testing"
)

// fiveByForty is 5 policies with 40 statements between them, each with conditions, and requests that
// differ: other actions, resources, callers' tags and addresses. Nothing about a decision is cached.
func fiveByForty(tb testing.TB) ([]*Request, *Set) {
	services := []string{"s3", "dynamodb", "sqs", "lambda", "kms", "logs", "sns", "secretsmanager"}
	set := &Set{}
	for p := range 5 {
		var list []string
		for i := range 8 {
			svc, effect := services[i], "Allow"
			if i%4 == 3 {
				effect = "Deny"
			}
			list = append(list, fmt.Sprintf(`{"Sid":"P%dS%d","Effect":%q,"Action":["%[4]s:Get*","%[4]s:PutItem%[1]d","%[4]s:Do%[2]d"],
				"Resource":["arn:aws:%[4]s:*:111111111111:app%[1]d/*","arn:aws:%[4]s:eu-west-1:111111111111:app/${aws:PrincipalTag/Team}/*"],
				"Condition":{"StringEquals":{"aws:PrincipalTag/Team":["red","blue"]},"Bool":{"aws:SecureTransport":"%[5]t"},
				"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]},
				"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}}}`, p, i, effect, svc, effect == "Allow"))
		}
		set.Identity = append(set.Identity, attach(tb, Identity, doc(list...)))
	}
	var reqs []*Request
	for i := range 64 {
		svc := services[i%8]
		action := []string{"GetThing", fmt.Sprintf("PutItem%d", i%5), fmt.Sprintf("Do%d", i%8), "Delete"}[i/8%4]
		k := &Keys{}
		k.Set("aws:SecureTransport", "true")
		k.Set("aws:SourceIp", fmt.Sprintf("10.1.2.%d", i))
		k.Set("aws:CurrentTime", "2026-07-01T10:00:00Z")
		k.Set("aws:UserAgent", "aws-cli/2.15")
		k.Set("aws:RequestedRegion", "eu-west-1")
		k.Set("aws:ViaAWSService", "false")
		reqs = append(reqs, &Request{
			Principal: &Principal{Type: AssumedRole, ARN: sessionARN, RoleARN: roleARN, Account: home, UserID: "AROAREADERREADERREAD:s1",
				Tags: map[string]string{"Team": []string{"red", "blue", "green"}[i%3]}},
			Action:          svc + ":" + action,
			Resource:        fmt.Sprintf("arn:aws:%s:eu-west-1:111111111111:app/%s/%d", svc, []string{"red", "blue"}[i%2], i),
			ResourceAccount: home, Context: k,
		})
	}
	return reqs, set
}

func BenchmarkDecideFivePoliciesFortyStatements(b *testing.B) {
	reqs, set := fiveByForty(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		Decide(reqs[i%len(reqs)], set)
		i++
	}
}

// BenchmarkDecideOneService is the unkind case: all forty statements speak about the same service.
func BenchmarkDecideOneService(b *testing.B) {
	var list []string
	for i := range 40 {
		list = append(list, fmt.Sprintf(`{"Effect":"Allow","Action":"s3:*Object*","Resource":"arn:aws:s3:::bucket%d/*/${aws:PrincipalTag/Team}/*",
			"Condition":{"StringLike":{"s3:prefix":"home/*"}}}`, i))
	}
	a := attach(b, Identity, doc(list...))
	k := &Keys{}
	k.Set("s3:prefix", "home/x")
	req := &Request{Principal: &Principal{Type: User, ARN: aliceARN, Account: home, Tags: map[string]string{"team": "red"}},
		Action: "s3:GetObject", Resource: "arn:aws:s3:::bucket39/a/red/b", ResourceAccount: home, Context: k}
	set := &Set{Identity: []Attached{a}}
	b.ReportAllocs()
	for b.Loop() {
		Decide(req, set)
	}
}

func BenchmarkParse(b *testing.B) {
	_, set := fiveByForty(b)
	src := []byte(set.Identity[0].Policy.Source())
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(src, Identity); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	reqs, set := fiveByForty(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		Explain(reqs[i%len(reqs)], set)
		i++
	}
}

// TestDecideDoesNotAllocate holds the promise of the package comment.
func TestDecideDoesNotAllocate(t *testing.T) {
	reqs, set := fiveByForty(t)
	allowed, denied := 0, 0
	for _, r := range reqs {
		if Decide(r, set).Allowed {
			allowed++
		} else {
			denied++
		}
		if n := testing.AllocsPerRun(20, func() { Decide(r, set) }); n != 0 {
			t.Errorf("%s allocates %v times", r.Action, n)
		}
	}
	if allowed == 0 || denied == 0 {
		t.Errorf("the requests should differ: %d allowed, %d denied", allowed, denied)
	}
	for _, s := range stories() {
		req, set := s.build(t)
		if n := testing.AllocsPerRun(20, func() { Decide(req, set) }); n != 0 {
			t.Errorf("%s: allocates %v times", s.name, n)
		}
	}
}

// TestLargeDocumentsStayCheap: what an author can make slow is bounded by the document's size. The
// number counts comparisons, not time.
func TestLargeDocumentsStayCheap(t *testing.T) {
	var actions []string
	for i := range 6000 {
		actions = append(actions, fmt.Sprintf(`"s3:A%d"`, i))
	}
	p, err := Parse([]byte(doc(`{"Effect":"Allow","Action":[`+strings.Join(actions, ",")+`],"Resource":"*"}`)), Identity, Options{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.index.exact) != 0 {
		t.Error("a document with thousands of actions should not be indexed action by action")
	}
	set := &Set{Identity: []Attached{{Policy: p}}}
	if d := Decide(&Request{Principal: alice, Action: "s3:A5999", Resource: "*"}, set); !d.Allowed {
		t.Errorf("got %v", d.Reason)
	}
	if d := Decide(&Request{Principal: alice, Action: "s3:B", Resource: "*"}, set); d.Allowed {
		t.Errorf("got %v", d.Reason)
	}
}
