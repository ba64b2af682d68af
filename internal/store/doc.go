// Package store keeps Bastide's state: ordered, typed tables under serialisable transactions, in
// one SQLite file whose every commit is on disk before it is acknowledged.
//
// A transaction is a closure. View reads one snapshot; Update reads and writes, alone, and returns
// after the commit has been synced:
//
//	var tables = store.NewTable[Table]("dynamodb", "tables")
//
//	err := db.Update(ctx, store.In("dynamodb"), func(tx *store.Tx) error {
//		return tables.Put(tx, store.K(account, region, name), Table{Status: "ACTIVE"})
//	})
//
// What holds:
//   - An Update that returned nil survives kill -9 and power loss; one that returned an error has
//     left nothing behind. Concurrent Updates share a commit, each under a savepoint of its own, so
//     that one that fails takes nothing of the others with it.
//   - A transaction touches only the spaces of its Scope; a space is one service's tables.
//   - A closure has only the transaction: it may be run twice (another backend's serialisation
//     retries; Options.RunTwice in tests), so it makes no calls and leaves nothing behind outside.
//   - Rows carry versions, so that what was read in one transaction can be checked in another
//     (ReadSet, Tx.Unchanged).
//
// Update must not be called inside an Update's closure: it would wait for itself.
package store
