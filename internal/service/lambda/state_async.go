package lambda

import (
	"errors"
	"fmt"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
)

// queued is an asynchronous invocation, or the record of one on its way to a destination, as it
// waits in the queue. Its body is a row of its own, which no retry and no lease writes again.
type queued struct {
	reference
	ID            string
	Function      string // its ID: a later function of the same name is another
	RequestID     string
	ClientContext string
	TenantID      string `json:",omitempty"`
	Accepted      time.Time
	Size          int     // of the body, in bytes
	Failures      int     // of the function
	Delays        int     // by throttling, or by trouble of ours
	Lineage       lineage `json:",omitempty"`
	Trace         string  `json:",omitempty"` // header
	// Destination is where the body, an invocation record, goes under Role; "" for an invocation.
	Destination, Role string `json:",omitempty"`

	Due   time.Time // next delivery, or end of the lease
	Lease int64     // names the claim that holds it; 0 for none
}

// lane is whose events wait in one line: those of a function, or those for a destination. One that
// cannot be served holds nobody up but its own.
func (q *queued) lane() string {
	if q.Destination != "" {
		return "to " + q.Destination
	}
	return q.functionKey.arn("")
}

// laneLength is what waits or runs in a lane.
type laneLength struct {
	Events int64
	Bytes  int64
}

// invokeConfig is what a function, version or alias says of its asynchronous invocations; nil and ""
// where it says nothing.
type invokeConfig struct {
	functionKey
	Qualifier string // $LATEST, a version or an alias
	Retries   *int32
	Age       *int32 // seconds
	OnSuccess string
	OnFailure string
	Modified  time.Time
}

// queue are the tables of what is invoked asynchronously.
type queue struct {
	events store.Table[queued]
	bodies store.Table[[]byte]
	lanes  store.Table[laneLength]
	// earlier is where versions before lanes kept events; what is there is taken over.
	earlier store.Outbox
}

const byLane = "lane"

func newQueue() queue {
	return queue{
		events: store.NewTable(space, "events", store.Index[queued]{Name: byLane, Keys: func(q queued) []store.Key {
			return []store.Key{store.K(q.lane(), q.Due.UnixMicro())}
		}}),
		bodies:  store.NewTable[[]byte](space, "eventBodies"),
		lanes:   store.NewTable[laneLength](space, "lanes"),
		earlier: store.NewOutbox(space, "queue"),
	}
}

// errTaken: an event is held by another process's claim, or was delivered by it.
var errTaken = errors.New("lambda: the event's lease is no longer held")

// push adds an event and its body.
func (t *queue) push(tx *store.Tx, q queued, body []byte) error {
	q.ID = fmt.Sprintf("%016x", tx.NextSeq())
	q.Size, q.Lease = len(body), 0
	if q.Due.IsZero() {
		q.Due = tx.Now()
	}
	n, _, err := t.lanes.Get(tx, store.K(q.lane()))
	if err != nil {
		return err
	}
	n.Events++
	n.Bytes += int64(q.Size)
	if err := t.lanes.Put(tx, store.K(q.lane()), n); err != nil {
		return err
	}
	if err := t.bodies.Put(tx, store.K(q.ID), body); err != nil {
		return err
	}
	return t.events.Put(tx, store.K(q.ID), q)
}

// remove ends a claimed event. Error: errTaken.
func (t *queue) remove(tx *store.Tx, q queued) error {
	if err := t.held(tx, q); err != nil {
		return err
	}
	n, _, err := t.lanes.Get(tx, store.K(q.lane()))
	if err != nil {
		return err
	}
	n.Events--
	n.Bytes -= int64(q.Size)
	if n.Events > 0 {
		err = t.lanes.Put(tx, store.K(q.lane()), n)
	} else {
		_, err = t.lanes.Delete(tx, store.K(q.lane()))
	}
	if err != nil {
		return err
	}
	if _, err := t.bodies.Delete(tx, store.K(q.ID)); err != nil {
		return err
	}
	_, err = t.events.Delete(tx, store.K(q.ID))
	return err
}

// again gives a claimed event back, to be delivered when it is due. Error: errTaken.
func (t *queue) again(tx *store.Tx, q queued) error {
	if err := t.held(tx, q); err != nil {
		return err
	}
	q.Lease = 0
	return t.events.Put(tx, store.K(q.ID), q)
}

// extend prolongs a claim. Error: errTaken.
func (t *queue) extend(tx *store.Tx, q queued, lease time.Duration) error {
	if err := t.held(tx, q); err != nil {
		return err
	}
	q.Due = tx.Now().Add(lease)
	return t.events.Put(tx, store.K(q.ID), q)
}

func (t *queue) held(tx *store.Tx, q queued) error {
	cur, ok, err := t.events.Get(tx, store.K(q.ID))
	if err == nil && (!ok || q.Lease == 0 || cur.Lease != q.Lease) {
		err = errTaken
	}
	return err
}

// claim takes up to n of a lane's due events, the longest due first, and says when the next one is
// due; the zero time where there is none. Those that ours names are held by this process already:
// their leases are prolonged.
func (t *queue) claim(tx *store.Tx, lane string, n int, lease time.Duration, ours map[string]bool) (batch []queued, next time.Time, err error) {
	var due []queued
	for e, err := range t.events.By(byLane).Scan(tx, store.K(lane), store.Range{}) {
		if err != nil {
			return nil, next, err
		}
		if e.Value.Due.After(tx.Now()) || len(due) >= n && !ours[e.Value.ID] {
			next = e.Value.Due
			break
		}
		due = append(due, e.Value)
		if ours[e.Value.ID] {
			n++
		}
	}
	for _, q := range due {
		mine := ours[q.ID]
		if !mine {
			q.Lease = tx.NextSeq()
		}
		q.Due = tx.Now().Add(lease)
		if err := t.events.Put(tx, store.K(q.ID), q); err != nil {
			return nil, next, err
		}
		if !mine {
			batch = append(batch, q)
		}
	}
	return batch, next, nil
}

// next is when a lane's first event is due; the zero time where there is none.
func (t *queue) next(tx *store.Tx, lane string) (time.Time, error) {
	for e, err := range t.events.By(byLane).Scan(tx, store.K(lane), store.Range{Limit: 1}) {
		return e.Value.Due, err
	}
	return time.Time{}, nil
}

// release gives back every event that is claimed.
func (t *queue) release(tx *store.Tx) error {
	var claimed []queued
	for e, err := range t.events.Scan(tx, store.Key{}, store.Range{}) {
		if err != nil {
			return err
		}
		if e.Value.Lease != 0 {
			claimed = append(claimed, e.Value)
		}
	}
	for _, q := range claimed {
		q.Lease, q.Due = 0, tx.Now()
		if err := t.events.Put(tx, store.K(q.ID), q); err != nil {
			return err
		}
	}
	return nil
}
