package lambda

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

// target is everything that an Invoke of one reference needs, read once and used while it is
// fresh: who may, and what runs. A call then costs no transaction.
type target struct {
	reference
	named   string                       // ARN with the qualifier
	netAt   uint64                       // the count of changes of networks that its ways were read at
	groups  map[*fleet.Function][]string // security groups that it is in
	row     int64                        // the version of the function's row that all of it was read at
	held    int32                        // concurrency that functions of the region have reserved
	heldRow int64                        // and the version of the row that says so
	fn      function
	policy  *policy.Attached
	tags    func(string) policy.Values
	first   *fleet.Function
	second  *fleet.Function // of a weighted alias
	async   invokeConfig
	weight  float64
	at      atomic.Uint64 // the change count at which it was last found fresh
	missing []needed      // packages to be unpacked before the first use
}

type needed struct {
	packageUse
	blob   string
	layers []keptLayer         // of an image, lowest first
	image  map[string]blob.Ref // and their blobs, by digest
}

// targets are the copies. They are bounded; a full map is emptied, for it is only a copy.
type targets struct {
	mu     sync.RWMutex
	byName map[reference]*target
}

const maxTargets = 10000

// view is Ask.View or Call.View.
type view func(func(*store.Tx) error) error

// target finds what r means; nil where there is no such function, version or alias.
func (s *Service) target(ctx context.Context, in view, r reference) (*target, error) {
	at := s.Changes()
	s.targets.mu.RLock()
	t := s.targets.byName[r]
	s.targets.mu.RUnlock()
	if t != nil && t.at.Load() == at {
		return t, nil
	}
	var fresh *target
	err := in(func(tx *store.Tx) (err error) {
		fresh, err = s.refresh(tx, r, t)
		return err
	})
	if err != nil || fresh == nil {
		return nil, err
	}
	if fresh != t {
		if err := s.letOut(ctx, fresh); err != nil {
			return nil, err
		}
		if err := s.unpackAll(ctx, fresh); err != nil {
			return nil, err
		}
		s.targets.mu.Lock()
		if len(s.targets.byName) >= maxTargets {
			clear(s.targets.byName)
		}
		s.targets.byName[r] = fresh
		s.targets.mu.Unlock()
	}
	fresh.at.Store(at)
	return fresh, nil
}

// refresh gives t back where nothing of its function has changed, or reads it anew. The queue of
// asynchronous invocations lives in the same space, so that the change count alone says little.
func (s *Service) refresh(tx *store.Tx, r reference, t *target) (*target, error) {
	fn, row, ok, err := s.t.functions.GetVersioned(tx, r.key())
	if err != nil || !ok {
		return nil, err
	}
	netAt := s.networks()
	held, heldRow, _, err := s.t.reserved.GetVersioned(tx, regionKey(r.Account, r.Region))
	if err != nil {
		return nil, err
	}
	if t != nil && t.row == row && t.heldRow == heldRow && t.netAt == netAt {
		return t, nil
	}
	return s.read(tx, &target{reference: r, named: r.arn(), row: row, heldRow: heldRow, netAt: netAt, groups: map[*fleet.Function][]string{}, held: held.Sum, fn: fn, tags: gate.ResourceTags(fn.Tags)})
}

func (s *Service) read(tx *store.Tx, t *target) (*target, error) {
	r := t.reference
	first, other := int64(0), int64(0)
	if n, ok := name.Number(r.Qualifier); ok {
		first = n
	} else if r.Qualifier != "" && r.Qualifier != name.Latest {
		a, ok, err := s.t.aliases.Get(tx, r.key(r.Qualifier))
		if err != nil || !ok {
			return nil, err
		}
		first, other, t.weight = a.Version, a.Other, a.Weight
	}
	var err error
	if t.first, err = s.runnable(tx, t, first); err != nil || t.first == nil {
		return nil, err
	}
	if other != 0 {
		if t.second, err = s.runnable(tx, t, other); err != nil || t.second == nil {
			return nil, err
		}
	}
	if t.async, _, err = s.t.async.Get(tx, r.key(qualified(r.Qualifier))); err != nil {
		return nil, err
	}
	p, _, err := s.t.permissions.Get(tx, r.key(policyOf(r.Qualifier)))
	if err != nil || len(p.Statements) == 0 {
		return t, err
	}
	compiled, err := policy.Parse([]byte(p.document()), policy.Resource)
	if err != nil {
		return nil, fmt.Errorf("lambda: the policy of %s: %w", t.named, err)
	}
	t.policy = &policy.Attached{Policy: compiled, Name: "default", ARN: t.named, Where: whereOf(r)}
	return t, nil
}

