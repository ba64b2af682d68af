package iam

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Directory is the snapshot of principals and policies that the door reads: copies of IAM's rows,
// compiled, each used only while no change to IAM's space has been committed since.
type Directory struct {
	s  *Service
	db *store.DB

	mu     sync.RWMutex
	at     uint64 // the change count that the copies were made at
	grants map[string]gate.Grant
	keys   map[string]identity.Credential
}

// Copies are bounded; a full map is emptied rather than evicted, for it is only a copy.
const maxCopies = 10000

// NewDirectory reads IAM's rows from db.
func NewDirectory(s *Service, db *store.DB) *Directory {
	return &Directory{s: s, db: db, grants: map[string]gate.Grant{}, keys: map[string]identity.Credential{}}
}

// Version grows with every change to IAM's rows.
func (d *Directory) Version() uint64 { return d.db.Changes(space) }

// Lookup finds a long-term access key that is active.
func (d *Directory) Lookup(accessKeyID string) (identity.Credential, bool) {
	at := d.Version()
	d.mu.RLock()
	c, ok := d.keys[accessKeyID]
	fresh := d.at == at
	d.mu.RUnlock()
	if ok && fresh {
		return c, true
	}
	c, ok, err := d.readKey(accessKeyID)
	if err != nil || !ok {
		return identity.Credential{}, false // closed by default: a key that cannot be read is none
	}
	d.keep(at, func() { d.keys[accessKeyID] = c })
	return c, true
}

// keep stores a copy that was read after the count stood at at.
func (d *Directory) keep(at uint64, put func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at != at {
		if at < d.at {
			return // somebody has read later rows
		}
		clear(d.grants)
		clear(d.keys)
		d.at = at
	}
	if len(d.grants)+len(d.keys) >= maxCopies {
		clear(d.grants)
		clear(d.keys)
	}
	put()
}

func (d *Directory) view(fn func(*store.Tx) error) error {
	return d.db.View(context.Background(), store.In(space), fn)
}

func (d *Directory) readKey(id string) (c identity.Credential, ok bool, err error) {
	err = d.view(func(tx *store.Tx) error {
		k, found, err := d.s.t.keys.Get(tx, keyKey(id))
		if err != nil || !found || !k.Active {
			return err
		}
		u, err := d.s.t.users.get(tx, k.Account, k.User)
		if err != nil {
			return err
		}
		secret, err := d.s.sealer.Open(tx, []byte(k.ID), k.Secret)
		if err != nil {
			return err
		}
		c, ok = identity.Credential{Secret: string(secret), Active: true, Account: u.Account, ARN: u.arn(d.s.t.users),
			UserID: u.ID, UserName: u.Name, Tags: u.Tags}, true
		return nil
	})
	return c, ok, err
}

// Grant is the policies that bind a principal, except the resource's own.
func (d *Directory) Grant(p identity.Principal) (gate.Grant, error) {
	at := d.Version()
	if cacheable(p) {
		d.mu.RLock()
		g, ok := d.grants[grantKey(p)]
		fresh := d.at == at
		d.mu.RUnlock()
		if ok && fresh {
			return g, nil
		}
	}
	var g gate.Grant
	err := d.view(func(tx *store.Tx) (err error) {
		g, err = d.read(tx, p)
		return err
	})
	g.Version = at
	if err == nil && cacheable(p) {
		d.keep(at, func() { d.grants[grantKey(p)] = g })
	}
	return g, err
}

// cacheable principals are those that their ARN says everything of: a session that narrows its
// role, or carries tags of its own, is not.
func cacheable(p identity.Principal) bool {
	return p.Kind() == identity.KindUser || p.Kind() == identity.KindRoot ||
		p.Kind() == identity.KindAssumedRole && len(p.SessionPolicies()) == 0 && len(p.SessionPolicyARNs()) == 0 && len(p.Tags()) == 0
}

// grantKey tells a role or user from one that was made anew under the same name.
func grantKey(p identity.Principal) string { return p.UserID() + " " + p.ARN() }

func (d *Directory) read(tx *store.Tx, p identity.Principal) (gate.Grant, error) {
	g := gate.Grant{Principal: policy.Principal{ARN: p.ARN(), Account: p.Account(), Type: principalType(p.Kind()), UserID: p.UserID(),
		Tags: p.Tags(), SessionName: p.SessionName(), Service: p.ServiceName()}}
	var err error
	switch p.Kind() {
	case identity.KindUser:
		id := p.UserID()
		if p.OpenCredentials() {
			id = "" // whoever calls stands for the administrator, by name
			if e, ok, err := d.s.t.users.table.Get(tx, nameKey(p.Account(), p.UserName())); err == nil && ok {
				g.Principal.UserID = e.ID // by which resources' policies name the administrator
			}
		}
		g.Set, g.Principal.Tags, err = d.entity(tx, d.s.t.users, p.Account(), p.UserName(), id)
	case identity.KindAssumedRole:
		g.Principal.RoleARN = p.RoleARN()
		role, perr := arn.Parse(p.RoleARN())
		if perr != nil {
			return g, perr
		}
		g.Set, _, err = d.entity(tx, d.s.t.roles, p.Account(), role.Last(), p.RoleUniqueID())
	}
	if err != nil {
		return g, err
	}
	g.Set.Session, err = d.session(tx, p)
	return g, err
}

