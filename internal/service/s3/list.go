package s3

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const maxKeys = 1000

// owner is an account as S3 names it: by a canonical user id, which tells nothing of the account.
func owner(account string) *api.Owner {
	h := sha256.Sum256([]byte("canonical user of " + account))
	return &api.Owner{ID: new(hex.EncodeToString(h[:]))}
}

// token hides a key from clients that would make one up; openToken is its inverse.
func token(key string) string { return base64.RawURLEncoding.EncodeToString([]byte("1" + key)) }

func openToken(p *string) (string, error) {
	if p == nil {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*p)
	if err != nil || len(b) < 1 || b[0] != '1' || !utf8.Valid(b) {
		return "", invalidArgument("The continuation token provided is incorrect", "continuation-token", *p)
	}
	return string(b[1:]), nil
}

// listKeys are the condition keys of a listing.
func listKeys(prefix, delimiter *string, limit *int32) map[string][]string {
	keys := set(nil, "s3:prefix", prefix)
	keys = set(keys, "s3:delimiter", delimiter)
	if limit != nil {
		keys = set(keys, "s3:max-keys", new(strconv.Itoa(int(*limit))))
	}
	return keys
}

func (s *Service) needListing(a *gate.Ask, action, name string, expected *string, keys map[string][]string) ([]gate.Need, error) {
	p, err := s.at(a, name, expected)
	if err != nil {
		return nil, err
	}
	n := p.need(action)
	n.Keys = keys
	return []gate.Need{n}, nil
}

func (s *Service) needListV2(a *gate.Ask, in *api.ListObjectsV2Input) ([]gate.Need, error) {
	return s.needListing(a, "ListBucket", in.Bucket, in.ExpectedBucketOwner, listKeys(in.Prefix, in.Delimiter, in.MaxKeys))
}

func (s *Service) needList(a *gate.Ask, in *api.ListObjectsInput) ([]gate.Need, error) {
	return s.needListing(a, "ListBucket", in.Bucket, in.ExpectedBucketOwner, listKeys(in.Prefix, in.Delimiter, in.MaxKeys))
}

// window is what a listing asks for.
type window struct {
	prefix, delimiter string
	after             string // the last key, or common prefix, that came before
	limit             int
	url               bool // names are encoded
}

func newWindow(prefix, delimiter *string, limit *int32, encoding *string) (window, error) {
	w := window{prefix: wire.Val(prefix), delimiter: wire.Val(delimiter), limit: maxKeys}
	if limit != nil {
		if *limit < 0 {
			return w, invalidArgument("Argument maxKeys must be an integer between 0 and 2147483647", "maxKeys", strconv.Itoa(int(*limit)))
		}
		w.limit = min(int(*limit), maxKeys)
	}
	if encoding != nil && *encoding != "" {
		if *encoding != "url" {
			return w, invalidArgument("Invalid Encoding Method specified in Request", "encoding-type", *encoding)
		}
		w.url = true
	}
	if !utf8.ValidString(w.prefix) || !utf8.ValidString(w.delimiter) {
		return w, invalidArgument("Invalid UTF-8", "prefix", "")
	}
	return w, nil
}

// common is the common prefix that a key belongs to; "" where it stands for itself.
func (w window) common(key string) string {
	if w.delimiter == "" {
		return ""
	}
	i := strings.Index(key[len(w.prefix):], w.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(w.prefix)+i+len(w.delimiter)]
}

// start is where the rows begin that come after w.after: if that is a common prefix, behind
// everything under it.
func (w window) start(rows store.Key) store.Range {
	switch {
	case w.after == "" || w.after < w.prefix:
		return store.Range{}
	case strings.HasPrefix(w.after, w.prefix) && w.common(w.after) == w.after:
		return store.Range{From: rows.Begin(w.after).End()}
	}
	return store.Range{After: rows.With(w.after)}
}

// name is a key, prefix or marker as the answer shows it.
func (w window) name(s string) *string {
	if w.url {
		s = strings.ReplaceAll(url.QueryEscape(s), "%2F", "/")
	}
	return &s
}

// shown is name for what is left out where it is empty.
func (w window) shown(s *string) *string {
	if s == nil || *s == "" {
		return nil
	}
	return w.name(*s)
}

func (w window) encoding() *string {
	if w.url {
		return new("url")
	}
	return nil
}

// page is what a listing found.
type page struct {
	objects  []object
	prefixes []string
	more     bool
	last     string // the last key or common prefix
}

