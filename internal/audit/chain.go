package audit

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
)

// hash is a point of a chain: it depends on every record up to there.
type hash [sha256.Size]byte

// genesis is the hash before a node's first record.
func genesis(node string) hash { return sha256.Sum256([]byte("bastide audit chain v1\x00" + node)) }

// next takes in a record with its sequence number, which fixes its place.
func (h hash) next(seq int64, raw []byte) hash {
	d := sha256.New()
	d.Write(h[:])
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(seq))
	binary.BigEndian.PutUint64(b[8:], uint64(len(raw)))
	d.Write(b[:])
	d.Write(raw)
	return hash(d.Sum(nil))
}

func (h hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

func (h *hash) UnmarshalText(b []byte) error {
	if len(b) != 2*len(h) {
		return fmt.Errorf("audit: a hash has %d hex digits", 2*len(h))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// Head is a signed point of a node's chain. Exported and kept elsewhere, it shows later whether the
// trail up to it is still the one that it was.
type Head struct {
	Node      string    `json:"node"`
	Records   int64     `json:"records"` // how many records the chain has up to here, since its beginning
	Seq       int64     `json:"seq"`     // the last one's sequence number
	Hash      hash      `json:"hash"`
	Time      time.Time `json:"time"`
	PublicKey []byte    `json:"publicKey"` // Ed25519
	Signature []byte    `json:"signature"`
}

// statement is what is signed: a domain (head or trim) and every field, one a line.
func (h *Head) statement(domain string) []byte {
	return fmt.Appendf(nil, "bastide audit %s v1\n%s\n%d\n%d\n%x\n%s\n", domain, strconv.Quote(h.Node), h.Records, h.Seq, h.Hash[:], h.Time.UTC().Format(time.RFC3339Nano))
}

func (h *Head) sign(domain string, key ed25519.PrivateKey) {
	h.PublicKey, _ = key.Public().(ed25519.PublicKey)
	h.Signature = ed25519.Sign(key, h.statement(domain))
}

// signed reports whether the head carries pub's signature.
func (h *Head) signed(domain string, pub ed25519.PublicKey) bool {
	return pub.Equal(ed25519.PublicKey(h.PublicKey)) && ed25519.Verify(pub, h.statement(domain), h.Signature)
}

// span is a stretch of a chain: records First to Head.Records, that follow sequence number After,
// between the hashes Prev and Head.Hash.
type span struct {
	First    int64     `json:"first"`
	After    int64     `json:"after"`
	Prev     hash      `json:"prev"`
	Head     Head      `json:"head"`
	Earliest time.Time `json:"earliest"` // event times within
	Latest   time.Time `json:"latest"`
}

// links are spans whose records are rows, by node and number of their last record.
func links() store.Table[span] { return store.NewTable[span](Space, "links").UseReserve() }

// trims are the signed places where kept trails begin, by node: the chain up to there was removed
// by age or size.
func trims() store.Table[Head] { return store.NewTable[Head](Space, "trims").UseReserve() }

// requests say which requests a span or segment may hold records of, under its own key: the sorted
// short hashes of their ids, end to end. An index row a record would cost more than all the rest of
// sealing; looking for a request reads these lists, 8 MB for a million records, and then one part.
func requests() store.Table[[]byte] { return store.NewTable[[]byte](Space, "requests").UseReserve() }

const shortHash = 8

func requestHash(id string) uint64 {
	h := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(h[:])
}

// packRequests makes the list of some hashes, which it sorts.
func packRequests(hashes []uint64) []byte {
	slices.Sort(hashes)
	out := make([]byte, 0, shortHash*len(hashes))
	for _, h := range slices.Compact(hashes) {
		out = binary.BigEndian.AppendUint64(out, h)
	}
	return out
}

func unpackRequests(list []byte) (out []uint64) {
	for ; len(list) >= shortHash; list = list[shortHash:] {
		out = append(out, binary.BigEndian.Uint64(list))
	}
	return out
}

// holdsRequest reports whether the list has the hash.
func holdsRequest(list []byte, hash uint64) bool {
	_, ok := sort.Find(len(list)/shortHash, func(i int) int {
		return cmp.Compare(hash, binary.BigEndian.Uint64(list[i*shortHash:]))
	})
	return ok
}

// last is where a node's sealed chain ends: at its last link, its last segment, where it was
// trimmed, or at its genesis.
func last(tx *store.Tx, node string) (Head, error) {
	end := Head{Node: node, Hash: genesis(node)}
	if trim, ok, err := trims().Get(tx, store.K(node)); err != nil {
		return end, err
	} else if ok {
		end = trim
	}
	newest := store.Range{Reverse: true, Limit: 1}
	for e, err := range segments().Scan(tx, store.K(node), newest) {
		if err != nil {
			return end, err
		}
		if e.Value.Head.Records > end.Records {
			end = e.Value.Head
		}
	}
	for e, err := range links().Scan(tx, store.K(node), newest) {
		if err != nil {
			return end, err
		}
		if e.Value.Head.Records > end.Records {
			end = e.Value.Head
		}
	}
	return end, nil
}
