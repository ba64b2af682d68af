package store

import (
	"context"
	"fmt"
)

// Clear removes every row of the named spaces and drops the blobs that they kept, in one
// transaction: a reset.
func (db *DB) Clear(ctx context.Context, spaces ...string) error {
	return db.Update(ctx, Scope{Spaces: spaces}, func(tx *Tx) error {
		if err := dropOf(tx, spaces); err != nil {
			return err
		}
		version := tx.NextSeq()
		for _, sp := range spaces {
			if err := tx.c.clear(sp); err != nil {
				return tx.fail(fmt.Errorf("store: clear %s: %w", sp, err))
			}
			tx.wrote(tableID{space: sp, prefix: sp + "\x00"}, nil, version)
		}
		tx.db.w.cleared = version
		tx.db.w.batch.cleared = true
		return nil
	})
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