// list walks the newest versions in the order of their keys. Behind a common prefix it seeks, so
// that what lies under it costs nothing.
func (s *Service) list(tx *store.Tx, b *bucket, w window) (page, error) {
	var p page
	rows := b.rows()
	r := w.start(rows)
	for seek := w.limit > 0; seek; {
		seek = false
		for e, err := range s.t.objects.Scan(tx, rows.Begin(w.prefix), r) {
			if err != nil {
				return p, err
			}
			o := e.Value
			if o.Marker {
				continue
			}
			if len(p.objects)+len(p.prefixes) == w.limit {
				p.more = true
				return p, nil
			}
			if c := w.common(o.Key); c != "" {
				p.prefixes, p.last = append(p.prefixes, c), c
				r, seek = store.Range{From: rows.Begin(c).End()}, true
				break
			}
			p.objects, p.last = append(p.objects, o), o.Key
		}
	}
	return p, nil
}

func (s *Service) page(c *gate.Call, name string, w window) (*bucket, page, error) {
	var b *bucket
	var p page
	err := c.View(func(tx *store.Tx) error {
		var err error
		if b, err = s.t.bucket(tx, name); err != nil {
			return err
		}
		p, err = s.list(tx, b, w)
		return err
	})
	return b, p, err
}

func (w window) contents(p page, who *api.Owner) []api.Object {
	out := make([]api.Object, 0, len(p.objects))
	for i := range p.objects {
		o := &p.objects[i]
		out = append(out, api.Object{Key: w.name(o.Key), LastModified: &o.Modified, ETag: new(quoted(o.ETag)), Size: &o.Size, StorageClass: new(o.class()),
			Owner: who, ChecksumAlgorithm: []string{o.Sum.Algorithm}, ChecksumType: &o.Sum.Type})
	}
	return out
}

func (o *object) class() string {
	if o.Headers.StorageClass == "" {
		return standard
	}
	return o.Headers.StorageClass
}

func (w window) prefixes(names []string) []api.CommonPrefix {
	var out []api.CommonPrefix
	for _, p := range names {
		out = append(out, api.CommonPrefix{Prefix: w.name(p)})
	}
	return out
}

func (s *Service) listObjectsV2(c *gate.Call, in *api.ListObjectsV2Input) (*api.ListObjectsV2Output, error) {
	w, err := newWindow(in.Prefix, in.Delimiter, in.MaxKeys, in.EncodingType)
	if err != nil {
		return nil, err
	}
	w.after = wire.Val(in.StartAfter)
	if in.ContinuationToken != nil {
		if w.after, err = openToken(in.ContinuationToken); err != nil {
			return nil, err
		}
	}
	b, p, err := s.page(c, in.Bucket, w)
	if err != nil {
		return nil, err
	}
	var who *api.Owner
	if wire.Val(in.FetchOwner) {
		who = owner(b.Account)
	}
	out := &api.ListObjectsV2Output{Name: &b.Name, Prefix: w.name(w.prefix), Delimiter: w.shown(in.Delimiter), MaxKeys: new(int32(w.limit)),
		EncodingType: w.encoding(), KeyCount: new(int32(len(p.objects) + len(p.prefixes))), IsTruncated: &p.more, ContinuationToken: in.ContinuationToken,
		StartAfter: w.shown(in.StartAfter), Contents: w.contents(p, who), CommonPrefixes: w.prefixes(p.prefixes)}
	if p.more {
		out.NextContinuationToken = new(token(p.last))
	}
	return out, nil
}

func (s *Service) listObjects(c *gate.Call, in *api.ListObjectsInput) (*api.ListObjectsOutput, error) {
	w, err := newWindow(in.Prefix, in.Delimiter, in.MaxKeys, in.EncodingType)
	if err != nil {
		return nil, err
	}
	w.after = wire.Val(in.Marker)
	b, p, err := s.page(c, in.Bucket, w)
	if err != nil {
		return nil, err
	}
	out := &api.ListObjectsOutput{Name: &b.Name, Prefix: w.name(w.prefix), Marker: w.name(w.after), Delimiter: w.shown(in.Delimiter),
		MaxKeys: new(int32(w.limit)), EncodingType: w.encoding(), IsTruncated: &p.more, Contents: w.contents(p, owner(b.Account)),
		CommonPrefixes: w.prefixes(p.prefixes)}
	if p.more && w.delimiter != "" { // without one the last key says it
		out.NextMarker = w.name(p.last)
	}
	return out, nil
}
