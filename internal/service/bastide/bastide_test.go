package bastide

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

const (
	account = "123456789012"
	other   = "210987654321"
)

// rig is the service behind the real gate, store and trail. The embedded client may do what policy
// says; Server and Routes are the rig's own.
type rig struct {
	testing.TB
	bastide.Client
	db     *store.DB
	gate   *gate.Gate
	trail  *audit.Trail
	live   *Live
	clock  *clock.Manual
	policy string

	routes []Route
	backup func(context.Context, io.Writer) error
	resets int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{TB: t, clock: clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)), live: NewLive(),
		policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bastide:*","Resource":"*"}]}`}
	var err error
	r.db, err = store.Open(t.Context(), store.Options{Dir: t.TempDir(), Clock: r.clock, RunTwice: true})
	r.check(err)
	t.Cleanup(func() { r.check(r.db.Close()) })
	_, key, err := ed25519.GenerateKey(nil)
	r.check(err)
	r.trail, err = audit.New(r.db, audit.Options{Node: "test", Key: key})
	r.check(err)
	r.gate, err = gate.New(gate.Deps{Store: r.db, Trail: gate.NewTrail(r.trail), Directory: r, Clock: r.clock},
		New(Deps{Server: r, Trail: r.trail, Live: r.live, Routes: r, Functions: r}).Unit())
	r.check(err)
	r.Client = r.as(account)
	return r
}

func (r *rig) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) fails(err error, code string) {
	r.Helper()
	if !awserr.Is(err, code) {
		r.Errorf("got %v, want %s", err, code)
	}
}

func (r *rig) as(account string) bastide.Client {
	r.Helper()
	p, err := identity.Session{Kind: identity.KindUser, Account: account, UserName: "ann", UserARN: "arn:aws:iam::" + account + ":user/ann", UserID: "AIDAANN",
		Issued: r.clock.Now(), Expires: r.clock.Now().Add(time.Hour)}.Principal()
	r.check(err)
	return bastide.Client{Caller: gate.Client{Gate: r.gate, Principal: p, Region: "eu-west-1"}}
}

// The server.
func (r *rig) Status(context.Context) (Status, error) {
	return Status{Version: "v1", Account: account, StartedAt: r.clock.Now(), Services: []string{"iam"}, Goroutines: 7, Descriptors: 8, Resident: 9, Instances: 3, Idle: 2,
		Pool: Pool{Size: 4, Ready: 1, Memory: 40, Held: 10, Hits: 5, Misses: 6, Bypasses: 7, Died: 8, Kinds: []PoolKind{{Name: "k", Ready: 1, Held: 10, Failure: "f"}}}, Waived: []string{"cgroup"}}, nil
}

func (r *rig) Backup(ctx context.Context, w io.Writer) error { return r.backup(ctx, w) }

func (r *rig) Reset(_ context.Context, empty func() error) error {
	r.resets++
	return empty()
}

// Routes are the applications'.
func (r *rig) Routes(context.Context) ([]Route, error) { return r.routes, nil }

// Profiles are the functions'.
func (r *rig) Profiles(c *gate.Call, name string) ([]bastide.FunctionProfile, error) {
	if name == "none" {
		return nil, nil
	}
	return []bastide.FunctionProfile{{FunctionName: new("f"), Mode: new(c.Region())}}, nil
}

// The directory.
func (r *rig) Version() uint64 { return 0 }

func (r *rig) Grant(p identity.Principal) (gate.Grant, error) {
	if p.ServiceName() != "" { // services have no policies of their own
		return gate.Grant{Principal: policy.Principal{Account: p.Account(), Type: policy.Service, Service: p.ServiceName()}}, nil
	}
	doc, err := policy.Parse([]byte(r.policy), policy.Identity, policy.Options{})
	return gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: policy.User},
		Set: policy.Set{Identity: []policy.Attached{{Policy: doc, Where: "the test's"}}}}, err
}

// note writes records of events into the trail.
func (r *rig) note(account string, events ...string) {
	r.Helper()
	for _, e := range events {
		name, code, _ := strings.Cut(e, "/")
		r.check(r.trail.Note(r.Context(), audit.Record{EventSource: "test.amazonaws.com", EventName: name, ErrorCode: code, RequestID: "id-" + name,
			RecipientAccountID: account, EventTime: r.clock.Now()}))
	}
	r.check(r.trail.Flush(r.Context()))
}

