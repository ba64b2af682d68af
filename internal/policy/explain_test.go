package policy

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestExplainTellsTheFailingElement(t *testing.T) {
	tagged := *role
	tagged.Tags = map[string]string{"Team": "red"}
	keys := &Keys{}
	keys.Set("aws:SourceIp", "203.0.113.9")
	req := &Request{Principal: &tagged, Action: "s3:GetObject", Resource: taskARN, ResourceAccount: home, Context: keys}
	set := &Set{Identity: []Attached{{Name: "Read", Where: "role reader inline policy Read", Policy: must(t, Identity, doc(
		`{"Sid":"Other","Effect":"Allow","Action":"s3:PutObject","Resource":"*"}`,
		`{"Sid":"Bucket","Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::other/*"}`,
		`{"Sid":"Team","Effect":"Allow","Action":"s3:Get*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/Team":["blue","green"]}}}`,
		`{"Sid":"Gone","Effect":"Allow","NotAction":"s3:Get*","Resource":"*"}`))}},
		Resource: &Attached{Name: "bucket policy", Policy: must(t, Resource, doc(by("Allow", aws(aliceARN))))}}
	x := Explain(req, set)
	if x.Allowed || x.Reason != ImplicitDenyIdentity || x.Deciding != nil || !strings.Contains(x.Message, "because no identity-based policy allows") {
		t.Errorf("got %+v", x)
	}
	var got []string
	for _, p := range x.Policies {
		for _, s := range p.Statements {
			b, err := json.Marshal(s.Failing)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.Kind.String()+" "+s.Sid+" "+string(b))
		}
	}
	want := []string{
		`resource  {"element":"Principal","wanted":["` + aliceARN + `"],"got":["` + sessionARN + `"]}`,
		`identity Other {"element":"Action","wanted":["s3:PutObject"],"got":["s3:GetObject"]}`,
		`identity Bucket {"element":"Resource","wanted":["arn:aws:s3:::other/*"],"got":["` + taskARN + `"]}`,
		`identity Team {"element":"Condition","operator":"StringEquals","key":"aws:PrincipalTag/Team","wanted":["blue","green"],"got":["red"]}`,
		`identity Gone {"element":"NotAction","wanted":["s3:Get*"],"got":["s3:GetObject"]}`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var near []string
	for _, n := range x.Nearest {
		near = append(near, n.Sid+"/"+n.Failing.Element)
	}
	if strings.Join(near, " ") != "Team/Condition /Principal Bucket/Resource" {
		t.Errorf("nearest first: got %v", near)
	}
	if n := x.Nearest[0]; n.Where != "role reader inline policy Read" || n.Index != 2 || n.Line != 1 {
		t.Errorf("got %+v", n)
	}
	if len(x.Remedies) != 1 || string(x.Remedies[0].Statement) != `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::tasks/1"}` {
		t.Errorf("got %s", show(x.Remedies))
	}
}

func TestExplainTellsEveryDenial(t *testing.T) {
	req, set := story{who: alice, identity: allowRead + "," + denyRead, boundary: denyRead, scp: allowAll + "," + denyRead}.build(t)
	x := Explain(req, set)
	if x.Reason != ExplicitDeny || len(x.Denials) != 3 || len(x.Remedies) != 0 {
		t.Fatalf("got %v with %d denials and %d remedies", x.Reason, len(x.Denials), len(x.Remedies))
	}
	if d := x.Deciding; d == nil || d.Kind != SCP || d.Sid != "No" || d.Index != 1 || d.Where != "test scp" {
		t.Errorf("got %+v", d)
	}
	if k := x.Denials[1].Kind.String() + x.Denials[2].Kind.String(); k != "identityboundary" {
		t.Errorf("got %s", k)
	}
}

func TestExplainOfAnAllowedRequest(t *testing.T) {
	req, set := story{who: alice, identity: allowPut + "," + allowRead}.build(t)
	x := Explain(req, set)
	if !x.Allowed || x.Message != "" || x.Deciding == nil || x.Deciding.Index != 1 || len(x.Nearest)+len(x.Remedies)+len(x.Denials) != 0 {
		t.Errorf("got %+v", x)
	}
	b, err := json.Marshal(x)
	if err != nil || !strings.HasPrefix(string(b), `{"allowed":true,"reason":"Allowed","principal":"`+aliceARN+`"`) {
		t.Errorf("%v: %s", err, b)
	}
}

