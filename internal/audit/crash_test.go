package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

// The crash suites run a child, this test binary again, that writes and acknowledges until it is
// killed or its disk "loses power", and then hold what is left in its directory against what it
// acknowledged. They stand here because the trail is the room above the store, so that one suite
// holds both: rows, blobs and records.
const (
	childDir  = "BASTIDE_CRASH_CHILD" // the child's data directory
	childMode = "BASTIDE_CRASH_MODE"  // "" until killed, "finite" for a short run, "early" for the bug
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(context.Background(), dir, os.Getenv(childMode)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// triple is one part of a unit of work: three rows that are written, and later deleted, together.
type triple struct {
	Pad  []byte
	Blob *blob.Ref
}

const (
	workers = 3
	window  = 6 // a unit's transaction deletes the unit that lies so far back
	parts   = 3
)

func work() store.Table[triple] { return store.NewTable[triple]("work", "units") }

func crashKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

func openTrail(ctx context.Context, dir string) (*store.DB, *audit.Trail, error) {
	db, err := store.Open(ctx, store.Options{Dir: dir, Reserve: 1})
	if err != nil {
		return nil, nil, err
	}
	trail, err := audit.New(db, audit.Options{Node: "n", Key: crashKey(), SealRecords: 8, SegmentRecords: 24})
	return db, trail, err
}

// child works in dir until it is killed, or for a few units with reopening in between.
func child(ctx context.Context, dir, mode string) error {
	sessions, units := 1, 1<<30
	if mode == "finite" {
		sessions, units = 3, 12
	}
	for range sessions {
		db, trail, err := openTrail(ctx, dir)
		if err != nil {
			return err
		}
		say("ready")
		var wg sync.WaitGroup
		errs := make(chan error, workers+1)
		for w := range workers {
			wg.Go(func() { errs <- runWorker(ctx, db, trail, w, units, mode == "early") })
		}
		stop := make(chan struct{})
		var keeper sync.WaitGroup
		keeper.Go(func() { errs <- keep(ctx, trail, stop) })
		wg.Wait()
		close(stop)
		keeper.Wait()
		for range workers + 1 {
			err = errors.Join(err, <-errs)
		}
		if err = errors.Join(err, trail.Close(ctx), db.Close()); err != nil {
			return err
		}
	}
	return nil
}

// say writes one line in one system call, so that the parent never sees half of one.
func say(format string, args ...any) { os.Stdout.WriteString(fmt.Sprintf(format, args...) + "\n") }

func runWorker(ctx context.Context, db *store.DB, trail *audit.Trail, w, units int, early bool) error {
	next := 0
	err := db.View(ctx, store.In("work"), func(tx *store.Tx) error {
		next = 0
		for e, err := range work().Scan(tx, store.K(w), store.Range{Reverse: true, Limit: 1}) {
			next = int(e.Key.Int(1)) + 1
			return err
		}
		return nil
	})
	for i := next; err == nil && i < next+units; i++ {
		var ref *blob.Ref
		if i%3 == 0 {
			r, err := db.Blobs().Put(ctx, bytes.NewReader(body(w, i)), -1)
			if err != nil {
				return err
			}
			ref = &r
		}
		if early {
			say("ack %d %d", w, i)
		}
		if err = unit(ctx, db, trail, w, i, ref); err == nil && !early {
			say("ack %d %d", w, i)
		}
		for n := 0; err == nil && n < (i+w)%5; n++ { // as many in a row as come between two heads
			err = trail.Note(ctx, audit.Record{EventName: noted, RequestID: fmt.Sprintf("note-%d-%d-%d", w, i, n)})
		}
	}
	return err
}

func pad(w, i, n int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%d.%d,", w, i), 1+n*((i*7+w)%5)/20)
}

// noted is the event of records that tell of no change. An exported head promises those before it.
const noted = "Noted"

// body is a blob's content: by turns one that stays in a row, and one that goes to a file.
func body(w, i int) []byte {
	b := pad(w, i, 9000)
	if i%2 == 0 {
		return b
	}
	return append(b, bytes.Repeat([]byte{byte(i)}, 66_000)...)
}

func unit(ctx context.Context, db *store.DB, trail *audit.Trail, w, i int, ref *blob.Ref) error {
	return db.Update(ctx, store.In("work", audit.Space), func(tx *store.Tx) error {
		for p := range parts {
			t := triple{Pad: pad(w, i, 3000)}
			if p == 0 {
				t.Blob = ref
			}
			if err := work().Put(tx, store.K(w, i, p), t); err != nil {
				return err
			}
			old, ok, err := work().Get(tx, store.K(w, i-window, p))
			if err != nil {
				return err
			}
			if ok && old.Blob != nil {
				if err := db.Blobs().Drop(tx, old.Blob.ID); err != nil {
					return err
				}
			}
			if _, err := work().Delete(tx, store.K(w, i-window, p)); err != nil {
				return err
			}
		}
		if ref != nil {
			if err := db.Blobs().Keep(tx, *ref); err != nil {
				return err
			}
		}
		return trail.Append(tx, audit.Record{EventName: "Unit", RequestID: fmt.Sprintf("%d-%d", w, i)})
	})
}

// keep seals, exports heads and compacts, over and over.
func keep(ctx context.Context, trail *audit.Trail, stop <-chan struct{}) error {
	for n := 1; ; n++ {
		select {
		case <-stop:
			return nil
		case <-time.After(5 * time.Millisecond): // the pace of the load, not a wait for anything
		}
		h, ok, err := trail.Head(ctx)
		if err != nil {
			return err
		}
		if ok {
			line, err := json.Marshal(h)
			if err != nil {
				return err
			}
			say("head %s", line)
		}
		if n%4 == 0 {
			if err := trail.Compact(ctx); err != nil {
				return err
			}
		}
	}
}

// promise is what a child has acknowledged.
type promise struct {
	acked [workers]int // the last unit, -1 for none
	head  *audit.Head  // the last exported head
}

func newPromise() *promise {
	p := &promise{}
	for w := range p.acked {
		p.acked[w] = -1
	}
	return p
}

func (p *promise) hear(line string) error {
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch verb {
	case "ack":
		a, b, _ := strings.Cut(rest, " ")
		w, err1 := strconv.Atoi(a)
		i, err2 := strconv.Atoi(b)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		p.acked[w] = max(p.acked[w], i)
	case "head":
		p.head = new(audit.Head)
		return json.Unmarshal([]byte(rest), p.head)
	}
	return nil
}

// keptIn opens what is left in dir and returns an error naming the first promise that is broken.
func (p *promise) keptIn(ctx context.Context, dir string) (err error) {
	db, trail, err := openTrail(ctx, dir)
	if err != nil {
		return fmt.Errorf("does not open: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Check(ctx); err != nil {
		return err
	}
	var heads []audit.Head
	if p.head != nil {
		heads = append(heads, *p.head)
	}
	r, err := trail.Verify(ctx, heads...)
	if err != nil {
		return err
	}
	if !r.OK() {
		return fmt.Errorf("the trail does not verify: %v", r.Problems)
	}
	recorded, notes := map[string]int{}, map[string]bool{}
	for r, err := range trail.Query(ctx, audit.Filter{}) {
		if err != nil {
			return err
		}
		if r.EventName == noted {
			if notes[r.RequestID] {
				return fmt.Errorf("%s is there twice", r.RequestID)
			}
			notes[r.RequestID] = true
			continue
		}
		recorded[r.RequestID]++
	}
	if all := int64(len(notes) + len(recorded)); p.head != nil && all < p.head.Records {
		return fmt.Errorf("%d records, the exported head promises %d", all, p.head.Records)
	}
	total := 0
	for w := range workers {
		n, err := p.worker(ctx, db, w, recorded)
		if err != nil {
			return fmt.Errorf("worker %d: %w", w, err)
		}
		total += n
	}
	if total != len(recorded) {
		return fmt.Errorf("%d records for %d units", len(recorded), total)
	}
	return nil
}

// worker checks one worker's rows, blobs and records, and returns how many units it has done.
func (p *promise) worker(ctx context.Context, db *store.DB, w int, recorded map[string]int) (int, error) {
	have := map[int]int{}
	last := -1
	var refs []blob.Ref
	err := db.View(ctx, store.In("work"), func(tx *store.Tx) error {
		clear(have)
		refs = nil
		for e, err := range work().Scan(tx, store.K(w), store.Range{}) {
			if err != nil {
				return err
			}
			i := int(e.Key.Int(1))
			have[i]++
			last = max(last, i)
			if !bytes.Equal(e.Value.Pad, pad(w, i, 3000)) {
				return fmt.Errorf("unit %d has another's content", i)
			}
			if e.Value.Blob != nil {
				refs = append(refs, *e.Value.Blob)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if last < p.acked[w] {
		return 0, fmt.Errorf("unit %d was acknowledged and %d is the last", p.acked[w], last)
	}
	for i := 0; i <= last; i++ {
		want := parts
		if i <= last-window {
			want = 0
		}
		if have[i] != want {
			return 0, fmt.Errorf("unit %d of %d has %d parts, not %d", i, last, have[i], want)
		}
		if n := recorded[fmt.Sprintf("%d-%d", w, i)]; n != 1 {
			return 0, fmt.Errorf("unit %d has %d records", i, n)
		}
	}
	for _, ref := range refs {
		if err := db.Blobs().Verify(ctx, ref); err != nil {
			return 0, fmt.Errorf("blob %s: %w", ref.ID, err)
		}
	}
	return last + 1, nil
}

// startChild runs the child on dir. Its lines come through the pipe.
func startChild(t *testing.T, dir, mode string) (*exec.Cmd, io.ReadCloser) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+mode)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// killRound runs a child and kills it after some time: counted from its start, or from the moment
// it was ready, so that both opening and working are hit.
func killRound(t *testing.T, dir, mode string, p *promise, after time.Duration, fromStart bool) {
	t.Helper()
	cmd, out := startChild(t, dir, mode)
	kill := func() { time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) } // it may have ended by itself
	if fromStart {
		kill()
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if lines.Text() == "ready" && !fromStart {
			kill()
		}
		if err := p.hear(lines.Text()); err != nil {
			t.Fatal(err)
		}
	}
	err := cmd.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
}

// TestSIGKILL kills a writing process at random moments. BASTIDE_SOAK=1 makes it ten times as many.
func TestSIGKILL(t *testing.T) {
	rounds := 200
	if os.Getenv("BASTIDE_SOAK") != "" {
		rounds *= 10
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	dir, p, units := "", newPromise(), 0
	for round := range rounds {
		if round%20 == 0 { // the same directory for a while, so that recoveries follow on recoveries
			dir, p = filepath.Join(t.TempDir(), "data"), newPromise()
		}
		after := time.Duration(rnd.IntN(40_000)) * time.Microsecond
		killRound(t, dir, "", p, after, round%4 == 3)
		if err := p.keptIn(t.Context(), dir); err != nil {
			t.Fatalf("round %d, killed after %v: %v", round, after, err)
		}
		if round%20 == 19 {
			for _, n := range p.acked {
				units += n + 1
			}
		}
	}
	t.Logf("%d kills, %d acknowledged units", rounds, units)
	if units < rounds/4 {
		t.Fatalf("only %d units were acknowledged in %d rounds: the suite did not test much", units, rounds)
	}
}

// TestSIGKILLFindsEarlyAcknowledgement shows that the suite can fail: a child that acknowledges
// before its commit must be caught.
func TestSIGKILLFindsEarlyAcknowledgement(t *testing.T) {
	for range 60 {
		dir, p := filepath.Join(t.TempDir(), "data"), newPromise()
		killRound(t, dir, "early", p, 15*time.Millisecond, false)
		if err := p.keptIn(t.Context(), dir); err != nil {
			if !strings.Contains(err.Error(), "was acknowledged") {
				t.Fatalf("found something else: %v", err)
			}
			return
		}
	}
	t.Fatal("60 children that acknowledge before they commit were not caught")
}