// events are the names of records of the test's own.
func events(out *bastide.QueryAuditOutput) string {
	var names []string
	for _, rec := range out.Records {
		if strings.Contains(*rec.Record, "test.amazonaws.com") {
			names = append(names, strings.TrimPrefix(*rec.RequestId, "id-"))
		}
	}
	return strings.Join(names, " ")
}

// TestEachOperationNeedsItsAction: whoever may read the trail may not reset, and so on.
func TestEachOperationNeedsItsAction(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.backup = func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "x"); return err }
	calls := map[string]func() error{
		"GetStatus":    func() error { _, err := r.GetStatus(ctx, &bastide.GetStatusInput{}); return err },
		"QueryAudit":   func() error { _, err := r.QueryAudit(ctx, &bastide.QueryAuditInput{}); return err },
		"GetAuditHead": func() error { _, err := r.GetAuditHead(ctx, &bastide.GetAuditHeadInput{}); return err },
		"VerifyAudit":  func() error { _, err := r.VerifyAudit(ctx, &bastide.VerifyAuditInput{}); return err },
		"ExplainRequest": func() error {
			_, err := r.ExplainRequest(ctx, &bastide.ExplainRequestInput{RequestId: "none"})
			return err
		},
		"AcknowledgeRoute": func() error {
			_, err := r.AcknowledgeRoute(ctx, &bastide.AcknowledgeRouteInput{Route: "none"})
			return err
		},
		"RevokeAcknowledgement": func() error {
			_, err := r.RevokeAcknowledgement(ctx, &bastide.RevokeAcknowledgementInput{Route: "none"})
			return err
		},
		"ListFunctionProfiles": func() error {
			_, err := r.ListFunctionProfiles(ctx, &bastide.ListFunctionProfilesInput{})
			return err
		},
		"ListRoutes": func() error { _, err := r.ListRoutes(ctx, &bastide.ListRoutesInput{}); return err },
		"Reset":      func() error { _, err := r.Client.Reset(ctx, &bastide.ResetInput{}); return err },
		"CreateBackup": func() error {
			out, err := r.CreateBackup(ctx, &bastide.CreateBackupInput{})
			if err == nil {
				err = out.Body.Close()
			}
			return err
		},
	}
	const profile = "arn:aws:signer:eu-west-1:" + account + ":/signing-profiles/none/0123456789"
	calls["PutSigningProfile"] = func() error {
		_, err := r.PutSigningProfile(ctx, &bastide.PutSigningProfileInput{ProfileName: "none", PublicKey: "x"})
		return err
	}
	calls["GetSigningProfile"] = func() error {
		_, err := r.GetSigningProfile(ctx, &bastide.GetSigningProfileInput{ProfileVersionArn: profile})
		return err
	}
	calls["ListSigningProfiles"] = func() error {
		_, err := r.ListSigningProfiles(ctx, &bastide.ListSigningProfilesInput{})
		return err
	}
	calls["RevokeSigningProfile"] = func() error {
		_, err := r.RevokeSigningProfile(ctx, &bastide.RevokeSigningProfileInput{ProfileName: "none", ProfileVersion: "0123456789", Reason: "x"})
		return err
	}
	if len(calls) != len(bastide.Service.Operations) {
		t.Fatalf("%d of %d operations are called", len(calls), len(bastide.Service.Operations))
	}
	for allowed := range calls {
		r.policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bastide:` + allowed + `","Resource":["arn:aws:bastide::123456789012:*","arn:aws:signer:*:123456789012:/signing-profiles/none*"]}]}`
		for name, call := range calls {
			e, denied := call().(*awserr.Error)
			denied = denied && e.Kind == awserr.AccessDenied
			if denied == (name == allowed) {
				t.Errorf("with bastide:%s, %s is denied: %v", allowed, name, denied)
			}
		}
	}
}

