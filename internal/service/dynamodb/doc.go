// Package dynamodb is Amazon DynamoDB: tables of items under a partition key and an optional sort
// key, with local and global secondary indexes, expressions, batches and transactions.
//
// What holds as on AWS: key schemas and index projections; all ten attribute types with their
// limits (package item); expressions and the parameters before them, with the service's messages
// (package expression); conditional writes; pages of at most 1 MB; parallel scans; transactions of
// up to 100 actions with client tokens; time to live; tags; deletion protection.
//
// What is stronger here: every read is consistent, global indexes included, and a batch of writes
// is one transaction.
//
// What is not here, and is answered with NotImplemented: streams, resource policies, global
// tables, backups and point-in-time recovery, PartiQL, keys of one's own for encryption, and
// maximum or warm throughput. Provisioned throughput is kept and shown but nothing is throttled.
// Item counts and sizes of a table are exact up to 10,000 items and estimated above. New indexes of
// tables with more than 1,000 items are filled by a job, and deleted tables cleared by it.
package dynamodb
