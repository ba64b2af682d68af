package policy

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/bastide-cloud/bastide/internal/policy/naive"
)

// FuzzParse: no document breaks the reader; what it accepts is JSON that encoding/json reads the same
// way, and parses again from its own source.
func FuzzParse(f *testing.F) {
	for _, s := range []string{doc(allowRead), doc(by("Allow", `"*"`)), doc(by("Deny", aws(home, roleARN))),
		`{"Version":"2008-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"a.b"},"Action":"sts:AssumeRole"}}`,
		doc(`{"Sid":"\u00e9","Effect":"Deny","NotAction":["s3:*"],"NotResource":"arn:aws:s3:::${a:b, 'c'}${*}","Condition":{"ForAllValues:DateLessThanIfExists":{"a:b":["2026","1767225600"]},"Null":{"c:d":true},"IpAddress":{"e:f":"::/0"}}}`)} {
		for k := Identity; k <= RCP; k++ {
			f.Add([]byte(s), int(k))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, kind int) {
		p, err := Parse(src, Kind(kind))
		if err != nil {
			var e *Error
			if p != nil || !errors.As(err, &e) || e.Message == "" || e.Line < 1 || e.Column < 1 {
				t.Fatalf("not a usable refusal: %v", err)
			}
			return
		}
		if !json.Valid(src) {
			t.Fatalf("accepted what is not JSON: %q", src)
		}
		var d struct{ Statement json.RawMessage }
		if err := json.Unmarshal(src, &d); err != nil {
			t.Fatal(err)
		}
		for i := range p.Len() {
			s := p.Statement(i)
			var again struct{ Sid, Effect string }
			if err := json.Unmarshal([]byte(s.Source), &again); err != nil || again.Sid != s.Sid || again.Effect != string(s.effect()) {
				t.Fatalf("statement %d reads otherwise: %v %q", i, err, s.Source)
			}
		}
		if _, err := Parse([]byte(p.Source()), Kind(kind)); err != nil {
			t.Fatalf("does not parse again: %v", err)
		}
	})
}

// FuzzDecide: no document and request break the decision, Explain agrees with Decide and the naive
// evaluator with both.
func FuzzDecide(f *testing.F) {
	f.Add(doc(allowRead), doc(by("Allow", aws(aliceARN))), "s3:GetObject", taskARN, "k:v", "a")
	f.Add(doc(denyRead), doc(by("Deny", `"*"`)), "s3:GetObject", taskARN, "k:v", "")
	f.Add(doc(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:*:a?*/${k:v}","Condition":{"StringLike":{"k:v":"*${aws:username}"}}}`),
		doc(by("Allow", aws(home))), "s3:GetObject", "arn:aws:s3:::ab/alice", "k:v", "alice")
	f.Fuzz(func(t *testing.T, identity, resource, action, target, key, value string) {
		pi, err := Parse([]byte(identity), Identity)
		if err != nil {
			return
		}
		pr, err := Parse([]byte(resource), Resource)
		if err != nil {
			return
		}
		for _, c := range []string{action, target, key, value} {
			if !json.Valid([]byte(`"`+c+`"`)) || len(c) > 300 || !ascii(c) {
				return // the naive evaluator's regular expressions count broken characters otherwise
			}
		}
		keys := &Keys{}
		keys.Set(key, value)
		req := &Request{Principal: alice, Action: action, Resource: target, ResourceAccount: home, Context: keys}
		set := &Set{Identity: []Attached{{Policy: pi}}, Resource: &Attached{Policy: pr}}
		d := Decide(req, set)
		if x := Explain(req, set); x.Allowed != d.Allowed || x.Reason != d.Reason {
			t.Fatalf("Decide says %v, Explain %v", d.Reason, x.Reason)
		}
		want, err := naive.Decide(naive.Request{Caller: naive.Caller{Type: User, ARN: aliceARN, Account: home, ID: alice.UserID},
			Action: action, Resource: target, ResourceAccount: home, Keys: map[string][]string{key: {value}}},
			naive.Set{Identity: []string{identity}, Resource: &resource})
		if err != nil {
			t.Fatal(err)
		}
		if d.Reason.String() != want {
			t.Fatalf("Decide says %v, the naive evaluator %s\n%s\n%s\n%q %q %q=%q", d.Reason, want, identity, resource, action, target, key, value)
		}
	})
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
