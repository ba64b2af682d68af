package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

// Space is the trail's tables, to be in the scope of every transaction that appends.
const Space = "audit"

// ErrClosed: the trail takes no more records.
var ErrClosed = errors.New("audit: closed")

// Options say how a trail is kept. Node and Key are required.
type Options struct {
	// Node names the chain that this process writes; it is the same at every start.
	Node string
	// Key signs the chain's heads.
	Key ed25519.PrivateKey
	// SealRecords and SealAfter say when a head is signed: 1,000 records or 1 s by default.
	SealRecords int
	SealAfter   time.Duration
	// SegmentRecords and SegmentAfter say when sealed records move to a file: 10,000 records or an
	// hour by default.
	SegmentRecords int
	SegmentAfter   time.Duration
	// KeepAge and KeepBytes bound what is kept in files; zero keeps everything.
	KeepAge   time.Duration
	KeepBytes int64
	// Buffer bounds the noted records that are not yet durable; 4,096 by default. Note waits for room.
	Buffer int
	// Account is whose record the count of refused strangers is: the installation's own.
	Account string
	// IDs makes event ids.
	IDs ids.Source
}

// Trail is one node's way into the trail. It is safe for concurrent use.
type Trail struct {
	db  *store.DB
	opt Options
	pub ed25519.PublicKey

	notes   chan Record
	wake    chan struct{}
	awake   atomic.Bool // Run knows that something was noted
	done    chan struct{}
	noting  sync.RWMutex // read-held by Note, so that Close can wait for those under way
	closing sync.Once

	flushing sync.Mutex
	pending  []Record // taken from notes and not yet written; under flushing

	sealing sync.Mutex // one sealer, segmenter or keeper at a time

	refusals refusals
}

// records are the events as they were encoded, by node and sequence number, which is the order of
// their commits; a row may hold several (see batch). Everything of the trail may use the disk
// reserve: a delete needs its record.
func records() store.Table[[]byte] { return store.NewTable[[]byte](Space, "records").UseReserve() }

type keyRow struct {
	Public []byte `json:"public"`
	Seed   []byte `json:"seed"` // sealed
}

func keyRows() store.Table[keyRow] { return store.NewTable[keyRow](Space, "keys").UseReserve() }

// LoadKey gives the key that signs node's heads: made at first use, kept sealed in the database.
func LoadKey(ctx context.Context, db *store.DB, s *sealing.Sealer, node string) (ed25519.PrivateKey, error) {
	var key ed25519.PrivateKey
	aad := []byte("audit key " + node)
	err := db.Update(ctx, store.In(Space), func(tx *store.Tx) error {
		row, ok, err := keyRows().Get(tx, store.K(node))
		if err != nil {
			return err
		}
		if ok {
			seed, err := s.Open(tx, aad, row.Seed)
			if err != nil {
				return err
			}
			if len(seed) != ed25519.SeedSize {
				return sealing.ErrCannotOpen
			}
			key = ed25519.NewKeyFromSeed(seed)
			return nil
		}
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		sealed, err := s.Seal(tx, sealing.Scope{Resource: "audit/" + node}, aad, priv.Seed())
		if err != nil {
			return err
		}
		key = priv
		return keyRows().Put(tx, store.K(node), keyRow{Public: pub, Seed: sealed})
	})
	if err != nil {
		return nil, fmt.Errorf("audit: signing key: %w", err)
	}
	return key, nil
}