func TestStatusAndReset(t *testing.T) {
	r := newRig(t)
	st, err := r.GetStatus(t.Context(), &bastide.GetStatusInput{})
	r.check(err)
	if *st.Version != "v1" || *st.Goroutines != 7 || *st.Descriptors != 8 || *st.ResidentBytes != 9 || *st.Instances != 3 || *st.InstancesIdle != 2 || st.Waived[0] != "cgroup" || st.Services[0] != "iam" {
		t.Errorf("status %+v", st)
	}
	if p := st.Pool; *p.Size != 4 || *p.Ready != 1 || *p.MemoryBytes != 40 || *p.HeldBytes != 10 || *p.Hits != 5 || *p.Misses != 6 || *p.Bypasses != 7 || *p.Died != 8 ||
		*p.Kinds[0].Name != "k" || *p.Kinds[0].Failure != "f" {
		t.Errorf("pool %+v", p)
	}
	_, err = r.Client.Reset(t.Context(), &bastide.ResetInput{})
	r.check(err)
	if r.resets != 1 {
		t.Errorf("%d resets", r.resets)
	}
	// The record is in the change's own transaction: nothing was flushed since.
	n := 0
	for rec, err := range r.trail.Query(t.Context(), audit.Filter{EventName: "Reset"}) {
		r.check(err)
		if n++; rec.ErrorCode != "" {
			t.Errorf("recorded %+v", rec)
		}
	}
	if n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestQueries(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.note(account, "A", "B/AccessDenied", "C/AccessDeniedException", "D/NoSuchKey", "E")
	r.note(other, "F", "G/AccessDenied")
	query := func(in bastide.QueryAuditInput) string {
		t.Helper()
		out, err := r.QueryAudit(ctx, &in)
		r.check(err)
		return events(out)
	}
	for _, c := range []struct {
		in   bastide.QueryAuditInput
		want string
	}{
		{bastide.QueryAuditInput{}, "A B C D E"},
		{bastide.QueryAuditInput{Denied: new(true)}, "B C"},
		{bastide.QueryAuditInput{ErrorCode: new("NoSuchKey")}, "D"},
		{bastide.QueryAuditInput{EventName: new("C")}, "C"},
		{bastide.QueryAuditInput{RequestId: new("id-E")}, "E"},
		{bastide.QueryAuditInput{MaxResults: new(int32(2))}, "A B"},
		{bastide.QueryAuditInput{EventSource: new("test.amazonaws.com"), Newest: new(true), MaxResults: new(int32(2))}, "E D"},
		{bastide.QueryAuditInput{EventName: new("F")}, ""},
	} {
		if got := query(c.in); got != c.want {
			t.Errorf("%+v: %s, want %s", c.in, got, c.want)
		}
	}
	in := &bastide.QueryAuditInput{EventSource: new("test.amazonaws.com"), MaxResults: new(int32(2))}
	var pages []string
	for {
		out, err := r.QueryAudit(ctx, in)
		r.check(err)
		pages = append(pages, events(out))
		if in.After = out.After; in.After == nil {
			break
		}
		r.note(account, fmt.Sprint("N", len(pages))) // the trail grows meanwhile
		if len(pages) > 9 {
			t.Fatal("no end")
		}
	}
	if got := strings.Join(pages, "|"); !strings.HasPrefix(got, "A B|C D|E N1|") || strings.Count(got, "N1") != 1 {
		t.Errorf("pages %s", got)
	}
	for _, bad := range []string{"search:x", "search:-1", "x", "99"} {
		_, err := r.QueryAudit(ctx, &bastide.QueryAuditInput{After: &bad})
		r.fails(err, "InvalidRequestException")
	}
	out, err := r.as(other).QueryAudit(ctx, &bastide.QueryAuditInput{})
	r.check(err)
	if got := events(out); got != "F G" {
		t.Errorf("the other account sees %s", got)
	}
}

// TestFollow: who follows gets each record of its account once, as it comes.
func TestFollow(t *testing.T) {
	r := newRig(t)
	first, err := r.QueryAudit(t.Context(), &bastide.QueryAuditInput{Newest: new(true), MaxResults: new(int32(1))})
	r.check(err)
	if first.After == nil {
		t.Fatal("no position to follow from")
	}
	add := func(account, name string) {
		r.live.add(audit.Record{EventSource: "test.amazonaws.com", EventName: name, RequestID: "id-" + name, RecipientAccountID: account})
	}
	add(account, "A")
	add(other, "X")
	r.live.add(audit.Record{EventSource: bastide.Service.EventSource, EventName: "QueryAudit", RecipientAccountID: account})
	add(account, "B")
	out, err := r.QueryAudit(t.Context(), &bastide.QueryAuditInput{After: first.After})
	r.check(err)
	if got := events(out); got != "A B" {
		t.Errorf("followed %s", got)
	}
	waited := make(chan string)
	go func() {
		next, err := r.QueryAudit(t.Context(), &bastide.QueryAuditInput{After: out.After})
		if err != nil {
			waited <- err.Error()
			return
		}
		waited <- events(next)
	}()
	add(account, "C") // before or while the question waits
	if got := <-waited; got != "C" {
		t.Errorf("waited for %s", got)
	}
	for range liveWindow + 1 {
		add(account, "D")
	}
	_, err = r.QueryAudit(t.Context(), &bastide.QueryAuditInput{After: out.After})
	r.fails(err, "InvalidRequestException")
	ctx, gone := context.WithCancel(t.Context())
	gone()
	if _, err := r.QueryAudit(ctx, &bastide.QueryAuditInput{After: new(r.live.now())}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a follower who goes away: %v", err)
	}
}

// TestLiveFills the window from the real trail while somebody follows.
func TestLiveFills(t *testing.T) {
	r := newRig(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.live.Run(ctx, r.trail, r.clock) }()
	position := r.live.now()
	r.live.ask(r.clock.Now())
	for { // the window fills from when the follower has been heard on
		r.note(account, "A")
		if r.live.now() != position {
			break
		}
	}
	records, _, err := r.live.after(position, 10)
	if err != nil || len(records) == 0 || records[0].EventName != "A" {
		t.Errorf("the window has %+v (%v)", records, err)
	}
	stop()
	r.check(<-done)
}

// TestProof: the trail is intact until somebody touches it, and an exported head shows a rewritten
// one.
func TestProof(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.note(account, "A", "B")
	r.check(r.trail.Seal(ctx))
	head, err := r.GetAuditHead(ctx, &bastide.GetAuditHeadInput{})
	r.check(err)
	out, err := r.VerifyAudit(ctx, &bastide.VerifyAuditInput{Head: head.Head})
	r.check(err)
	if !*out.Intact || len(out.Faults) != 0 || *out.Records < 2 {
		t.Errorf("proof %+v", out)
	}
	forged := strings.Replace(*head.Head, `"records":`, `"records":9`, 1)
	out, err = r.VerifyAudit(ctx, &bastide.VerifyAuditInput{Head: &forged})
	r.check(err)
	if *out.Intact || len(out.Faults) == 0 {
		t.Errorf("with a head that was never signed: %+v", out)
	}
	_, err = r.VerifyAudit(ctx, &bastide.VerifyAuditInput{Head: new("no head")})
	r.fails(err, "InvalidRequestException")
	fresh := newRig(t)
	_, err = fresh.GetAuditHead(ctx, &bastide.GetAuditHeadInput{})
	fresh.fails(err, "NotFoundException")
}

// TestExplain finds a refusal at once, with its explanation, for its own account only.
func TestExplain(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	allowed := r.policy
	r.policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	_, err := r.GetStatus(ctx, &bastide.GetStatusInput{})
	if err == nil {
		t.Fatal("allowed")
	}
	r.policy = allowed
	found, err := r.QueryAudit(ctx, &bastide.QueryAuditInput{Denied: new(true)})
	r.check(err)
	if len(found.Records) == 0 { // not yet durable: explaining makes it so
		r.check(r.trail.Flush(ctx))
		found, err = r.QueryAudit(ctx, &bastide.QueryAuditInput{Denied: new(true)})
		r.check(err)
	}
	id := found.Records[0].RequestId
	out, err := r.ExplainRequest(ctx, &bastide.ExplainRequestInput{RequestId: *id})
	r.check(err)
	if out.Explanation == nil || !strings.Contains(*out.Explanation, "bastide:GetStatus") || !strings.Contains(*out.Record, "GetStatus") {
		t.Errorf("explained %+v", out)
	}
	_, err = r.as(other).ExplainRequest(ctx, &bastide.ExplainRequestInput{RequestId: *id})
	r.fails(err, "NotFoundException")
	r.note(account, "A")
	plain, err := r.ExplainRequest(ctx, &bastide.ExplainRequestInput{RequestId: "id-A"})
	r.check(err)
	if plain.Explanation != nil {
		t.Errorf("a call that was allowed has the explanation %s", *plain.Explanation)
	}
}

func TestRoutes(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.routes = []Route{{Name: "api GET /open", Authorization: "NONE", URL: "http://x"}, {Name: "api GET /closed", Authorization: "JWT"}}
	open := Acknowledged{DB: r.db}
	is := func(account, route string) bool {
		ok, err := open.Acknowledged(ctx, account, route)
		r.check(err)
		return ok
	}
	if is(account, "api GET /open") {
		t.Error("open before it was acknowledged")
	}
	out, err := r.AcknowledgeRoute(ctx, &bastide.AcknowledgeRouteInput{Route: "api GET /open", Reason: new("a probe")})
	r.check(err)
	if !*out.Route.Acknowledged || *out.Route.By != "arn:aws:iam::123456789012:user/ann" || *out.Route.Reason != "a probe" {
		t.Errorf("acknowledged %+v", out.Route)
	}
	if !is(account, "api GET /open") || is(other, "api GET /open") || is(account, "api GET /closed") {
		t.Error("another than the acknowledged route is open, or that is not")
	}
	_, err = r.AcknowledgeRoute(ctx, &bastide.AcknowledgeRouteInput{Route: "api GET /none"})
	r.fails(err, "NotFoundException")
	_, err = r.AcknowledgeRoute(ctx, &bastide.AcknowledgeRouteInput{Route: "api GET /closed"})
	r.fails(err, "InvalidRequestException")
	list, err := r.ListRoutes(ctx, &bastide.ListRoutesInput{})
	r.check(err)
	if len(list.Routes) != 2 || !*list.Routes[0].Acknowledged || *list.Routes[1].Acknowledged {
		t.Errorf("routes %+v", list.Routes)
	}
	_, err = r.RevokeAcknowledgement(ctx, &bastide.RevokeAcknowledgementInput{Route: "api GET /open"})
	r.check(err)
	if is(account, "api GET /open") {
		t.Error("open after it was revoked")
	}
	_, err = r.RevokeAcknowledgement(ctx, &bastide.RevokeAcknowledgementInput{Route: "api GET /open"})
	r.fails(err, "NotFoundException")
}

// TestBackups stream; one that breaks off is cut, not ended as if it were whole, and a reader who
// goes away ends it.
func TestBackups(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.backup = func(ctx context.Context, w io.Writer) error { return r.db.Backup(ctx, w, nil) }
	out, err := r.CreateBackup(ctx, &bastide.CreateBackupInput{})
	r.check(err)
	b, err := io.ReadAll(out.Body)
	r.check(err)
	r.check(out.Body.Close())
	dir := t.TempDir() + "/restored"
	r.check(store.Restore(ctx, dir, bytes.NewReader(b)))
	r.backup = func(_ context.Context, w io.Writer) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		return errors.New("the disk failed")
	}
	out, err = r.CreateBackup(ctx, &bastide.CreateBackupInput{})
	r.check(err)
	if b, err := io.ReadAll(out.Body); err == nil {
		t.Errorf("a broken backup ended as if it were whole: %q", b)
	}
	ended := make(chan error, 1)
	r.backup = func(ctx context.Context, w io.Writer) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	out, err = r.CreateBackup(ctx, &bastide.CreateBackupInput{})
	r.check(err)
	r.check(out.Body.Close())
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the backup ended with %v", err)
	}
}

// TestFunctionProfiles: all of the caller's region, or one, or that there is none of the name.
func TestFunctionProfiles(t *testing.T) {
	r := newRig(t)
	out, err := r.ListFunctionProfiles(t.Context(), &bastide.ListFunctionProfilesInput{})
	r.check(err)
	if len(out.Profiles) != 1 || *out.Profiles[0].FunctionName != "f" || *out.Profiles[0].Mode != "eu-west-1" {
		t.Errorf("%+v", out.Profiles)
	}
	_, err = r.ListFunctionProfiles(t.Context(), &bastide.ListFunctionProfilesInput{FunctionName: new("none")})
	r.fails(err, "NotFoundException")
}
