// Package eventlog keeps timed lines of text in a file of its own: the output of functions.
//
// An event belongs to a group and to a stream within it and bears a time in milliseconds. Events
// are buffered for a moment and written together, so that a power cut loses at most the last
// second of them and a killed process the last tenth; reading sees what was appended before.
//
//	l.Append(eventlog.Stream{Group: "g", Name: "s"}, events)
//	for e, err := range l.Read(ctx, eventlog.Query{Group: "g", From: ms}) { … }
package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the "sqlite" driver
)

// Stream is where events go. Group and Name are opaque; the caller puts account and region in.
type Stream struct{ Group, Name string }

// Event is one line: when it happened and when it was taken, in milliseconds since 1970.
type Event struct {
	Seq      int64 // its place in the order of arrival; unique
	Stream   string
	At       int64
	Ingested int64
	Message  string
}

// Query chooses events of one group.
type Query struct {
	Group   string
	Streams []string // all where empty
	Prefix  string   // of stream names
	From    int64    // milliseconds, inclusive
	To      int64    // milliseconds, exclusive; 0 is no end
	// After goes on behind an event: its time and place.
	AfterAt, AfterSeq int64
	Newest            bool // newest first; After then means before
}

// Span is what a stream holds.
type Span struct {
	First, Last, Ingested int64 // milliseconds
	Bytes                 int64
}

const schema = `
CREATE TABLE IF NOT EXISTS event(
	grp TEXT NOT NULL, at INTEGER NOT NULL, seq INTEGER NOT NULL, stream TEXT NOT NULL, ingested INTEGER NOT NULL, msg TEXT NOT NULL,
	PRIMARY KEY(grp, at, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS event_stream ON event(grp, stream, at, seq);`

// Log is an open event log; safe for concurrent use.
type Log struct {
	db *sql.DB

	mu      sync.Mutex
	room    *sync.Cond
	buffer  []pending
	bytes   int
	seq     int64
	closed  bool
	writing sync.Mutex // one flush at a time
	wake    chan struct{}
	done    chan struct{}
}

type pending struct {
	group string
	Event
}

const (
	flushEvery = 50 * time.Millisecond
	maxBuffer  = 16 << 20 // bytes; appending waits beyond it
)

// File is the log's name in its directory.
const File = "events.db"

// ErrClosed: the log takes no more events.
var ErrClosed = errors.New("eventlog: closed")

// Open opens the log in a directory, making it if needed.
func Open(dir string) (*Log, error) {
	q := url.Values{}
	// NORMAL: the file is synced at checkpoints, at most a second apart, not at each commit.
	for _, p := range []string{"journal_mode(wal)", "synchronous(normal)", "busy_timeout(10000)", "trusted_schema(off)", "wal_autocheckpoint(256)"} {
		q.Add("_pragma", p)
	}
	path := filepath.Join(dir, File)
	// For the owner only, also where the directory is not; SQLite gives its other files the same mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	l := &Log{db: db, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.room = sync.NewCond(&l.mu)
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(fmt.Errorf("eventlog: %s: %w", path, err), db.Close())
	}
	var last sql.NullInt64
	if err := db.QueryRow(`SELECT max(seq) FROM event`).Scan(&last); err != nil {
		return nil, errors.Join(fmt.Errorf("eventlog: %w", err), db.Close())
	}
	l.seq = last.Int64
	go l.run()
	return l, nil
}

// Append adds events to a stream; now is the time of their arrival. It waits while the buffer is
// full, so that no event is dropped.
func (l *Log) Append(s Stream, now int64, events []Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes > maxBuffer && !l.closed {
		l.room.Wait()
	}
	if l.closed {
		return ErrClosed
	}
	for _, e := range events {
		l.seq++
		e.Seq, e.Stream, e.Ingested = l.seq, s.Name, now
		l.buffer = append(l.buffer, pending{s.Group, e})
		l.bytes += len(e.Message) + 64
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

func (l *Log) run() {
	defer close(l.done)
	for range l.wake {
		t := time.NewTimer(flushEvery)
		<-t.C
		_ = l.Flush() // the events stay buffered, and the next reader or Append's wait shows it
	}
}

// Flush writes what is buffered.
func (l *Log) Flush() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	batch := l.buffer
	l.buffer = nil
	l.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := l.write(batch)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.buffer = append(batch, l.buffer...)
		return fmt.Errorf("eventlog: %w", err)
	}
	for _, p := range batch {
		l.bytes -= len(p.Message) + 64
	}
	l.room.Broadcast()
	return nil
}

