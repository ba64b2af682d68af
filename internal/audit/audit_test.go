package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/store"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 6_000_000, time.UTC)

type fixture struct {
	*testing.T
	db    *store.DB
	clk   *clock.Manual
	trail *Trail
}

func testKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func setup(t *testing.T, opt Options) *fixture {
	t.Helper()
	clk := clock.NewManual(start)
	db, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(t.TempDir(), "data"), Clock: clk, RunTwice: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	opt.Node, opt.Key = "n1", testKey(1)
	if opt.SealRecords == 0 {
		opt.SealRecords = 10
	}
	trail, err := New(db, opt)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{t, db, clk, trail}
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func record(i int) Record {
	r := Record{
		EventSource: "dynamodb.amazonaws.com", EventName: "PutItem", AWSRegion: "eu-west-1", SourceIPAddress: fmt.Sprintf("10.0.0.%d", i%7),
		RequestID: fmt.Sprintf("req-%04d", i), RecipientAccountID: "123456789012",
		UserIdentity: UserIdentity{Type: "IAMUser", ARN: fmt.Sprintf("arn:aws:iam::123456789012:user/u%d", i%3), UserName: fmt.Sprintf("u%d", i%3)},
		Resources:    []Resource{{ARN: fmt.Sprintf("arn:aws:dynamodb:eu-west-1:123456789012:table/t%d", i%5), Type: "AWS::DynamoDB::Table"}},
	}
	if i%4 == 0 {
		r.ErrorCode = "AccessDenied"
	}
	return r
}

// write appends records from..to, one transaction and one second each.
func (f *fixture) write(from, to int) {
	f.Helper()
	for i := from; i <= to; i++ {
		f.ok(f.db.Update(f.Context(), store.In(Space), func(tx *store.Tx) error { return f.trail.Append(tx, record(i)) }))
		f.clk.Advance(time.Second)
	}
}

func (f *fixture) report(heads ...Head) Report {
	f.Helper()
	r, err := f.trail.Verify(f.Context(), heads...)
	f.ok(err)
	return r
}

func (f *fixture) head() Head {
	f.Helper()
	h, ok, err := f.trail.Head(f.Context())
	f.ok(err)
	if !ok {
		f.Fatal("no head")
	}
	return h
}

func (f *fixture) collect(seq iter.Seq2[Record, error]) (ids []string) {
	f.Helper()
	for r, err := range seq {
		f.ok(err)
		ids = append(ids, strings.TrimPrefix(r.RequestID, "req-"))
	}
	return ids
}

func (f *fixture) rows() (out []entry) {
	f.Helper()
	out, _, err := f.trail.page(f.Context(), span{Head: Head{Node: "n1", Seq: maxSeq}}, minSeq)
	f.ok(err)
	return out
}

func TestAppendIsPartOfItsTransaction(t *testing.T) {
	f := setup(t, Options{})
	no := errors.New("no")
	err := f.db.Update(t.Context(), store.In(Space), func(tx *store.Tx) error {
		return errors.Join(f.trail.Append(tx, record(1)), no)
	})
	if !errors.Is(err, no) || len(f.rows()) != 0 {
		t.Fatalf("%v; %d records are there", err, len(f.rows()))
	}
	f.write(2, 2)
	var r Record
	f.ok(json.Unmarshal(f.rows()[0].raw, &r))
	if r.EventVersion != "1.11" || r.EventType != "AwsApiCall" || len(r.EventID) != 36 || !r.EventTime.Equal(start) || r.EventCategory != "Data" {
		t.Fatalf("filled in: %+v", r)
	}
	if !strings.Contains(string(f.rows()[0].raw), `"requestParameters":null`) {
		t.Fatalf("absent parameters are null in CloudTrail: %s", f.rows()[0].raw)
	}
}

func TestNotesAreNeverDropped(t *testing.T) {
	f := setup(t, Options{Buffer: 8})
	ctx := f.Context()
	for i := range 8 {
		f.ok(f.trail.Note(ctx, record(i)))
	}
	waiting := make(chan error)
	go func() { waiting <- f.trail.Note(ctx, record(8)) }() // waits for room
	f.ok(f.trail.Flush(ctx))
	f.ok(<-waiting)
	f.ok(f.trail.Close(ctx))
	if err := f.trail.Note(ctx, record(9)); !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	if got := f.collect(f.trail.Query(ctx, Filter{})); len(got) != 9 {
		t.Fatalf("%d records: %v", len(got), got)
	}
	if r := f.report(); !r.OK() || r.Nodes[0].Sealed != 9 || r.Nodes[0].Unsealed != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	f := setup(t, Options{})
	for i := range 10_000 {
		f.trail.CountRefusal(fmt.Sprintf("10.0.%d.%d", i/1000, i%250), "InvalidSignature")
	}
	f.clk.Advance(time.Second)
	f.trail.CountRefusal("10.0.0.1", "Malformed")
	f.ok(f.trail.FlushRefusals(f.Context()))
	total, n := 0, 0
	for r, err := range f.trail.Query(f.Context(), Filter{EventName: "RefuseRequest"}) {
		f.ok(err)
		count, _ := r.Additional[CountKey].(float64)
		total += int(count)
		n++
	}
	if total != 10_001 || n > maxSources+2 {
		t.Fatalf("%d refusals counted in %d records", total, n)
	}
}

func TestQuery(t *testing.T) {
	f := setup(t, Options{SegmentRecords: 30})
	check := func(stage string) {
		t.Helper()
		for name, c := range map[string]struct {
			f    Filter
			n    int
			ends string // first and last request
		}{
			"all":        {Filter{}, 95, "0001 0095"},
			"newest":     {Filter{Newest: true, Limit: 50}, 50, "0095 0046"},
			"all newest": {Filter{Newest: true}, 95, "0095 0001"},
			"limit":      {Filter{Limit: 7}, 7, "0001 0007"},
			"user":       {Filter{Principal: "u1"}, 32, "0001 0094"},
			"arn":        {Filter{Principal: "arn:aws:iam::123456789012:user/u2"}, 32, "0002 0095"},
			"denied":     {Filter{ErrorCode: "AccessDenied"}, 23, "0004 0092"},
			"any error":  {Filter{ErrorCode: "*", Newest: true}, 23, "0092 0004"},
			"resource":   {Filter{Resource: "arn:aws:dynamodb:eu-west-1:123456789012:table/t3"}, 19, "0003 0093"},
			"resources":  {Filter{Resource: "arn:aws:dynamodb:*", Limit: 2}, 2, "0001 0002"},
			"address":    {Filter{SourceIP: "10.0.0.2"}, 14, "0002 0093"},
			"network":    {Filter{SourceIP: "10.0.0.4/30"}, 40, "0004 0095"},
			"time":       {Filter{From: start.Add(20 * time.Second), To: start.Add(60 * time.Second)}, 40, "0021 0060"},
			"request":    {Filter{RequestID: "req-0017"}, 1, "0017 0017"},
			"tail":       {Filter{RequestID: "req-0095"}, 1, "0095 0095"},
			"unknown":    {Filter{RequestID: "req-9999"}, 0, ""},
			"name":       {Filter{EventName: "GetItem"}, 0, ""},
		} {
			got := f.collect(f.trail.Query(f.Context(), c.f))
			ends := ""
			if len(got) > 0 {
				ends = got[0] + " " + got[len(got)-1]
			}
			if len(got) != c.n || ends != c.ends {
				t.Errorf("%s, %s: %d records, %q; want %d, %q", stage, name, len(got), ends, c.n, c.ends)
			}
		}
	}
	f.write(1, 90)
	f.ok(f.trail.Seal(f.Context()))
	f.write(91, 95)
	check("rows")
	f.ok(f.trail.Compact(f.Context()))
	if n := len(f.rows()); n != 5 {
		t.Fatalf("%d rows are left", n)
	}
	check("files")
	f.ok(f.trail.Seal(f.Context()))
	check("sealed")
	if r := f.report(); !r.OK() || r.Nodes[0].Sealed != 95 {
		t.Fatalf("%+v", r)
	}
}

func TestTail(t *testing.T) {
	f := setup(t, Options{})
	f.write(1, 3)
	next, stop := iter.Pull2(f.trail.Tail(f.Context(), Filter{Principal: "u1"}))
	defer stop()
	// The tail begins when it is first asked, so records are written until it answers.
	got := make(chan string, 1)
	go func() {
		r, err, _ := next()
		if err != nil {
			t.Error(err)
		}
		got <- r.RequestID
	}()
	for i := 13; ; i += 3 {
		select {
		case id := <-got:
			if id < "req-0010" {
				t.Fatalf("an old record: %s", id)
			}
			return
		default:
			f.ok(f.db.Update(f.Context(), store.In(Space), func(tx *store.Tx) error { return f.trail.Append(tx, record(i)) }))
		}
	}
}

func TestRetention(t *testing.T) {
	f := setup(t, Options{SegmentRecords: 20, KeepAge: time.Minute})
	f.write(1, 30)
	early := f.head()
	f.write(31, 100)
	before := f.head()
	f.ok(f.trail.Compact(f.Context()))
	f.ok(f.trail.Retain(f.Context()))
	got := f.collect(f.trail.Query(f.Context(), Filter{}))
	if len(got) != 60 || got[0] != "0041" {
		t.Fatalf("%d records from %v", len(got), got[0])
	}
	if got := f.collect(f.trail.Query(f.Context(), Filter{Newest: true})); len(got) != 60 {
		t.Fatalf("%d records back", len(got))
	}
	if got := f.collect(f.trail.Query(f.Context(), Filter{RequestID: "req-0005"})); len(got) != 0 {
		t.Fatal("a removed record is found")
	}
	if r := f.report(before); !r.OK() || r.Nodes[0].From != 41 {
		t.Fatalf("%+v", r)
	}
	if r := f.report(early); r.OK() || !strings.Contains(r.Problems[0].What, "retention") {
		t.Fatalf("%+v", r)
	}
	f.write(101, 110)
	if h := f.head(); h.Records != 110 {
		t.Fatalf("head at %d", h.Records)
	}
	// Somebody without the key removes more than retention did.
	f.ok(f.db.Update(f.Context(), store.In(Space), func(tx *store.Tx) error {
		_, err := deleteRange(tx, segments(), store.Range{Limit: 1}, "n1")
		return err
	}))
	if r := f.report(); r.OK() {
		t.Fatal("a removed segment was not noticed")
	}
}

func TestRecordStaysInItsBounds(t *testing.T) {
	f := setup(t, Options{})
	r := record(1)
	r.UserAgent = strings.Repeat("a", 300<<10)
	f.ok(f.db.Update(f.Context(), store.In(Space), func(tx *store.Tx) error { return f.trail.Append(tx, r) }))
	if n := len(f.rows()[0].raw); n > maxRecord {
		t.Fatalf("a record of %d bytes", n)
	}
}

func TestStampIsTheRecordsOwn(t *testing.T) {
	f := setup(t, Options{})
	for _, id := range []string{"r\"x\\", "", "req<1>"} {
		r := record(1)
		r.RequestID = id
		r.UserIdentity.ARN = `"requestID":"forged"`
		r.UserAgent = `"eventTime":"2001-01-01T00:00:00Z"`
		r.RequestParameters = json.RawMessage(`{"requestID":"forged","eventTime":"2001-01-01T00:00:00Z"}`)
		raw, err := f.trail.encode(&r, start)
		f.ok(err)
		if s := readStamp(raw); s.RequestID != id || !s.EventTime.Equal(start) {
			t.Errorf("%q: got %+v from %s", id, s, raw)
		}
	}
}

func FuzzSegment(f *testing.F) {
	var b bytes.Buffer
	z := newGzip(&b)
	fmt.Fprintln(z, `{"seq":1,"record":{"a":1}}`)
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		err := decodeSegment(bytes.NewReader(in), 5, func(entry) (bool, error) { n++; return true, nil })
		if n > 5 {
			t.Fatalf("%d records of at most 5: %v", n, err)
		}
	})
}
