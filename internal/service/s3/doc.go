// Package s3 is Amazon S3: buckets, whose names are shared by all accounts, and the objects in
// them, with versions, multipart uploads, policies and presigned access.
//
// What holds as on AWS: bucket naming and region rules; conditional reads and writes; ranges;
// checksums in all of the five older algorithms, checked while a body arrives and, of uploads in
// parts, joined; versions, delete markers and the null version; listings in key order that seek
// past common prefixes; who learns that an object is missing; bucket policies over the owner's
// own, foreign and anonymous callers; Block Public Access, on for every new bucket; ACLs, off for
// every bucket. A body that breaks off or is not what was signed leaves nothing behind.
//
// What is stronger here: all content is sealed at rest under a key of its own, bound to account,
// region and bucket; every read is consistent.
//
// What is not here, and is answered with NotImplemented: KMS keys and customer keys, ACLs, object
// lock, websites, lifecycle, replication, notifications, inventory and analytics, requester pays,
// archive storage classes, access points, directory buckets, SELECT, POST forms. So is CORS, on
// buckets and in templates: the server refuses pages of other origins, a presigned URL in their
// hands too, so that a rule which is kept would promise what does not happen.
// Storage classes without a restore are kept and shown, and make no difference.
package s3
