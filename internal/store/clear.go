package store

import (
	"context"
	"fmt"
)

// Clear is Tx.Clear of the named spaces, in a transaction of its own.
func (db *DB) Clear(ctx context.Context, spaces ...string) error {
	return db.Update(ctx, In(spaces...), (*Tx).Clear)
}

// Clear removes every row of the spaces that tx may touch and drops the blobs that they kept: a
// reset.
func (tx *Tx) Clear() error {
	if err := dropOf(tx, tx.scope); err != nil {
		return err
	}
	version := tx.NextSeq()
	for _, sp := range tx.scope {
		if err := tx.c.clear(sp); err != nil {
			return tx.fail(fmt.Errorf("store: clear %s: %w", sp, err))
		}
		tx.wrote(tableID{space: sp, prefix: sp + "\x00"}, nil, version)
	}
	tx.db.w.cleared = version
	tx.db.w.batch.cleared = true
	return nil
}

// clear deletes what begins with a space's name and the byte that ends it.
func (c *conn) clear(space string) error {
	lo, hi := []byte(space+"\x00"), []byte(space+"\x01")
	for _, q := range []string{sqlClear, sqlIxClear} {
		if _, err := c.exec(q, arg(1, lo), arg(2, hi)); err != nil {
			return err
		}
	}
	return nil
}
