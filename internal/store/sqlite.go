package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
)

// All SQL is in this file, so that a second backend is a second file beside it.
//
// Rows are an integer-keyed table with a unique index over the key, not WITHOUT ROWID: measured,
// a WITHOUT ROWID tree is about as fast for values of 200 bytes and three times slower and larger
// from 1 KB on, since its inner pages carry whole values. Secondary entries are small, and are.
const (
	sqlGet       = `SELECT ver, v FROM kv WHERE k = ?1`
	sqlPut       = `INSERT INTO kv(k, ver, v) VALUES(?1, ?2, ?3) ON CONFLICT(k) DO UPDATE SET ver = excluded.ver, v = excluded.v`
	sqlDelete    = `DELETE FROM kv WHERE k = ?1`
	sqlScan      = `SELECT k, ver, v FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k LIMIT ?3`
	sqlScanBack  = `SELECT k, ver, v FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k DESC LIMIT ?3`
	sqlIxGet     = `SELECT 0, v FROM ix WHERE k = ?1`
	sqlIxPut     = `INSERT INTO ix(k, v) VALUES(?1, ?2) ON CONFLICT(k) DO UPDATE SET v = excluded.v`
	sqlIxDelete  = `DELETE FROM ix WHERE k = ?1`
	sqlIxScan    = `SELECT k, 0, v FROM ix WHERE k >= ?1 AND k < ?2 ORDER BY k LIMIT ?3`
	sqlIxBack    = `SELECT k, 0, v FROM ix WHERE k >= ?1 AND k < ?2 ORDER BY k DESC LIMIT ?3`
	sqlClear     = `DELETE FROM kv WHERE k >= ?1 AND k < ?2`
	sqlIxClear   = `DELETE FROM ix WHERE k >= ?1 AND k < ?2`
	sqlEpoch     = `SELECT n FROM meta WHERE name = 'epoch'`
	sqlEpochPut  = `INSERT INTO meta(name, n) VALUES('epoch', ?1) ON CONFLICT(name) DO UPDATE SET n = excluded.n`
	applicationN = 0x42415354 // "BAST", in the file's header, so that `file` and restore know whose it is
)

// migrations lead from each schema version to the next; a released one is never edited.
var migrations = []string{
	`CREATE TABLE kv(id INTEGER PRIMARY KEY, k BLOB NOT NULL, ver INTEGER NOT NULL, v BLOB NOT NULL);
	 CREATE UNIQUE INDEX kv_k ON kv(k);
	 CREATE TABLE ix(k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID;
	 CREATE TABLE meta(name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;`,
}

// conn is one SQLite connection with its statements, used by one goroutine at a time. It drives
// the driver directly: database/sql's pool and locks cost more than a point read here.
type conn struct {
	dc    driver.Conn
	stmts map[string]driver.Stmt
	row   [3]driver.Value
	// snapshot is what DB.newest was when the open read transaction began; 0 where none is open.
	snapshot int64
}

// row is one stored row; for a secondary entry Value is the primary key.
type row struct {
	key     []byte
	version int64
	value   []byte
}

func openConn(path string, write bool) (*conn, error) {
	q := url.Values{}
	pragma := func(s string) { q.Add("_pragma", s) }
	pragma("busy_timeout(10000)")
	pragma("temp_store(memory)")
	pragma("trusted_schema(off)")
	if write {
		pragma("journal_mode(wal)")
		pragma("synchronous(full)")
		pragma("cache_size(-8000)")
		pragma("wal_autocheckpoint(4000)")
		pragma("journal_size_limit(67108864)")
	} else {
		pragma("query_only(on)")
		pragma("cache_size(-2000)")
	}
	dc, err := (&sqlite.Driver{}).Open("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode())
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", path, err)
	}
	return &conn{dc: dc, stmts: map[string]driver.Stmt{}}, nil
}

func (c *conn) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	return c.dc.Close()
}

func (c *conn) stmt(q string) (driver.Stmt, error) {
	if s := c.stmts[q]; s != nil {
		return s, nil
	}
	s, err := c.dc.Prepare(q)
	if err != nil {
		return nil, err
	}
	c.stmts[q] = s
	return s, nil
}

// exec and query take no caller's context: a statement is short, and the driver starts a goroutine
// for each one that can be cancelled.
func (c *conn) exec(q string, args ...driver.NamedValue) (int64, error) {
	s, err := c.stmt(q)
	if err != nil {
		return 0, err
	}
	r, err := s.(driver.StmtExecContext).ExecContext(context.Background(), args)
	if err != nil {
		return 0, err
	}
	if r == nil {
		return 0, nil
	}
	return r.RowsAffected()
}

func (c *conn) query(q string, args ...driver.NamedValue) (driver.Rows, error) {
	s, err := c.stmt(q)
	if err != nil {
		return nil, err
	}
	return s.(driver.StmtQueryContext).QueryContext(context.Background(), args)
}

func arg(i int, v any) driver.NamedValue { return driver.NamedValue{Ordinal: i, Value: v} }

