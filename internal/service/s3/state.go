package s3

import (
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

const space = "s3"

// bucket is a bucket's record. Its ID, not its name, is in the keys of what it holds: a bucket
// made anew under an old name shares nothing with the old one.
type bucket struct {
	Name, ID, Account, Region string
	Created                   time.Time

	Versioning  string            `json:",omitempty"` // "", Enabled or Suspended
	Policy      string            `json:",omitempty"` // with users and roles by unique ids; by ARN in rows from before that
	PolicyNames map[string]string `json:",omitempty"` // unique id in Policy → the ARN that the caller gave
	Block       *publicBlock      `json:",omitempty"` // nil: the configuration was deleted
	Ownership   string            `json:",omitempty"` // "": the controls were deleted
	BucketKey   bool              `json:",omitempty"` // as set with the encryption; means nothing without KMS
	Tags        []api.Tag         `json:",omitempty"`
}

type publicBlock struct{ ACLs, IgnoreACLs, Policy, Restrict bool }

// headers are those of an object that come back as they were given.
type headers struct {
	ContentType        string            `json:"ct,omitempty"`
	CacheControl       string            `json:"cc,omitempty"`
	ContentDisposition string            `json:"cd,omitempty"`
	ContentEncoding    string            `json:"ce,omitempty"`
	ContentLanguage    string            `json:"cl,omitempty"`
	Expires            string            `json:"ex,omitempty"`
	Meta               map[string]string `json:"m,omitempty"`
	StorageClass       string            `json:"sc,omitempty"` // "" is STANDARD
}

// sum is a checksum as answers carry it.
type sum struct {
	Algorithm string `json:"a,omitempty"` // CRC32, CRC32C, CRC64NVME, SHA1, SHA256
	Value     string `json:"v,omitempty"`
	Type      string `json:"t,omitempty"` // FULL_OBJECT or COMPOSITE
}

// bytes are content at rest: a blob of frames under a key of its own, which is sealed.
type bytes struct {
	Blob blob.Ref `json:"b"`
	Key  []byte   `json:"k"`
	Size int64    `json:"n"` // of the content, unsealed
}

// object is one version of an object, or a delete marker.
type object struct {
	Bucket   string    `json:"i"` // the bucket's ID
	Key      string    `json:"o"`
	Version  string    `json:"ver,omitempty"` // "" is the null version
	Order    int64     `json:"ord"`           // grows with every version of a bucket
	Marker   bool      `json:"del,omitempty"`
	Modified time.Time `json:"mod"`
	Size     int64     `json:"n,omitempty"`
	ETag     string    `json:"e,omitempty"` // without its quotes
	Headers  headers   `json:"h,omitzero"`
	Tags     []api.Tag `json:"t,omitempty"`
	Sum      sum       `json:"s,omitzero"`
	Body     *bytes    `json:"b,omitempty"` // nil for markers and for objects of parts
	Parts    int       `json:"p,omitempty"` // of an object that was uploaded in parts: how many
	PartsID  string    `json:"pid,omitempty"`

	// Of the newest version only: how many older ones there are, and the order of the null version
	// if that is among them.
	Older int   `json:"old,omitempty"`
	Null  int64 `json:"nul,omitempty"`
}

// upload is a multipart upload in progress.
type upload struct {
	Bucket    string
	Key, ID   string
	Initiated time.Time
	Initiator string // an ARN
	Headers   headers
	Tags      []api.Tag
	Algorithm string // "" where the client named none
	Type      string // FULL_OBJECT or COMPOSITE
}

// part is one part of an upload, or of the object that was made of it.
type part struct {
	Number   int32     `json:"#"`
	Modified time.Time `json:"mod"`
	ETag     string    `json:"e"`
	Sum      sum       `json:"s,omitzero"`
	Body     bytes     `json:"b"`
}

// tables are the service's rows. Only this file names their keys:
//
//	buckets  name                                          → bucket; names are global
//	objects  account, region, bucket ID, key               → object: the newest version of each key
//	older    account, region, bucket ID, key, -order       → object: the others, newest first
//	uploads  account, region, bucket ID, key, upload ID    → upload; IDs sort by time
//	parts    account, region, bucket ID, upload ID, number → part
//	made     account, region, bucket ID, parts ID          → []part, of an object of parts
type tables struct {
	buckets store.Table[bucket]
	objects store.Table[object]
	older   store.Table[object]
	uploads store.Table[upload]
	parts   store.Table[part]
	made    store.Table[[]part]
}

func newTables() tables {
	return tables{
		buckets: store.NewTable(space, "buckets", store.Index[bucket]{Name: "account",
			Keys: func(b bucket) []store.Key { return []store.Key{store.K(b.Account, b.Name)} }}).Keep(),
		objects: store.NewTable[object](space, "objects").Keep(),
		older: store.NewTable(space, "older", store.Index[object]{Name: "version",
			Keys: func(o object) []store.Key { return []store.Key{store.K(o.Bucket, o.Key, o.Version)} }}),
		uploads: store.NewTable[upload](space, "uploads"),
		parts:   store.NewTable[part](space, "parts"),
		made:    store.NewTable[[]part](space, "made"),
	}
}

// rows is what the keys of everything in the bucket begin with.
func (b *bucket) rows() store.Key { return store.K(b.Account, b.Region, b.ID) }

func (b *bucket) arn() string { return "arn:aws:s3:::" + b.Name }

func (t *tables) bucket(tx *store.Tx, name string) (*bucket, error) {
	b, ok, err := t.buckets.Get(tx, store.K(name))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchBucket(name)
	}
	return &b, nil
}

func (t *tables) putBucket(tx *store.Tx, b *bucket) error {
	return t.buckets.Put(tx, store.K(b.Name), *b)
}

func (b *bucket) versioned() bool { return b.Versioning != "" }

// olderKey is the key of a version that is not the newest.
func (b *bucket) olderKey(o *object) store.Key { return b.rows().With(o.Key, -o.Order) }

func (b *bucket) partKey(uploadID string, number int32) store.Key {
	return b.rows().With(uploadID, int(number))
}
