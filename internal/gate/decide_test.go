package gate

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

// TestClosedByDefault: nobody without a policy does anything, and the refusal is in the trail with
// its explanation: which policies were considered, what failed, the smallest statement that would do.
func TestClosedByDefault(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	_, err := r.do(ann, r.put, &noteInput{Name: "n", Text: new("x"), Secret: new("hunter2")})
	e := r.refused(err, awserr.AccessDenied)
	want := "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: notes:PutNote on resource: arn:aws:notes:eu-west-1:123456789012:note/n because no identity-based policy allows the notes:PutNote action"
	if e.Message != want {
		t.Errorf("message %q\nwant %q", e.Message, want)
	}
	if got := r.stored("n"); got != "" {
		t.Errorf("a refused call wrote %q", got)
	}
	recs := r.records()
	if len(recs) != 1 || recs[0].ErrorCode != "AccessDeniedException" || recs[0].EventName != "PutNote" || recs[0].ReadOnly {
		t.Fatalf("records %+v, want one refusal", recs)
	}
	if b, _ := json.Marshal(recs[0]); strings.Contains(string(b), "hunter2") {
		t.Errorf("the record has a secret: %s", b)
	}
	why := explained(t, recs[0])
	if why.Allowed || why.Reason != "ImplicitDenyIdentity" || len(why.Remedies) != 1 || !strings.Contains(string(why.Remedies[0].Statement), "notes:PutNote") {
		t.Errorf("explanation %+v", why)
	}
}

// explanation is what a record says of its decision.
type explanation struct {
	Allowed  bool
	Reason   string
	Policies []struct{ Where string }
	Remedies []struct{ Statement json.RawMessage }
}

func explained(t *testing.T, r audit.Record) (why explanation) {
	t.Helper()
	b, err := json.Marshal(r.Additional[audit.DecisionKey])
	if err == nil {
		err = json.Unmarshal(b, &why)
	}
	if err != nil || why.Reason == "" {
		t.Fatalf("the record has no explanation: %s (%v)", b, err)
	}
	return why
}