// New makes the trail of db. Run seals it; until Run is called nothing happens in the background.
func New(db *store.DB, opt Options) (*Trail, error) {
	if opt.Node == "" || len(opt.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("audit: a trail needs a node and a key")
	}
	setDefault(&opt.SealRecords, 1000)
	setDefault(&opt.SealAfter, time.Second)
	setDefault(&opt.SegmentRecords, 10_000)
	setDefault(&opt.SegmentAfter, time.Hour)
	setDefault(&opt.Buffer, 4096)
	pub, _ := opt.Key.Public().(ed25519.PublicKey)
	return &Trail{db: db, opt: opt, pub: pub, notes: make(chan Record, opt.Buffer),
		wake: make(chan struct{}, 1), done: make(chan struct{})}, nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Append writes a record in tx, whose scope includes Space: it exists if and only if the rest of
// the transaction does.
func (t *Trail) Append(tx *store.Tx, r Record) error {
	raw, err := t.encode(&r, tx.Now())
	if err != nil {
		return err
	}
	return records().Put(tx, store.K(t.opt.Node, tx.NextSeq()), raw)
}

func (t *Trail) encode(r *Record, now time.Time) ([]byte, error) {
	if r.EventTime.IsZero() {
		r.EventTime = now
	}
	r.EventTime = r.EventTime.UTC().Truncate(time.Millisecond)
	if r.EventID == "" {
		r.EventID = t.opt.IDs.UUID()
	}
	setDefault(&r.EventVersion, eventVersion)
	setDefault(&r.EventType, "AwsApiCall")
	if r.EventCategory == "" {
		r.EventCategory = "Data"
		if r.ManagementEvent {
			r.EventCategory = "Management"
		}
	}
	raw, err := r.appendJSON(make([]byte, 0, 1024))
	if err == nil && len(raw) > maxRecord {
		// What a caller can make long goes; that the call was made stays.
		r.RequestParameters, r.ResponseElements, r.Additional = nil, nil, nil
		r.ErrorMessage, r.UserAgent = clip(r.ErrorMessage), clip(r.UserAgent)
		if len(r.Resources) > 100 {
			r.Resources = r.Resources[:100]
		}
		raw, err = r.appendJSON(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: record: %w", err)
	}
	return raw, nil
}

func clip(s string) string {
	if len(s) > 1024 {
		return s[:1024]
	}
	return s
}

// Note takes a record of something that changed no state. It is durable within 100 ms of Run's
// time. Note waits while the buffer is full, so that no record is ever dropped; its errors are
// ErrClosed and the context's.
func (t *Trail) Note(ctx context.Context, r Record) error {
	if r.EventTime.IsZero() {
		r.EventTime = t.db.Clock().Now()
	}
	t.noting.RLock()
	defer t.noting.RUnlock()
	select {
	case <-t.done:
		return ErrClosed
	default:
	}
	select {
	case t.notes <- r:
	default:
		t.poke()
		select {
		case t.notes <- r:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.done:
			return ErrClosed
		}
	}
	if !t.awake.Swap(true) || len(t.notes) > flushBatch { // one wake for all that the next flush takes
		t.poke()
	}
	return nil
}

func (t *Trail) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// flushBatch bounds the noted records of one transaction.
const flushBatch = 1024

// Flush makes the records noted so far durable. Records that could not be written are kept for the
// next Flush.
func (t *Trail) Flush(ctx context.Context) error {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	for range t.opt.Buffer/flushBatch + 2 { // as many as were there when it began, about
		for len(t.pending) < flushBatch {
			select {
			case r := <-t.notes:
				t.pending = append(t.pending, r)
				continue
			default:
			}
			break
		}
		if len(t.pending) == 0 {
			return nil
		}
		if err := t.appendAll(ctx, t.pending); err != nil {
			return fmt.Errorf("audit: flush: %w", err)
		}
		clear(t.pending) // what they point to may go
		t.pending = t.pending[:0]
	}
	return nil
}

// appendAll writes noted records in one transaction, several a row. They are encoded before it
// begins: others wait for it.
func (t *Trail) appendAll(ctx context.Context, noted []Record) error {
	raws := make([][]byte, len(noted))
	for i := range noted {
		r := noted[i] // a copy: what encoding fills in is of this attempt
		var err error
		if raws[i], err = t.encode(&r, r.EventTime); err != nil {
			return err
		}
	}
	return t.db.Update(ctx, store.In(Space), func(tx *store.Tx) error {
		var b batch
		for i, raw := range raws {
			b.add(tx.NextSeq(), raw)
			if i < len(raws)-1 && !b.full() {
				continue
			}
			if err := records().Put(tx, store.K(t.opt.Node, b.last), b.row()); err != nil {
				return err
			}
			b = batch{}
		}
		return nil
	})
}

// Close makes everything noted durable, signs a last head and takes no more records. It does not
// wait for Run, which ends when its context does.
func (t *Trail) Close(ctx context.Context) error {
	t.closing.Do(func() { close(t.done) })
	t.noting.Lock() // whoever noted has been let in or has been told ErrClosed
	defer t.noting.Unlock()
	return errors.Join(t.FlushRefusals(ctx), t.Flush(ctx), t.Seal(ctx))
}