func (l *Log) write(batch []pending) error {
	tx, err := l.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	put, err := tx.Prepare(`INSERT INTO event(grp, at, seq, stream, ingested, msg) VALUES(?,?,?,?,?,?)`)
	if err != nil {
		return err
	}
	defer put.Close()
	for _, p := range batch {
		if _, err := put.Exec(p.group, p.At, p.Seq, p.Stream, p.Ingested, p.Message); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Read yields the events that q chooses, in order of time and then of arrival.
func (l *Log) Read(ctx context.Context, q Query) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := l.Flush(); err != nil {
			yield(Event{}, err)
			return
		}
		text, args := q.sql()
		rows, err := l.db.QueryContext(ctx, text, args...)
		if err != nil {
			yield(Event{}, fmt.Errorf("eventlog: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var e Event
			err := rows.Scan(&e.Seq, &e.Stream, &e.At, &e.Ingested, &e.Message)
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Event{}, fmt.Errorf("eventlog: %w", err))
		}
	}
}

func (q Query) sql() (string, []any) {
	var b strings.Builder
	b.WriteString(`SELECT seq, stream, at, ingested, msg FROM event WHERE grp = ?`)
	args := []any{q.Group}
	add := func(text string, more ...any) {
		b.WriteString(text)
		args = append(args, more...)
	}
	if q.From > 0 {
		add(` AND at >= ?`, q.From)
	}
	if q.To > 0 {
		add(` AND at < ?`, q.To)
	}
	if q.AfterSeq > 0 && q.Newest {
		add(` AND (at, seq) < (?, ?)`, q.AfterAt, q.AfterSeq)
	} else if q.AfterSeq > 0 {
		add(` AND (at, seq) > (?, ?)`, q.AfterAt, q.AfterSeq)
	}
	if len(q.Streams) > 0 {
		add(` AND stream IN (?` + strings.Repeat(`,?`, len(q.Streams)-1) + `)`)
		for _, s := range q.Streams {
			args = append(args, s)
		}
	}
	if q.Prefix != "" {
		add(` AND substr(stream, 1, ?) = ?`, len([]rune(q.Prefix)), q.Prefix)
	}
	if q.Newest {
		add(` ORDER BY at DESC, seq DESC`)
	} else {
		add(` ORDER BY at, seq`)
	}
	return b.String(), args
}

// Span is what a stream holds; ok is false where it holds nothing.
func (l *Log) Span(ctx context.Context, s Stream) (sp Span, ok bool, err error) {
	if err := l.Flush(); err != nil {
		return sp, false, err
	}
	var first, last, ingested, size sql.NullInt64
	err = l.db.QueryRowContext(ctx, `SELECT min(at), max(at), max(ingested), sum(length(msg) + 26) FROM event WHERE grp = ? AND stream = ?`, s.Group, s.Name).
		Scan(&first, &last, &ingested, &size)
	if err != nil {
		return sp, false, fmt.Errorf("eventlog: %w", err)
	}
	return Span{first.Int64, last.Int64, ingested.Int64, size.Int64}, first.Valid, nil
}

// Size is how many bytes a group holds, counted as CloudWatch Logs counts them.
func (l *Log) Size(ctx context.Context, group string) (int64, error) {
	if err := l.Flush(); err != nil {
		return 0, err
	}
	var n sql.NullInt64
	err := l.db.QueryRowContext(ctx, `SELECT sum(length(msg) + 26) FROM event WHERE grp = ?`, group).Scan(&n)
	return n.Int64, err
}

// Delete removes a stream's events, or, with an empty name, a group's; before, if not zero, keeps
// those from that time on (milliseconds).
func (l *Log) Delete(ctx context.Context, s Stream, before int64) error {
	if err := l.Flush(); err != nil {
		return err
	}
	text, args := `DELETE FROM event WHERE grp = ?`, []any{s.Group}
	if s.Name != "" {
		text, args = text+` AND stream = ?`, append(args, s.Name)
	}
	if before > 0 {
		text, args = text+` AND at < ?`, append(args, before)
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if _, err := l.db.ExecContext(ctx, text, args...); err != nil {
		return fmt.Errorf("eventlog: %w", err)
	}
	return nil
}

// Clear removes everything.
func (l *Log) Clear(ctx context.Context) error {
	if err := l.Flush(); err != nil {
		return err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if _, err := l.db.ExecContext(ctx, `DELETE FROM event`); err != nil {
		return fmt.Errorf("eventlog: %w", err)
	}
	return nil
}

// CopyTo writes a consistent copy, which holds at least what was appended before, to a file that does
// not exist yet, while others go on reading and appending.
func (l *Log) CopyTo(ctx context.Context, path string) error {
	if err := l.Flush(); err != nil {
		return err
	}
	if _, err := l.db.ExecContext(ctx, `VACUUM INTO ?`, path); err != nil {
		return fmt.Errorf("eventlog: %w", err)
	}
	return nil
}

// Check has SQLite examine the file; nil when it is sound.
func (l *Log) Check(ctx context.Context) error {
	var said string
	if err := l.db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&said); err != nil {
		return fmt.Errorf("eventlog: %w", err)
	}
	if said != "ok" {
		return fmt.Errorf("eventlog: integrity check: %s", said)
	}
	return nil
}

// Close writes what is buffered and closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.room.Broadcast()
	l.mu.Unlock()
	close(l.wake)
	<-l.done
	return errors.Join(l.Flush(), l.db.Close())
}
