// Package audit is the trail: a record of every call, kept so that its keeper can be shown to have
// left it alone.
//
//	trail.Append(tx, record)       // with a change, in the change's own transaction
//	trail.Note(ctx, record)        // a read, an invoke, a denial: durable within 100 ms
//	trail.CountRefusal(source, …)  // before anybody is known: counted, not stored one by one
//
// Records have CloudTrail's shape (AWS CloudTrail User Guide, "CloudTrail record contents"). They
// live in the database of the state that they speak of, so that a change and its record are one
// commit.
//
// Behind the commits a sealer chains the records of each node: every record's hash takes in the one
// before, and every thousand records or second the head is signed. Verify reads the trail again and
// names every record deleted, altered, added or moved before the last signed head. A head that was
// exported (Head) also shows a tail that was cut off or a history that was written anew.
//
// Sealed records move to compressed files (segments), which age and size limits remove in order,
// oldest first, leaving a signed note of where the trail now begins.
package audit
