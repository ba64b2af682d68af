package gate

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/store"
)

// heard tells of every noted record.
type heard struct {
	Trail
	notes chan *Record
}

func (h *heard) Note(r *Record) error {
	if r.Phase != "" {
		h.notes <- r
	}
	return h.Trail.Note(r)
}

// TestLongCallIsAdmitted: a call that takes long is in the trail before it ends, and again when it
// has; a short one once.
func TestLongCallIsAdmitted(t *testing.T) {
	h := &heard{notes: make(chan *Record, 1)}
	r := newRigOn(t, store.Options{RunTwice: true}, func(way Trail) Trail { h.Trail = way; return h })
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	if _, err := r.do(ann, r.run, &noteInput{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	r.wantNames("RunNote/")
	r.handle["RunNote"] = func(*Call, *noteInput) (*noteOutput, error) {
		<-h.notes // ends only once it is admitted
		return nil, awserr.New("Failed", 400, "after a while")
	}
	if _, err := r.do(ann, r.run, &noteInput{Name: "n"}); !awserr.Is(err, "Failed") {
		t.Fatalf("got %v", err)
	}
	phases := map[any]int{}
	for _, rec := range r.records() {
		phases[rec.Additional["bastidePhase"]]++
	}
	if phases["admitted"] != 1 || phases[nil] != 2 {
		t.Errorf("phases %v", phases)
	}
}

// TestJob acts as the service itself: its changes are recorded as the service's events, its
// bookkeeping is not, its calls are judged like anybody's.
func TestJob(t *testing.T) {
	r := newRig(t)
	job := Job{Gate: r.gate, Name: "ExpireNotes", Service: r.svc, Account: account, Region: region}
	err := job.Update(t.Context(), map[string]string{"note": "n"}, func(tx *store.Tx) error { return notes.Put(tx, noteKey("n"), note{Text: "by the job"}) })
	if err != nil || r.stored("n") != "by the job" {
		t.Fatalf("stored %q: %v", r.stored("n"), err)
	}
	if err := job.Lease(t.Context(), func(tx *store.Tx) error { return notes.Put(tx, noteKey("lease"), note{Text: "held"}) }); err != nil {
		t.Fatal(err)
	}
	var seen note
	if err := job.View(t.Context(), func(tx *store.Tx) (err error) { seen, _, err = notes.Get(tx, noteKey("lease")); return err }); err != nil || seen.Text != "held" {
		t.Errorf("saw %+v, %v", seen, err)
	}
	recs := r.records()
	if len(recs) != 1 || recs[0].EventName != "ExpireNotes" || recs[0].EventType != "AwsServiceEvent" || recs[0].UserIdentity.InvokedBy != "notes.amazonaws.com" && recs[0].SourceIPAddress != "notes.amazonaws.com" {
		t.Errorf("records %+v", recs)
	}
	if got := string(recs[0].RequestParameters); got != `{"note":"n"}` {
		t.Errorf("parameters %s", got)
	}
	if err := job.Update(t.Context(), nil, func(tx *store.Tx) error { return store.NewTable[string]("iam", "users").Put(tx, store.K("x"), "y") }); err == nil {
		t.Error("a job wrote to another service's tables")
	}
	_, err = job.Client("arn:aws:notes:eu-west-1:123456789012:note/n").Call(t.Context(), r.get, &noteInput{Name: "n"})
	r.refused(err, awserr.AccessDenied)
	last := r.records()[1]
	if last.Additional["sourceArn"] != "arn:aws:notes:eu-west-1:123456789012:note/n" {
		t.Errorf("record %+v", last)
	}
}

// TestForward: a service that calls with its caller's permissions has no more than those, and
// policies and records see the way.
func TestForward(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.handle["PutNote"] = func(c *Call, in *noteInput) (*noteOutput, error) {
		out, err := c.Forward("notes.amazonaws.com").Call(c.Context(), r.get, in)
		if err != nil {
			return nil, err
		}
		return out.(*noteOutput), nil
	}
	r.dir.grant(t, ann, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"notes:PutNote","Resource":"*"}]}`)
	if _, err := r.do(ann, r.put, &noteInput{Name: "n"}); err == nil {
		t.Error("a forwarded call did more than its caller may")
	}
	r.dir.grant(t, ann, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"notes:PutNote","Resource":"*"},
		{"Effect":"Allow","Action":"notes:GetNote","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:CalledVia":"notes.amazonaws.com"}}}]}`)
	if _, err := r.do(ann, r.put, &noteInput{Name: "n"}); err != nil {
		t.Error(err)
	}
	if _, err := r.do(ann, r.get, &noteInput{Name: "n"}); err == nil {
		t.Error("a direct call passed for a forwarded one")
	}
	via := 0
	for _, rec := range r.records() {
		if rec.Additional["bastideCalledVia"] != nil {
			via++
			if rec.UserIdentity.ARN != ann.ARN() || rec.SourceIPAddress != "notes.amazonaws.com" {
				t.Errorf("record %+v", rec)
			}
		}
	}
	if via != 2 {
		t.Errorf("%d records of forwarded calls, want 2", via)
	}
}