// TestEveryNeedMustBeAllowed: an operation with several needs passes only with all of them.
func TestEveryNeedMustBeAllowed(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.needs = func(a *Ask, in *noteInput) ([]Need, error) {
		return []Need{{Action: "notes:PutNote", Resource: a.ARN("note/" + in.Name)},
			{Action: "iam:PassRole", Resource: "arn:aws:iam::123456789012:role/app", Keys: map[string][]string{"iam:PassedToService": {"notes.amazonaws.com"}}}}, nil
	}
	r.dir.grant(t, ann, mayAll)
	_, err := r.do(ann, r.put, &noteInput{Name: "n"})
	if e := r.refused(err, awserr.AccessDenied); !strings.Contains(e.Message, "iam:PassRole on resource: arn:aws:iam::123456789012:role/app") {
		t.Errorf("message %q names another need", e.Message)
	}
	both := func(service string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"notes:*","Resource":"*"},
			{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"` + service + `"}}}]}`
	}
	r.dir.grant(t, ann, both("other.amazonaws.com"))
	if _, err := r.do(ann, r.put, &noteInput{Name: "n"}); err == nil {
		t.Error("passed a role to a service that the policy does not name")
	}
	r.dir.grant(t, ann, both("notes.amazonaws.com"))
	if _, err := r.do(ann, r.put, &noteInput{Name: "n"}); err != nil {
		t.Error(err)
	}
}

// TestNeedsThatFail: an error of a Needs function is the call's, and is recorded.
func TestNeedsThatFail(t *testing.T) {
	r := newRig(t)
	r.needs = func(*Ask, *noteInput) ([]Need, error) { return nil, awserr.New("NoSuchNote", 404, "gone") }
	if _, err := r.do(r.user("ann"), r.get, &noteInput{Name: "n"}); !awserr.Is(err, "NoSuchNote") {
		t.Errorf("got %v", err)
	}
	r.needs = func(*Ask, *noteInput) ([]Need, error) { return nil, errors.New("disk on fire at /secret/place") }
	_, err := r.do(r.user("ann"), r.get, &noteInput{Name: "n"})
	if e := r.refused(err, awserr.Internal); strings.Contains(e.Message, "secret") {
		t.Errorf("an internal error shows its cause: %q", e.Message)
	}
	r.wantNames("GetNote/NoSuchNote", "GetNote/InternalServerError")
}

// TestOptionalNeed is decided when the handler asks, on what the transaction sees.
func TestOptionalNeed(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.needs = func(a *Ask, in *noteInput) ([]Need, error) {
		return []Need{{Action: "notes:PutNote", Resource: a.ARN("note/" + in.Name)}, {Action: "notes:ListNotes", Resource: "*", Optional: true}}, nil
	}
	var before, inside error
	r.handle["PutNote"] = func(c *Call, in *noteInput) (*noteOutput, error) {
		before = c.Refusal(1)
		r.dir.grant(t, ann, mayAll) // between decision and commit
		return &noteOutput{}, c.Update(func(*store.Tx) error { inside = c.Refusal(1); return nil })
	}
	r.dir.grant(t, ann, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"notes:PutNote","Resource":"*"}]}`)
	if _, err := r.do(ann, r.put, &noteInput{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	r.refused(before, awserr.AccessDenied)
	if inside != nil {
		t.Errorf("inside Update the need is decided on the policies of then: %v", inside)
	}
}

// TestHiddenRefusal: the caller gets the hiding error, the trail the explanation.
func TestHiddenRefusal(t *testing.T) {
	r := newRig(t)
	r.needs = func(a *Ask, in *noteInput) ([]Need, error) {
		return []Need{{Action: "notes:GetNote", Resource: a.ARN("note/" + in.Name), Hidden: awserr.New("NoSuchNote", 404, "There is no such note.")}}, nil
	}
	if _, err := r.do(r.user("ann"), r.get, &noteInput{Name: "n"}); !awserr.Is(err, "NoSuchNote") {
		t.Errorf("got %v", err)
	}
	if why := explained(t, r.records()[0]); why.Allowed {
		t.Errorf("explanation %+v", why)
	}
}

// TestConditionKeys: what policies may ask about a call.
func TestConditionKeys(t *testing.T) {
	r := newRig(t)
	role := r.role("app")
	src := Source{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "test/1", Referer: "https://here.example", TLS: true}
	via := src
	via.Via = []string{"cloudformation.amazonaws.com", "lambda.amazonaws.com"}
	for _, c := range []struct {
		name, condition string
		entry           Entry
		want            bool
	}{
		{"address in the range", `{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, Entry{Source: src}, true},
		{"address out of the range", `{"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}}`, Entry{Source: src}, false},
		{"a service calls from no address of the caller's", `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, Entry{Source: via}, false},
		{"transport", `{"Bool":{"aws:SecureTransport":"true"}}`, Entry{Source: src}, true},
		{"plain transport", `{"Bool":{"aws:SecureTransport":"true"}}`, Entry{Source: Source{IP: src.IP}}, false},
		{"a service calls over no network", `{"Bool":{"aws:SecureTransport":"true"}}`, Entry{Source: Source{IP: src.IP, Via: via.Via}}, true},
		{"a function at its door calls over no network", `{"Bool":{"aws:SecureTransport":"true"}}`, Entry{}, true},
		{"agent", `{"StringLike":{"aws:UserAgent":"test/*"}}`, Entry{Source: src}, true},
		{"referer", `{"StringEquals":{"aws:Referer":"https://here.example"}}`, Entry{Source: src}, true},
		{"region", `{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`, Entry{}, true},
		{"other region", `{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}`, Entry{}, false},
		{"before", `{"DateLessThan":{"aws:CurrentTime":"2030-01-02T03:04:06Z"}}`, Entry{}, true},
		{"after", `{"DateGreaterThan":{"aws:CurrentTime":"2030-01-02T03:04:06Z"}}`, Entry{}, false},
		{"seconds", `{"NumericEquals":{"aws:EpochTime":"1893553445"}}`, Entry{}, true},
		{"issued", `{"DateEquals":{"aws:TokenIssueTime":"2030-01-02T03:04:05Z"}}`, Entry{}, true},
		{"no second factor", `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`, Entry{}, false},
		{"source identity", `{"StringEquals":{"aws:SourceIdentity":"ann"}}`, Entry{}, true},
		{"owner", `{"StringEquals":{"aws:ResourceAccount":"123456789012"}}`, Entry{}, true},
		{"on behalf of a resource", `{"ArnLike":{"aws:SourceArn":"arn:aws:notes:*:*:note/x"}}`, Entry{SourceARN: "arn:aws:notes:eu-west-1:123456789012:note/x"}, true},
		{"of an account", `{"StringEquals":{"aws:SourceAccount":"123456789012"}}`, Entry{SourceAccount: account}, true},
		{"called through", `{"ForAnyValue:StringEquals":{"aws:CalledVia":"lambda.amazonaws.com"}}`, Entry{Source: via}, true},
		{"not called through", `{"ForAnyValue:StringEquals":{"aws:CalledVia":"lambda.amazonaws.com"}}`, Entry{}, false},
		{"first", `{"StringEquals":{"aws:CalledViaFirst":"cloudformation.amazonaws.com"}}`, Entry{Source: via}, true},
		{"last", `{"StringEquals":{"aws:CalledViaLast":"lambda.amazonaws.com"}}`, Entry{Source: via}, true},
		{"by a service", `{"Bool":{"aws:ViaAWSService":"true"}}`, Entry{Source: via}, true},
		{"the request's own key", `{"StringEquals":{"notes:Length":"3"}}`, Entry{}, true},
		{"a key that costs a read", `{"StringEquals":{"aws:ResourceTag/team":"blue"}}`, Entry{}, true},
		{"a key that nobody knows", `{"StringEquals":{"aws:ResourceTag/owner":"blue"}}`, Entry{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.needs = func(a *Ask, in *noteInput) ([]Need, error) {
				return []Need{{Action: "notes:GetNote", Resource: a.ARN("note/" + in.Name), Keys: map[string][]string{"notes:Length": {"3"}},
					Lazy: func(key string) policy.Values {
						if key == "aws:resourcetag/team" {
							return policy.One("blue")
						}
						return policy.Values{}
					}}}, nil
			}
			r.dir.grant(t, role, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"notes:*","Resource":"*","Condition":`+c.condition+`}]}`)
			c.entry.Principal, c.entry.Region = role, region
			if _, err := r.enter(c.entry, r.get, &noteInput{Name: "n"}); (err == nil) != c.want {
				t.Errorf("allowed %v, want %v (%v)", err == nil, c.want, err)
			}
		})
	}
}

// TestLazyKeysAreReadOnlyWhenAsked: a tag is not looked up for policies that do not mention it.
func TestLazyKeysAreReadOnlyWhenAsked(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	r.needs = func(a *Ask, in *noteInput) ([]Need, error) {
		return []Need{{Action: "notes:GetNote", Resource: "*", Lazy: func(key string) policy.Values {
			t.Errorf("asked for %s", key)
			return policy.Values{}
		}}}, nil
	}
	if _, err := r.do(ann, r.get, &noteInput{Name: "n"}); err != nil {
		t.Error(err)
	}
}

// TestResourcePolicies are compiled once for each text, and decide.
func TestResourcePolicies(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/ann"},"Action":"notes:GetNote","Resource":"*"}]}`
	var seen []*policy.Policy
	r.needs = func(a *Ask, in *noteInput) ([]Need, error) {
		p, err := a.Policy(policy.Resource, doc)
		seen = append(seen, p)
		return []Need{{Action: "notes:GetNote", Resource: a.ARN("note/" + in.Name), Policy: &policy.Attached{Policy: p, Where: "the note"}}}, err
	}
	for range 2 {
		if _, err := r.do(ann, r.get, &noteInput{Name: "n"}); err != nil {
			t.Fatal(err)
		}
	}
	if seen[0] == nil || seen[0] != seen[1] {
		t.Error("the same text was compiled twice")
	}
	doc = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"notes:GetNote","Resource":"*"}]}`
	_, err := r.do(ann, r.get, &noteInput{Name: "n"})
	r.refused(err, awserr.AccessDenied)
	doc = `{"no":"policy"}`
	_, err = r.do(ann, r.get, &noteInput{Name: "n"})
	r.refused(err, awserr.Internal)
}

// TestPolicyCacheIsBounded: it never grows past its limit, and stays right.
func TestPolicyCacheIsBounded(t *testing.T) {
	c := newPolicyCache()
	for i := range maxCachedPolicies + 10 {
		src := `{"Version":"2012-10-17","Id":"` + time.Duration(i).String() + `","Statement":[{"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"}]}`
		p, err := c.parse(policy.Resource, src)
		if err != nil || p.Source() != src {
			t.Fatalf("policy %d: %v", i, err)
		}
	}
	if len(c.m) > maxCachedPolicies {
		t.Errorf("%d policies kept", len(c.m))
	}
	if _, err := c.parse(policy.Identity, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"}]}`); err == nil {
		t.Error("an identity policy with a Principal was accepted")
	}
}
