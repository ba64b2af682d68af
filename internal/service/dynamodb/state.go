package dynamodb

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
	"github.com/bastide-cloud/bastide/internal/store"
)

const space = "dynamodb"

// table is a table's record.
type table struct {
	Account, Region, Name, ID string
	Created                   time.Time

	Attributes []attribute
	Key        keySchema
	Indexes    []index
	NextIndex  int // the number that the next index gets; numbers are never used twice

	OnDemand        bool
	OnDemandSince   time.Time `json:",omitzero"` // when it was switched from provisioned
	Throughput      throughput
	Protected       bool
	InfrequentClass bool
	Tags            map[string]string `json:",omitempty"`

	TTL      string // the attribute that holds the time of expiry, "" when off
	TTLIndex int    // the number of its index

	Fills []fill `json:",omitempty"` // indexes that do not yet hold all items
}

// fill is how far an index has been filled from the items that were there before it. Writes keep
// it in step from the beginning.
type fill struct {
	N     int
	After string // the key of the last item seen, "" for none
}

type attribute struct{ Name, Type string }

// keySchema names the partition key and the sort key, which may be missing.
type keySchema struct {
	Hash  string
	Range string `json:",omitempty"`
}

// index is a secondary index. Its rows hold the projected items.
type index struct {
	N          int
	Name       string
	Local      bool
	Key        keySchema
	Projection string   // ALL, KEYS_ONLY or INCLUDE
	NonKey     []string `json:",omitempty"`
	Throughput throughput
}

type throughput struct {
	Read, Write          int64
	Increased, Decreased time.Time `json:",omitzero"`
}

// token is a TransactWriteItems that has been done, kept so that a repetition is not done again.
type token struct {
	Hash    [32]byte // of the request
	Expires time.Time
}

// tables are the service's rows. Only this file names their keys:
//
//	tables   account, region, name                      → table, as JSON
//	items    account, region, table id, 0, key          → item, in package item's binary form
//	items    account, region, table id, n, key          → the same as index n projects it
//	items    account, region, table id, n, expiry, key  → nothing, where n is the index of TTL
//	graves   account, region, table id [, n]            → nothing: rows under this key are to go
//	tokens   account, region, token                     → token
//
// A key is two bytes of the partition key's hash, which spread a scan's segments, then the
// partition key and the sort key in package item's sortable form; in an index the table's own keys
// follow, because an index's keys need not be unique.
type tables struct {
	tables store.Table[[]byte]
	items  store.Table[[]byte]
	tokens store.Table[token]
	graves store.Table[[]byte]
}

func newTables() tables {
	return tables{
		tables: store.NewTable[[]byte](space, "tables").Keep(),
		items:  store.NewTable[[]byte](space, "items").Keep(),
		graves: store.NewTable[[]byte](space, "graves"),
		tokens: store.NewTable(space, "tokens", store.Index[token]{Name: "expires",
			Keys: func(t token) []store.Key { return []store.Key{store.K(t.Expires.Unix())} }}),
	}
}

func tableKey(account, region, name string) store.Key { return store.K(account, region, name) }

func tokenKey(account, region, token string) store.Key { return store.K(account, region, token) }

// rows is the beginning of the keys of index n's rows; 0 is the table itself.
func (t *table) rows(n int) store.Key { return store.K(t.Account, t.Region, t.ID, n) }

const bucketBytes = 2

// appendKey appends the sortable key that k's attributes of it make: bucket, partition key, sort
// key. The item must have them.
func (k keySchema) appendKey(dst []byte, it item.Item) []byte {
	dst = appendPartition(dst, it.Get(k.Hash))
	if k.Range != "" {
		dst = item.AppendKey(dst, it.Get(k.Range))
	}
	return dst
}

// appendPartition appends what all keys of one partition begin with.
func appendPartition(dst []byte, hash item.Value) []byte {
	at := len(dst)
	dst = item.AppendKey(append(dst, 0, 0), hash)
	h := fnv.New32a()
	_, _ = h.Write(dst[at+bucketBytes:]) // never fails
	sum := h.Sum32()
	sum ^= sum >> 16 // FNV's upper bits alone spread short keys badly
	dst[at], dst[at+1] = byte(sum>>8), byte(sum)
	return dst
}

// itemKey is the key of an item of the table.
func (t *table) itemKey(it item.Item) store.Key {
	return t.rows(0).With(string(t.Key.appendKey(nil, it)))
}

// indexKey is the key of an item's row in an index.
func (t *table) indexKey(ix *index, it item.Item) store.Key {
	return t.rows(ix.N).With(string(t.Key.appendKey(ix.Key.appendKey(nil, it), it)))
}

// expiryKey is the key of an item's row in the index of TTL.
func (t *table) expiryKey(at int64, it item.Item) store.Key {
	return t.rows(t.TTLIndex).With(at, string(t.Key.appendKey(nil, it)))
}

// loader reads table records, which every request needs, and keeps them decoded. A record is known
// by the version of its row, so that a copy can never be stale.
type loader struct {
	mu   sync.RWMutex
	kept map[int64]*table
}

const maxLoaded = 1000

func (s *Service) table(tx *store.Tx, ref ref) (*table, bool, error) {
	raw, version, ok, err := s.t.tables.GetVersioned(tx, tableKey(ref.account, ref.region, ref.name))
	if err != nil || !ok {
		return nil, false, err
	}
	l := &s.loaded
	l.mu.RLock()
	t := l.kept[version]
	l.mu.RUnlock()
	if t != nil {
		return t, true, nil
	}
	t = &table{}
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, false, fmt.Errorf("dynamodb: table %s: %w", ref.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil || len(l.kept) >= maxLoaded {
		l.kept = map[int64]*table{}
	}
	l.kept[version] = t
	return t, true, nil
}

// saveTable writes the record, which must be a copy: loaded ones are shared.
func (s *Service) saveTable(tx *store.Tx, t *table) error {
	raw, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("dynamodb: table %s: %w", t.Name, err)
	}
	return s.t.tables.Put(tx, tableKey(t.Account, t.Region, t.Name), raw)
}

// stored reads one row of items.
func (s *Service) stored(tx *store.Tx, key store.Key) (item.Item, error) {
	raw, ok, err := s.t.items.Get(tx, key)
	if err != nil || !ok {
		return nil, err
	}
	return item.FromBinary(raw)
}
