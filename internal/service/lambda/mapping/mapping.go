// Package mapping moves records from an event source to a function: the engine of event source
// mappings. A queue's messages are taken, given to the function in batches and deleted; a stream's
// shards are read in order, each batch again and again until the function has taken it, and where the
// reading stands is kept in a Ledger.
//
// What holds: no record is lost but those that filters drop and those that the mapping's own bounds
// (attempts, age) discard, which are reported. A record may come more than once. Of a shard, records
// with the same key come in their order, and none comes before those ahead of it are taken or
// discarded; of a FIFO queue, the messages of a group. This holds when the process dies at any point,
// and when several processes run the same mapping: who reads what is leased.
//
// The package knows no service: sources, the function and the ledger are interfaces. Source for what
// it does: AWS Lambda Developer Guide, "How Lambda processes records from stream and queue-based event
// sources".
package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/pattern"
)

// MaxEvent bounds the event of one invocation, in bytes: the payload of a synchronous one.
const MaxEvent = 6291456

// Record is one record or message.
type Record struct {
	ID     string    // by which the function reports a failure: a message's id, a record's sequence number
	Handle string    // by which a queue's message is deleted
	Key    string    // what keeps its order: a partition key, a message group; "" in a queue without order
	At     time.Time // of its arrival
	Event  json.RawMessage
	// Seen is what filters see, where it is not the event.
	Seen json.RawMessage
}

// Queue is a source whose messages are taken one by one. What has been received is hidden from other
// receivers for a while and comes again unless it is deleted.
type Queue interface {
	// Receive takes up to n messages; it waits that long for the first one.
	Receive(ctx context.Context, n int, wait time.Duration) ([]Record, error)
	Delete(ctx context.Context, handles []string) error
	// Release lets messages be received again after a while.
	Release(ctx context.Context, handles []string, after time.Duration) error
}

// Stream is a source that is read in order, shard by shard, and keeps its records.
type Stream interface {
	Shards(ctx context.Context) ([]Shard, error)
	// Read reads up to n records; it does not wait for any.
	Read(ctx context.Context, shard string, from Position, n int) (Page, error)
}

// Shard is one sequence of records. Its parents are read to their end before it.
type Shard struct {
	ID      string
	Parents []string
}

// Page is what a Read gives. Next is where the reading goes on, and means the same after a restart;
// End says that nothing will ever come there.
type Page struct {
	Records []Record
	Next    Position
	End     bool
}

// Position is a place in a shard: TrimHorizon, Latest, AtTimestamp with a Time, or After a Sequence.
type Position struct {
	Kind     string
	Sequence string    `json:",omitempty"`
	Time     time.Time `json:",omitzero"`
}

// Kinds of Position.
const (
	TrimHorizon = "TRIM_HORIZON"
	Latest      = "LATEST"
	AtTimestamp = "AT_TIMESTAMP"
	After       = "AFTER_SEQUENCE_NUMBER"
)

// Function is what takes the records.
type Function interface {
	// Invoke gives it an event. An error says that it did not run; ErrThrottled that it had no room.
	Invoke(ctx context.Context, event []byte) (Answer, error)
}

// Answer is a function's: its payload, or its error ("Unhandled") with the payload that describes it.
type Answer struct {
	RequestID string
	Version   string // that ran
	Payload   []byte
	Error     string
}

// ErrThrottled: the function had no room.
var ErrThrottled = errors.New("mapping: throttled")

// Ledger keeps where the shards of a mapping stand, for all processes.
type Ledger interface {
	// Load gives what is kept of each shard.
	Load(ctx context.Context) (map[string]Checkpoint, error)
	// Acquire leases a shard; ok is false while another holds it.
	Acquire(ctx context.Context, shard string, lease time.Duration) (c Checkpoint, token int64, ok bool, err error)
	// Save keeps a checkpoint and prolongs the lease; a lease of 0 gives it back. Error: ErrLost where
	// another has taken the shard.
	Save(ctx context.Context, shard string, token int64, c Checkpoint, lease time.Duration) error
}