// runnable is one version as the Runner starts it, nil where there is none.
func (s *Service) runnable(tx *store.Tx, t *target, n int64) (*fleet.Function, error) {
	k := t.functionKey
	v, ok, err := s.t.versions.Get(tx, k.key(n))
	if err != nil || !ok {
		return nil, err
	}
	env, err := s.environment(tx, k, v)
	if err != nil {
		return nil, err
	}
	f := &fleet.Function{ARN: k.arn(""), Name: k.Name, Version: v.qualifier(), Revision: v.Revision, Account: k.Account, Region: k.Region, Role: v.Role,
		Runtime: v.Runtime, Handler: v.Handler, Env: env, MemoryMB: int(v.Memory), TmpMB: int(v.Tmp), Timeout: time.Duration(v.Timeout) * time.Second, LogGroup: v.LogGroup,
		LogFormat: v.LogFormat, LogLevel: v.LogLevel}
	if t.fn.Reserved != nil {
		f.Reserved = new(int(*t.fn.Reserved))
	}
	f.HeldBack = int(t.held)
	if v.Network != nil {
		t.groups[f] = v.Network.Groups
	}
	if f.Ways, err = ways(t.fn.Tags); err != nil {
		return nil, err
	}
	if len(f.Ways) > 0 {
		f.Revision += " " + strings.Join(declared(t.fn.Tags), " ") // instances with other ways out end
	}
	v.stay(f)
	if err := s.confine(tx, t.fn, v, f); err != nil {
		return nil, err
	}
	profile, mode, err := s.profileOf(tx, t.fn, v.Code.SHA256)
	if err != nil {
		return nil, err
	}
	f.Profile = profile
	f.Revision += mode
	for i, use := range v.packages() {
		if use.Image {
			n, err := s.runnableImage(tx, v, f)
			if err != nil {
				return nil, fmt.Errorf("lambda: the image of %s: %w", k.arn(v.qualifier()), err)
			}
			t.missing = append(t.missing, n)
			continue
		}
		a, ok, err := s.t.archives.Get(tx, archiveKey(use.SHA256))
		if err != nil || !ok {
			return nil, fmt.Errorf("lambda: an archive of %s is gone: %w", k.arn(v.qualifier()), err)
		}
		t.missing = append(t.missing, needed{packageUse: use, blob: a.Blob.ID})
		dir, _ := s.Code.Dir(use.SHA256)
		if i == 0 {
			f.Code = dir
		} else {
			f.Layers = append(f.Layers, dir)
		}
	}
	return f, nil
}

// unpackAll makes sure that the target's packages are on the disk: they are only copies of the
// archives, and go with a restart of the machine.
func (s *Service) unpackAll(ctx context.Context, t *target) error {
	for _, n := range t.missing {
		if n.Image {
			if s.Images.Has(n.SHA256) {
				continue
			}
			if err := s.unpackImage(ctx, n.SHA256, n.layers, n.image); err != nil {
				return fmt.Errorf("lambda: unpacking an image again: %w", err)
			}
			continue
		}
		if s.Code.Has(n.SHA256) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := s.Blobs.Open(n.blob)
		if err != nil {
			return err
		}
		_, err = s.Code.Add(f, n.Size, n.SHA256, pack.Limits{Unzipped: pack.MaxUnzipped, Entries: pack.MaxEntries})
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("lambda: unpacking again: %w", err)
		}
	}
	t.missing = nil
	return nil
}

// pick is the version that an invocation runs.
func (s *Service) pick(t *target) *fleet.Function {
	if t.second != nil && s.Chance() < t.weight {
		return t.second
	}
	return t.first
}

// targetNeed is the need of an Invoke, from the copy.
func (s *Service) targetNeed(a *gate.Ask, r reference) (gate.Need, error) {
	t, err := s.target(a.Context(), a.View, r)
	if err != nil {
		return gate.Need{}, err
	}
	if t == nil {
		return gate.Need{Action: "lambda:InvokeFunction", Resource: r.arn(), Account: r.Account}, nil
	}
	return gate.Need{Action: "lambda:InvokeFunction", Resource: t.named, Account: r.Account, Policy: t.policy, Lazy: t.tags}, nil
}
