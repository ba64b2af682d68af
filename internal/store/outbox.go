package store

import (
	"fmt"
	"time"
)

// Outbox is a queue of effects on other services, written in the transaction that decides them
// and delivered at least once by a job:
//
//	box.Enqueue(tx, store.Message{Kind: "invoke", Payload: event})     // in the call's transaction
//	batch, err := box.Claim(tx, 10, time.Minute)                       // the job takes some …
//	err = box.Ack(tx, m)                                               // … and ends each,
//	err = box.Retry(tx, m, backoff, "429 from the function")           // or puts it off
//
// A claimed message comes again when its lease runs out before the Ack, so the effect must bear
// repetition. Who gives up on a message acknowledges it and records that where it belongs.
type Outbox struct{ t Table[Message] }

// Message is one effect. Enqueue sets ID (unless given), Enqueued and the lease.
type Message struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Payload   []byte    `json:"payload,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"` // the earliest delivery
	Enqueued  time.Time `json:"enqueued"`
	Attempts  int       `json:"attempts,omitempty"` // times claimed
	LastError string    `json:"lastError,omitempty"`
	Lease     int64     `json:"lease,omitempty"` // names the claim that holds it; 0 for none
	Due       time.Time `json:"due"`             // next delivery, or end of the lease
}

const byDue = "due"

// NewOutbox describes an outbox among the tables of space.
func NewOutbox(space, name string) Outbox {
	return Outbox{NewTable(space, name, Index[Message]{Name: byDue, Keys: func(m Message) []Key {
		return []Key{K(m.Due.UnixMicro())}
	}})}
}

// Enqueue adds m and returns its id. An id that is already queued is left as it is.
func (o Outbox) Enqueue(tx *Tx, m Message) (string, error) {
	if m.ID == "" {
		m.ID = fmt.Sprintf("%016x", tx.NextSeq())
	} else if ok, err := o.t.Has(tx, K(m.ID)); ok || err != nil {
		return m.ID, err
	}
	m.Enqueued, m.Due, m.Lease, m.Attempts = tx.Now(), tx.Now(), 0, 0
	if m.NotBefore.After(m.Due) {
		m.Due = m.NotBefore
	}
	return m.ID, o.t.Put(tx, K(m.ID), m)
}

// Claim takes up to n messages that are due, the longest due first, for lease.
func (o Outbox) Claim(tx *Tx, n int, lease time.Duration) ([]Message, error) {
	var due []Message
	now := tx.Now()
	for e, err := range o.t.By(byDue).Scan(tx, Key{}, Range{To: K(now.UnixMicro() + 1), Limit: n}) {
		if err != nil {
			return nil, err
		}
		due = append(due, e.Value)
	}
	for i := range due {
		m := &due[i]
		m.Attempts++
		m.Lease = tx.NextSeq()
		m.Due = now.Add(lease)
		if err := o.t.Put(tx, K(m.ID), *m); err != nil {
			return nil, err
		}
	}
	return due, nil
}

// Ack ends a claimed message. Error: ErrLeaseLost when the claim ran out and another took it.
func (o Outbox) Ack(tx *Tx, m Message) error {
	if _, err := o.held(tx, m); err != nil {
		return err
	}
	_, err := o.t.Delete(tx, K(m.ID))
	return err
}

// Retry gives a claimed message back, to be delivered again after a while, with the reason.
func (o Outbox) Retry(tx *Tx, m Message, after time.Duration, reason string) error {
	cur, err := o.held(tx, m)
	if err != nil {
		return err
	}
	cur.Lease, cur.Due, cur.LastError = 0, tx.Now().Add(after), reason
	return o.t.Put(tx, K(cur.ID), cur)
}

// Extend prolongs the lease of a message whose delivery takes long.
func (o Outbox) Extend(tx *Tx, m Message, lease time.Duration) error {
	cur, err := o.held(tx, m)
	if err != nil {
		return err
	}
	cur.Due = tx.Now().Add(lease)
	return o.t.Put(tx, K(cur.ID), cur)
}

func (o Outbox) held(tx *Tx, m Message) (Message, error) {
	cur, ok, err := o.t.Get(tx, K(m.ID))
	if err == nil && (!ok || m.Lease == 0 || cur.Lease != m.Lease) {
		err = ErrLeaseLost
	}
	return cur, err
}

// Next is when the next message is due, and whether there is one: until when a job may sleep.
func (o Outbox) Next(tx *Tx) (time.Time, bool, error) {
	for e, err := range o.t.By(byDue).Scan(tx, Key{}, Range{Limit: 1}) {
		return e.Value.Due, err == nil, err
	}
	return time.Time{}, false, nil
}

// Len is the number of messages queued or claimed, counted up to max.
func (o Outbox) Len(tx *Tx, max int) (n int, err error) {
	for _, err := range o.t.Scan(tx, Key{}, Range{Limit: max}) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
