package store

import (
	"errors"
	"fmt"
)

// Errors that a caller may branch on with errors.Is.
var (
	// ErrClosed: the database was closed.
	ErrClosed = errors.New("store: closed")
	// ErrDone: a transaction was used after its closure had returned.
	ErrDone = errors.New("store: transaction used after its closure returned")
	// ErrReadOnly: a write inside View.
	ErrReadOnly = errors.New("store: write in a read-only transaction")
	// ErrBroken: an earlier commit failed in a way that leaves the file's state on disk unknown;
	// nothing more is written until the database is opened again.
	ErrBroken = errors.New("store: a commit failed to reach the disk; reopen the database")
	// ErrLeaseLost: an outbox message is no longer held under the lease that was presented.
	ErrLeaseLost = errors.New("store: the lease is no longer held")
)

// ScopeError is a transaction's attempt to touch a space outside its Scope.
type ScopeError struct {
	Space, Table string
	Scope        []string
}

func (e *ScopeError) Error() string {
	return fmt.Sprintf("store: table %s/%s is outside the transaction's scope %q", e.Space, e.Table, e.Scope)
}

// ConflictError is a Put whose unique secondary key belongs to another row. Nothing was written;
// the transaction may go on.
type ConflictError struct{ Space, Table, Index string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("store: another row of %s/%s has this %s", e.Space, e.Table, e.Index)
}

// TooLargeError is a key or value above its limit, in bytes.
type TooLargeError struct {
	What      string // "key" or "value"
	Size, Max int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("store: %s of %d bytes exceeds %d", e.What, e.Size, e.Max)
}

// ReserveError is a write refused because free disk space, in bytes, is below the reserve that
// keeps deletes possible.
type ReserveError struct{ Free, Reserve uint64 }

func (e *ReserveError) Error() string {
	return fmt.Sprintf("store: %d MiB free on the data disk, below the reserve of %d MiB: only deletes are accepted", e.Free>>20, e.Reserve>>20)
}

// LockedError is a data directory that another process owns. PID is 0 when the owner left none.
type LockedError struct {
	Dir string
	PID int
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("store: %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("store: %s is in use by process %d", e.Dir, e.PID)
}

// SchemaError is a data directory written by a newer version of the program.
type SchemaError struct{ Have, Known int }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("store: the data has schema %d and this program knows up to %d: use a newer version", e.Have, e.Known)
}