func TestRemediesSayWhatAndWhere(t *testing.T) {
	const read = `"Action":"s3:GetObject","Resource":"arn:aws:s3:::tasks/1"}`
	for _, c := range []struct {
		name string
		s    story
		want []string
	}{
		{"at home, the identity", story{who: alice}, []string{`identity {"Effect":"Allow",` + read}},
		{"across accounts, both", story{who: bob}, []string{
			`resource {"Effect":"Allow","Principal":{"AWS":"` + bobARN + `"},` + read, `identity {"Effect":"Allow",` + read}},
		{"a role rather than its session", story{who: role, required: true}, []string{
			`resource {"Effect":"Allow","Principal":{"AWS":"` + roleARN + `"},` + read}},
		{"a role that its boundary limits, too", story{who: role, required: true, boundary: "-"}, []string{
			`resource {"Effect":"Allow","Principal":{"AWS":"` + roleARN + `"},` + read, `boundary {"Effect":"Allow",` + read}},
		{"delegated to the account: the identity", story{who: alice, required: true, resource: by("Allow", aws(home))}, []string{
			`identity {"Effect":"Allow",` + read}},
		{"everything that lacks", story{who: alice, boundary: "-", session: "-", scp: "-"}, []string{
			`scp {"Effect":"Allow",` + read, `identity {"Effect":"Allow",` + read, `boundary {"Effect":"Allow",` + read, `session {"Effect":"Allow",` + read}},
		{"a service", story{who: svc}, []string{
			`resource {"Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},` + read}},
		{"a web identity", story{who: oidc}, []string{
			`resource {"Effect":"Allow","Principal":{"Federated":"accounts.google.com"},` + read}},
		{"a stranger, with a warning", story{who: nil}, []string{`resource public {"Effect":"Allow","Principal":"*",` + read}},
		{"nobody that a policy can name", story{who: &Principal{Type: "Robot"}}, nil},
	} {
		req, set := c.s.build(t)
		var got []string
		for _, r := range Explain(req, set).Remedies {
			place := r.Place.String()
			if r.Public {
				place += " public"
			}
			got = append(got, place+" "+string(r.Statement))
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestRemediesForServicesNameTheSource(t *testing.T) {
	keys := &Keys{}
	keys.Set("aws:SourceArn", "arn:aws:execute-api:eu-west-1:111111111111:abc/*/GET/tasks")
	keys.Set("aws:SourceAccount", home)
	req := &Request{Principal: svc, Action: "lambda:InvokeFunction", Resource: "arn:aws:lambda:eu-west-1:111111111111:function:f",
		ResourceAccount: home, Context: keys}
	x := Explain(req, &Set{})
	if len(x.Remedies) != 1 {
		t.Fatalf("got %s", show(x.Remedies))
	}
	want := `"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:execute-api:eu-west-1:111111111111:abc/${*}/GET/tasks"},"StringEquals":{"aws:SourceAccount":"111111111111"}}`
	if !strings.Contains(string(x.Remedies[0].Statement), want) {
		t.Errorf("got %s", x.Remedies[0].Statement)
	}
	p := must(t, Resource, string(x.Remedies[0].Document()))
	if d := Decide(req, &Set{Resource: &Attached{Policy: p}}); !d.Allowed {
		t.Errorf("the remedy does not work: %v", d.Reason)
	}
	keys.Set("aws:SourceAccount", away)
	if d := Decide(req, &Set{Resource: &Attached{Policy: p}}); d.Allowed {
		t.Error("another account's source is not admitted")
	}
}

func TestRemedyForATrustPolicyHasNoResource(t *testing.T) {
	req := &Request{Principal: bob, Action: "sts:AssumeRole", Resource: roleARN, ResourceAccount: home, ResourcePolicyRequired: true}
	x := Explain(req, &Set{})
	if len(x.Remedies) != 2 || x.Remedies[0].Place != Trust ||
		string(x.Remedies[0].Statement) != `{"Effect":"Allow","Principal":{"AWS":"`+bobARN+`"},"Action":"sts:AssumeRole"}` {
		t.Fatalf("got %s", show(x.Remedies))
	}
	trust := attach(t, Trust, string(x.Remedies[0].Document()))
	identity := attach(t, Identity, string(x.Remedies[1].Document()))
	if d := Decide(req, &Set{Identity: []Attached{identity}, Resource: &trust}); !d.Allowed {
		t.Errorf("got %v", d.Reason)
	}
}