// principalType is the kind in the policy language's terms.
func principalType(k identity.Kind) string {
	switch k {
	case identity.KindUser:
		return policy.User
	case identity.KindRoot:
		return policy.Root
	case identity.KindAssumedRole:
		return policy.AssumedRole
	case identity.KindFederatedUser:
		return policy.FederatedUser
	case identity.KindService:
		return policy.Service
	}
	return policy.Anonymous // to AWS's policies an authorizer's caller is nobody
}

// entity gathers a user's or role's policies, and its tags. The credentials of one that is gone, or was made anew
// under the same name, are refused as AWS refuses them.
func (d *Directory) entity(tx *store.Tx, k kind, account, name, id string) (set policy.Set, tags map[string]string, err error) {
	e, ok, err := k.table.Get(tx, nameKey(account, name))
	if err != nil {
		return set, nil, err
	}
	if !ok || (id != "" && e.ID != id) {
		return set, nil, awserr.Of(awserr.InvalidToken, "The security token included in the request is invalid.")
	}
	for _, n := range sortedKeys(e.Inline) {
		a, err := compiled(e.Inline[n], policy.Identity, n, "", fmt.Sprintf("%s %s inline policy %s", k.noun, e.Name, n))
		if err != nil {
			return set, nil, err
		}
		set.Identity = append(set.Identity, a)
	}
	for _, policyARN := range e.Attached {
		a, err := d.managed(tx, account, policyARN, policy.Identity, fmt.Sprintf("%s %s managed policy %s", k.noun, e.Name, lastOf(policyARN)))
		if err != nil {
			return set, nil, err
		}
		set.Identity = append(set.Identity, a)
	}
	if e.Boundary != "" {
		b, err := d.managed(tx, account, e.Boundary, policy.Boundary, fmt.Sprintf("%s %s permissions boundary %s", k.noun, e.Name, lastOf(e.Boundary)))
		if err != nil {
			return set, nil, err
		}
		set.Boundary = &b
	}
	return set, e.Tags, nil
}

// managed compiles a managed policy; one that is gone allows nothing.
func (d *Directory) managed(tx *store.Tx, account, policyARN string, kind policy.Kind, where string) (policy.Attached, error) {
	m := managed{Account: account}
	if a, ok := d.s.aws[policyARN]; ok {
		m = a.managed()
	} else {
		var err error
		if m, err = d.s.getManaged(tx, account, policyARN); err != nil {
			return policy.Attached{Name: lastOf(policyARN), ARN: policyARN, Where: where + " (missing)"}, nil
		}
	}
	return compiled(m.document(), kind, lastOf(policyARN), policyARN, where)
}

// maxDocument is above the longest of AWS's own policies, which keep no quota; a customer's are
// measured when they are put. Bytes.
const maxDocument = 1 << 20

func compiled(doc string, kind policy.Kind, name, policyARN, where string) (policy.Attached, error) {
	p, err := policy.Parse([]byte(doc), kind, policy.Options{MaxBytes: maxDocument})
	if err != nil {
		return policy.Attached{}, fmt.Errorf("iam: %s: %w", where, err)
	}
	return policy.Attached{Policy: p, Name: name, ARN: policyARN, Where: where}, nil
}

// session gathers the policies that narrow a session; nil where there are none.
func (d *Directory) session(tx *store.Tx, p identity.Principal) ([]policy.Attached, error) {
	var out []policy.Attached
	for _, doc := range p.SessionPolicies() {
		a, err := compiled(doc, policy.Session, "session", "", "session "+p.SessionName()+" inline policy")
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	for _, policyARN := range p.SessionPolicyARNs() {
		a, err := d.managed(tx, p.Account(), policyARN, policy.Session, "session "+p.SessionName()+" managed policy "+lastOf(policyARN))
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// PrincipalID is the unique id of the user or role that has this ARN now.
func (d *Directory) PrincipalID(principalARN string) (id string, ok bool, err error) {
	a, err := arn.Parse(principalARN)
	if err != nil {
		return "", false, nil // no ARN, nobody
	}
	k := d.s.t.users
	if strings.HasPrefix(a.Resource, d.s.t.roles.noun+"/") {
		k = d.s.t.roles
	}
	err = d.view(func(tx *store.Tx) error {
		e, found, err := k.table.Get(tx, nameKey(a.Account, a.Last()))
		if err == nil && found && e.arn(k) == principalARN {
			id, ok = e.ID, true
		}
		return err
	})
	return id, ok, err
}

// RoleInfo is what STS must know of a role.
type RoleInfo struct {
	ARN, Account, Name, ID, Trust string
	MaxSession                    int32 // seconds
	Tags                          map[string]string
}

// Role finds a role by its ARN, in any account.
func (d *Directory) Role(ctx context.Context, roleARN string) (info RoleInfo, ok bool, err error) {
	a, err := arn.Parse(roleARN)
	if err != nil {
		return info, false, nil
	}
	err = d.db.View(ctx, store.In(space), func(tx *store.Tx) error {
		e, found, err := d.s.t.roles.table.Get(tx, nameKey(a.Account, a.Last()))
		if err != nil || !found || e.arn(d.s.t.roles) != roleARN {
			return err
		}
		ok = true
		info = RoleInfo{roleARN, e.Account, e.Name, e.ID, e.Trust, e.MaxSession, e.Tags}
		return nil
	})
	return info, ok, err
}

var (
	_ gate.Directory     = (*Directory)(nil)
	_ gate.Principals    = (*Directory)(nil)
	_ identity.Directory = (*Directory)(nil)
)