// ErrLost: the lease of a shard has gone to another process.
var ErrLost = errors.New("mapping: the shard's lease is lost")

// Checkpoint is where a shard stands. All before Next is taken or discarded.
type Checkpoint struct {
	Next  Position
	Ended bool `json:",omitempty"` // it was read to its end
	// Retries are the batches that have failed, by lane.
	Retries map[int]Retry `json:",omitempty"`
}

// Retry is a batch that has failed: its first record, how often that has failed, and the lengths into
// which the batch was split.
type Retry struct {
	First    string
	Attempts int
	Split    []int
}

// Discarded are records that are given up.
type Discarded struct {
	Shard     string
	Condition string // RetryAttemptsExhausted or RecordAgeExceeded
	Attempts  int
	Records   []Record
	Answer    *Answer // the function's last, nil where there was none
}

// Conditions of Discarded.
const (
	Exhausted = "RetryAttemptsExhausted"
	TooOld    = "RecordAgeExceeded"
)

// Config is a mapping's configuration.
type Config struct {
	BatchSize int
	Window    time.Duration // to wait for a batch to fill
	Filters   []*pattern.Pattern
	// Content names the member of what filters see that is JSON inside a string: "body".
	Content string
	// PartialFailures: the function reports which records failed (ReportBatchItemFailures).
	PartialFailures bool

	Concurrency int  // of a queue: invocations at once
	FIFO        bool // the queue keeps the order of groups

	Start    Position // of a stream's shards
	Bisect   bool
	Retries  int           // -1: until the record is too old
	Age      time.Duration // negative: as long as the stream keeps it
	Parallel int           // batches of one shard at once
}

// Deps are what a mapping works with.
type Deps struct {
	Function Function
	Ledger   Ledger
	Clock    clock.Clock
	// Discard takes note of records that are given up. While it fails they are not.
	Discard func(ctx context.Context, d Discarded) error
	// Report hears how things go: "OK" or a problem, in Lambda's words.
	Report func(result string)
}

// Results, as Lambda words LastProcessingResult.
const (
	OK             = "OK"
	NothingYet     = "No records processed"
	FunctionFailed = "PROBLEM: Function call failed"
	Throttled      = "PROBLEM: Lambda is throttling the function"
	SourceFailed   = "PROBLEM: The event source cannot be read"
)

const (
	leaseFor   = 30 * time.Second
	pollEvery  = time.Second      // a shard that had nothing
	lookEvery  = 10 * time.Second // for new shards, and those of processes that are gone
	longPoll   = 20 * time.Second
	maxBackoff = time.Minute
)

// backoff is how long to wait after n failures in a row.
func backoff(n int) time.Duration { return min(maxBackoff, 250*time.Millisecond<<min(n, 16)) }

// wants reports whether the filters let a record through.
func (c *Config) wants(r Record) bool {
	if len(c.Filters) == 0 {
		return true
	}
	seen := r.Seen
	if seen == nil {
		seen = r.Event
	}
	v, err := pattern.Decode(seen)
	if err != nil {
		return false
	}
	if m, ok := v.(map[string]any); ok && c.Content != "" {
		if s, ok := m[c.Content].(string); ok {
			// A pattern of text sees text, one of an object what the text holds.
			if inner, err := pattern.Decode([]byte(s)); err == nil {
				m[c.Content] = inner
			}
		}
	}
	for _, p := range c.Filters {
		if p.Match(v) {
			return true
		}
	}
	return false
}

const (
	head = `{"Records":[`
	foot = `]}`
)

// fits is how many of the records one event can hold, one at least.
func fits(records []Record, most int) int {
	size := len(head) + len(foot)
	for i, r := range records {
		if size += len(r.Event) + 1; i > 0 && (size > MaxEvent || i >= most) {
			return i
		}
	}
	return len(records)
}

// eventOf is the event of a batch.
func eventOf(records []Record) []byte {
	b := []byte(head)
	for i, r := range records {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r.Event...)
	}
	return append(b, foot...)
}