func (c *conn) int(q string) (n int64, ok bool, err error) {
	r, err := c.query(q)
	if err != nil {
		return 0, false, err
	}
	defer r.Close()
	switch err := r.Next(c.row[:1]); {
	case errors.Is(err, io.EOF):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	n, _ = c.row[0].(int64)
	return n, true, nil
}

func (c *conn) get(ix bool, key []byte) (value []byte, version int64, ok bool, err error) {
	q := sqlGet
	if ix {
		q = sqlIxGet
	}
	r, err := c.query(q, arg(1, key))
	if err != nil {
		return nil, 0, false, err
	}
	defer r.Close()
	switch err := r.Next(c.row[:2]); {
	case errors.Is(err, io.EOF):
		return nil, 0, false, nil
	case err != nil:
		return nil, 0, false, err
	}
	version, _ = c.row[0].(int64)
	value, _ = c.row[1].([]byte)
	return value, version, true, nil
}

func (c *conn) put(key []byte, version int64, value []byte) error {
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	_, err := c.exec(sqlPut, arg(1, key), arg(2, version), arg(3, value))
	return err
}

func (c *conn) delete(key []byte) (bool, error) {
	n, err := c.exec(sqlDelete, arg(1, key))
	return n > 0, err
}

func (c *conn) ixPut(key, primary []byte) error {
	_, err := c.exec(sqlIxPut, arg(1, key), arg(2, primary))
	return err
}

func (c *conn) ixDelete(key []byte) error {
	_, err := c.exec(sqlIxDelete, arg(1, key))
	return err
}

// scan appends up to limit rows with lo <= key < hi to out, in order or in reverse.
func (c *conn) scan(out []row, ix bool, lo, hi []byte, reverse bool, limit int) ([]row, error) {
	q := sqlScan
	switch {
	case ix && reverse:
		q = sqlIxBack
	case ix:
		q = sqlIxScan
	case reverse:
		q = sqlScanBack
	}
	r, err := c.query(q, arg(1, lo), arg(2, hi), arg(3, int64(limit)))
	if err != nil {
		return out, err
	}
	defer r.Close()
	for {
		if err := r.Next(c.row[:3]); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, err
		}
		var x row
		x.key, _ = c.row[0].([]byte)
		x.version, _ = c.row[1].(int64)
		x.value, _ = c.row[2].([]byte)
		out = append(out, x)
	}
}

func (c *conn) do(q string) error { _, err := c.exec(q); return err }

func (c *conn) begin(write bool) error {
	if write {
		return c.do("BEGIN IMMEDIATE")
	}
	return c.do("BEGIN")
}
func (c *conn) commit() error { return c.do("COMMIT") }

// passing is the snapshot of a connection that no other View may use.
const passing = -1

// takeSnapshot begins a read transaction; newest is DB.newest from before.
func (c *conn) takeSnapshot(newest int64) error {
	if err := c.begin(false); err != nil {
		return err
	}
	if c.snapshot = newest; newest == 0 {
		c.snapshot = passing
	}
	return nil
}

func (c *conn) endSnapshot() error {
	c.snapshot = 0
	return c.commit()
}

func (c *conn) rollback() error { return c.do("ROLLBACK") }
func (c *conn) save() error     { return c.do("SAVEPOINT s") }
func (c *conn) release() error  { return c.do("RELEASE s") }

// undo takes back everything since save and forgets the savepoint.
func (c *conn) undo() error {
	return errors.Join(c.do("ROLLBACK TO s"), c.do("RELEASE s"))
}

// migrate brings the file to the newest schema and returns this opening's epoch.
func (c *conn) migrate() (epoch int64, err error) {
	have, _, err := c.int("PRAGMA user_version")
	if err != nil {
		return 0, err
	}
	if int(have) > len(migrations) {
		return 0, &SchemaError{Have: int(have), Known: len(migrations)}
	}
	if err := c.begin(true); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.rollback())
		}
	}()
	for ; int(have) < len(migrations); have++ {
		if err := c.do(migrations[have]); err != nil {
			return 0, fmt.Errorf("store: migration to schema %d: %w", have+1, err)
		}
	}
	if err := errors.Join(c.do(fmt.Sprintf("PRAGMA user_version = %d", have)),
		c.do(fmt.Sprintf("PRAGMA application_id = %d", applicationN))); err != nil {
		return 0, err
	}
	if epoch, _, err = c.int(sqlEpoch); err != nil {
		return 0, err
	}
	epoch++
	if _, err := c.exec(sqlEpochPut, arg(1, epoch)); err != nil {
		return 0, err
	}
	return epoch, c.commit()
}

// copyTo writes a consistent, compact copy of the database to a new file while others go on.
func (c *conn) copyTo(path string) error {
	_, err := c.exec("VACUUM INTO ?1", arg(1, path))
	return err
}

// check is SQLite's own examination of the file; nil when it is sound.
func (c *conn) check() error {
	r, err := c.query("PRAGMA integrity_check(10)")
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Next(c.row[:1]); err != nil {
		return err
	}
	if s, _ := c.row[0].(string); s != "ok" {
		return fmt.Errorf("store: integrity check: %s", s)
	}
	return nil
}

// fatal reports whether a failed commit leaves the state on disk unknown: after an I/O error or
// with a corrupt file a retry may seem to succeed while the kernel has dropped the pages.
func fatal(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case 10, 11, 26: // SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_NOTADB
		return true
	}
	return false
}