// TestAs: a call as a role has the role's rights, not the caller's.
func TestAs(t *testing.T) {
	r := newRig(t)
	ann, role := r.user("ann"), r.role("app")
	r.dir.grant(t, ann, mayAll)
	r.handle["PutNote"] = func(c *Call, in *noteInput) (*noteOutput, error) {
		_, err := c.As(role).Call(c.Context(), r.get, in)
		return &noteOutput{}, err
	}
	_, err := r.do(ann, r.put, &noteInput{Name: "n"})
	if e := r.refused(err, awserr.AccessDenied); !strings.Contains(e.Message, role.ARN()) {
		t.Errorf("message %q", e.Message)
	}
}

// TestMandate: work that goes on after the call keeps the caller's rights as they are then, and ends
// with the caller's session.
func TestMandate(t *testing.T) {
	r := newRig(t)
	role := r.role("app")
	r.dir.grant(t, role, mayAll)
	var m Mandate
	r.handle["PutNote"] = func(c *Call, in *noteInput) (out *noteOutput, err error) {
		m, err = c.Mandate("notes.amazonaws.com")
		return &noteOutput{}, err
	}
	if _, err := r.enter(Entry{Principal: role, Region: region, Source: Source{IP: netip.MustParseAddr("192.0.2.7")}}, r.put, &noteInput{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	job := Job{Gate: r.gate, Name: "GoOn", Service: r.svc, Account: account, Region: region}
	c, err := job.Under(m)
	if err != nil || c.Principal.ARN() != role.ARN() || len(c.Source.Via) != 1 {
		t.Fatalf("client %+v: %v", c, err)
	}
	if _, err := c.Call(t.Context(), r.get, &noteInput{Name: "n"}); err != nil {
		t.Error(err)
	}
	r.dir.grant(t, role, "")
	_, err = c.Call(t.Context(), r.get, &noteInput{Name: "n"})
	r.refused(err, awserr.AccessDenied)
	r.clock.Advance(2 * time.Hour)
	_, err = job.Under(m)
	r.refused(err, awserr.ExpiredToken)
}

// TestRefusedIsRecorded: what was refused before its needs, by somebody who is known.
func TestRefusedIsRecorded(t *testing.T) {
	r := newRig(t)
	err := r.gate.Refused(Refusal{RequestID: "id-1", Principal: r.user("ann"), Service: r.svc, Op: r.put, Region: region,
		Err: awserr.Of(awserr.Validation, "1 validation error detected")})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.gate.Refused(Refusal{RequestID: "id-2", Principal: identity.Anonymous(), Service: r.svc, Event: "BurnNote", Region: region,
		Err: awserr.Of(awserr.NotImplemented, "not built")}); err != nil {
		t.Fatal(err)
	}
	recs := r.records()
	if len(recs) != 2 || recs[0].RequestID != "id-1" || recs[0].ErrorCode != "ValidationException" || recs[0].EventName != "PutNote" {
		t.Fatalf("records %+v", recs)
	}
	if recs[1].EventName != "BurnNote" || recs[1].UserIdentity.PrincipalID != "ANONYMOUS_PRINCIPAL" {
		t.Errorf("record %+v", recs[1])
	}
}

// TestRecordOfASession names the role that a session came from, and open credentials.
func TestRecordOfASession(t *testing.T) {
	r := newRig(t)
	role := r.role("app")
	r.dir.grant(t, role, mayAll)
	if _, err := r.do(role, r.get, &noteInput{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	u := r.records()[0].UserIdentity
	if u.Type != "AssumedRole" || u.SessionContext == nil || u.SessionContext.SessionIssuer == nil || u.SessionContext.SessionIssuer.ARN != "arn:aws:iam::123456789012:role/app" ||
		u.SessionContext.Attributes.MFAAuthenticated != "false" {
		t.Errorf("user identity %+v", u)
	}
}

// TestRecording: a data operation's record names the row rather than its content.
func TestRecording(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	r.gate.ops[r.put] = &bound{Op: Recording(r.gate.ops[r.put].Op, func(in *noteInput) any { return &noteInput{Name: in.Name} })}
	if _, err := r.do(ann, r.put, &noteInput{Name: "n", Text: new("private")}); err != nil {
		t.Fatal(err)
	}
	if got := string(r.records()[0].RequestParameters); strings.Contains(got, "private") || !strings.Contains(got, `"name":"n"`) {
		t.Errorf("parameters %s", got)
	}
}

func benchmark(b *testing.B, op func(*rig) func(identity.Principal, int) error) {
	r := newRigOn(b, store.Options{}, nil)
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.audit.Run(ctx, quiet())
	}()
	defer func() { stop(); <-done }()
	ann := r.user("ann")
	r.dir.grant(b, ann, mayAll)
	do := op(r)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := do(ann, i); err != nil {
			b.Fatal(err)
		}
	}
}

// TestStreamIsAdmittedAndCompleted: a call that continues is in the trail before its answer is seen,
// and again, with how it ended, when it has.
func TestStreamIsAdmittedAndCompleted(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	var completed func(error) error
	r.handle["RunNote"] = func(c *Call, _ *noteInput) (out *noteOutput, err error) {
		completed, err = c.Continue()
		return &noteOutput{}, err
	}
	if _, err := r.do(ann, r.run, &noteInput{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	if recs := r.records(); len(recs) != 1 || recs[0].Additional["bastidePhase"] != "admitted" {
		t.Fatalf("before the end: %+v", recs)
	}
	for range 2 { // the second is too late to tell anything
		if err := completed(awserr.New("Broken", 400, "in the middle")); err != nil {
			t.Fatal(err)
		}
	}
	recs := r.records()
	if len(recs) != 2 || recs[1].Additional["bastidePhase"] != nil || recs[1].ErrorCode != "Broken" || recs[1].RequestID != recs[0].RequestID {
		t.Errorf("after the end: %+v", recs)
	}

	// one that ends before its handler returns is in the trail once
	r.handle["RunNote"] = func(c *Call, _ *noteInput) (*noteOutput, error) {
		completed, err := c.Continue()
		if err != nil {
			return nil, err
		}
		return &noteOutput{}, completed(nil)
	}
	if _, err := r.do(ann, r.run, &noteInput{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	if recs := r.records(); len(recs) != 3 || recs[2].Additional["bastidePhase"] != nil || recs[2].ErrorCode != "" {
		t.Errorf("a short one: %+v", recs)
	}

	// and only an Invoke can
	r.handle["GetNote"] = func(c *Call, _ *noteInput) (*noteOutput, error) {
		_, err := c.Continue()
		return nil, err
	}
	if _, err := r.do(ann, r.get, &noteInput{Name: "n"}); err == nil || awserr.Wrap(err).Kind != awserr.Internal {
		t.Errorf("a read continued: %v", err)
	}
}
