package lambda

import (
	"context"
	"slices"
	"sync"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Directory is the function URLs that there are, as the edge reads them, and where functions are, as EC2
// does, and their ways out in force: a read-only view of the service's rows.
type Directory struct {
	s  *Service
	db *store.DB

	mu     sync.RWMutex
	copies map[string]urlCopy
}

// NewDirectory reads the service's rows from db.
func NewDirectory(s *Service, db *store.DB) *Directory {
	return &Directory{s: s, db: db, copies: map[string]urlCopy{}}
}

// Served is a function URL with what decides who may call it. It is immutable.
type Served struct {
	ID, Account, Region string
	FunctionARN         string // with the alias that the URL belongs to
	AuthType            string // AWS_IAM or NONE
	InvokeMode          string // BUFFERED or RESPONSE_STREAM
	Cors                *lambda.Cors
	Policy              string // resource policy of the function or alias; "" for none
	Tags                map[string]string
}

// urlCopy is a URL as it was read at a version of its function's row.
type urlCopy struct {
	served *Served
	row    int64
	at     uint64 // the change count at which it was last found fresh
}

const maxURLCopies = 10000

// URL finds a function URL by its id, which is enough to name it; nil where there is none.
func (d *Directory) URL(ctx context.Context, id string) (*Served, error) {
	at := d.db.Changes(space)
	d.mu.RLock()
	known := d.copies[id]
	d.mu.RUnlock()
	if known.served != nil && known.at == at {
		return known.served, nil
	}
	var fresh urlCopy
	err := d.db.View(ctx, store.In(space), func(tx *store.Tx) (err error) {
		fresh, err = d.s.t.served(tx, id, known)
		return err
	})
	if err != nil {
		return nil, err
	}
	fresh.at = at
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.copies) >= maxURLCopies {
		clear(d.copies)
	}
	if fresh.served != nil {
		d.copies[id] = fresh
	} else {
		delete(d.copies, id)
	}
	return fresh.served, nil
}

// served reads a URL, or gives the copy back where nothing of its function has changed.
func (t *tables) served(tx *store.Tx, id string, known urlCopy) (urlCopy, error) {
	row, ok, err := t.urls.By("id").Get(tx, store.K(id))
	if err != nil || !ok {
		return urlCopy{}, err
	}
	u := row.Value
	f, version, ok, err := t.functions.GetVersioned(tx, u.key())
	if err != nil || !ok {
		return urlCopy{}, err
	}
	if known.served != nil && known.row == version {
		return known, nil
	}
	p, _, err := t.permissions.Get(tx, u.key(u.Qualifier))
	if err != nil {
		return urlCopy{}, err
	}
	out := &Served{ID: u.ID, Account: u.Account, Region: u.Region, FunctionARN: u.reference().arn(), AuthType: u.AuthType, InvokeMode: u.mode(), Cors: u.Cors, Tags: f.Tags}
	if len(p.Statements) > 0 {
		out.Policy = p.document()
	}
	return urlCopy{served: out, row: version}, nil
}

// URLs are the ids of all function URLs of all accounts.
func (d *Directory) URLs(ctx context.Context) (ids []string, err error) {
	err = d.db.View(ctx, store.In(space), func(tx *store.Tx) error {
		ids = nil
		for row, err := range d.s.t.urls.Scan(tx, store.K(), store.Range{}) {
			if err != nil {
				return err
			}
			ids = append(ids, row.Value.ID)
		}
		return nil
	})
	return ids, err
}

// InNetwork tells whether a function of an account and region, any version of it, is in a subnet or
// security group.
func (d *Directory) InNetwork(ctx context.Context, account, region, id string) (found bool, err error) {
	err = d.db.View(ctx, store.In(space), func(tx *store.Tx) error {
		found = false
		for v, err := range d.s.t.versions.Scan(tx, store.K(account, region), store.Range{}) {
			if err != nil {
				return err
			}
			if n := v.Value.Network; n != nil && (slices.Contains(n.Subnets, id) || slices.Contains(n.Groups, id)) {
				found = true
				return nil
			}
		}
		return nil
	})
	return found, err
}

// Ways are the ways out that are in force for a version of a function now, whatever its running instances
// were started with: those of its tags and of its security groups. One that is gone has none.
func (d *Directory) Ways(ctx context.Context, f fleet.Function) (out []way.Way, err error) {
	k := functionKey{f.Account, f.Region, f.Name}
	n, _ := name.Number(f.Version) // 0 of $LATEST, as versions are kept
	var groups []string
	err = d.db.View(ctx, store.In(space), func(tx *store.Tx) error {
		out, groups = nil, nil
		fn, ok, err := d.s.t.functions.Get(tx, k.key())
		if err != nil || !ok {
			return err
		}
		v, ok, err := d.s.t.versions.Get(tx, k.key(n))
		if err != nil || !ok {
			return err
		}
		if v.Network != nil {
			groups = v.Network.Groups
		}
		out, err = ways(fn.Tags)
		return err
	})
	if err != nil || len(groups) == 0 || d.s.Networks == nil {
		return out, err
	}
	more, err := d.s.Networks.Ways(ctx, f.Account, f.Region, groups)
	for _, w := range more {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out, err
}
