package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

// Filter chooses records; every member that is set must match.
type Filter struct {
	From, To    time.Time // event time: From inclusive, To exclusive
	Principal   string    // a principal's ARN, its issuer's ARN, user name, principal id or access key id
	Account     string    // recipientAccountId or the caller's account
	Region      string
	EventName   string
	EventSource string
	ErrorCode   string // "*" for any error
	RequestID   string
	EventID     string
	Resource    string // a resource's ARN, or a prefix of one ending in "*"
	SourceIP    string // an address or a CIDR prefix
	Limit       int    // 0 is none
	Newest      bool   // newest first
}

// Query yields the records that match f, in the order of their commits, or the reverse; several
// nodes' records are merged by event time. It sees what is committed while it runs; records that
// retention removes meanwhile are left out. After an error it ends.
func (t *Trail) Query(ctx context.Context, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		m, err := f.compile()
		if err != nil {
			yield(Record{}, err)
			return
		}
		var nodes []string
		if err == nil {
			nodes, err = t.nodes(ctx)
		}
		if err != nil {
			yield(Record{}, fmt.Errorf("audit: query: %w", err))
			return
		}
		walks := make([]iter.Seq2[Record, error], len(nodes))
		for i, n := range nodes {
			walks[i] = t.walk(ctx, n, m)
		}
		left := f.Limit
		for r, err := range merge(walks, f.Newest) {
			if err != nil {
				yield(Record{}, fmt.Errorf("audit: query: %w", err))
				return
			}
			if !yield(r, nil) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// merge joins walks that are each about in order of time.
func merge(walks []iter.Seq2[Record, error], newest bool) iter.Seq2[Record, error] {
	if len(walks) == 1 {
		return walks[0]
	}
	return func(yield func(Record, error) bool) {
		type source struct {
			next func() (Record, error, bool)
			r    Record
			err  error
		}
		var open []*source
		for _, w := range walks {
			next, stop := iter.Pull2(w)
			defer stop()
			s := &source{next: next}
			var ok bool
			if s.r, s.err, ok = next(); ok {
				open = append(open, s)
			}
		}
		for len(open) > 0 {
			first := 0
			for i, s := range open {
				d := s.r.EventTime.Compare(open[first].r.EventTime)
				if s.err != nil || newest && d > 0 || !newest && d < 0 {
					first = i
				}
			}
			s := open[first]
			if !yield(s.r, s.err) || s.err != nil {
				return
			}
			var ok bool
			if s.r, s.err, ok = s.next(); !ok {
				open = slices.Delete(open, first, first+1)
			}
		}
	}
}

// part is a stretch of a chain as a query reads it.
type part struct {
	span
	seg  *segment // where its records are, if in a file
	tail bool     // the records that no head covers yet
	skip bool     // its list says that it has none of the wanted request
}

// walk goes through a chain part by part; between parts it holds no transaction.
func (t *Trail) walk(ctx context.Context, node string, m *matcher) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		at := int64(1)
		if m.f.Newest {
			at = 1 << 62
		}
		for {
			p, ok, err := t.partAt(ctx, node, at, m)
			if err != nil {
				yield(Record{}, err)
				return
			}
			if !ok {
				return
			}
			if p.tail || m.overlaps(p.span) && !p.skip {
				if more := t.yieldPart(ctx, p, at, m, yield); !more {
					return
				}
			}
			switch {
			case m.f.Newest:
				at = p.First - 1
			case p.tail:
				return
			default:
				at = p.Head.Records + 1
			}
		}
	}
}

// partAt finds the part that holds record number n or, if that is not kept, the nearest one in the
// direction of the walk. Files come first: rows that a file has taken over may still be there.
func (t *Trail) partAt(ctx context.Context, node string, n int64, m *matcher) (p part, ok bool, err error) {
	newest := m.f.Newest
	err = t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
		p, ok = part{}, false
		for e, err := range segments().Scan(tx, store.K(node), store.Range{From: store.K(node, n), Limit: 1}) {
			if err != nil {
				return err
			}
			if e.Value.First <= n || !newest {
				p, ok = part{span: e.Value.span, seg: &e.Value}, true
				p.skip, err = m.skips(tx, e.Key)
				return err
			}
		}
		for e, err := range links().Scan(tx, store.K(node), store.Range{From: store.K(node, n), Limit: 1}) {
			if err != nil {
				return err
			}
			if e.Value.First <= n || !newest {
				p, ok = part{span: e.Value}, true
				p.skip, err = m.skips(tx, e.Key)
				return err
			}
		}
		end, err := last(tx, node)
		if err != nil {
			return err
		}
		if n > end.Records {
			p = part{tail: true, span: span{First: end.Records + 1, After: end.Seq, Head: Head{Node: node, Seq: maxSeq}}}
			ok = true
		}
		return nil
	})
	return p, ok, err
}

// yieldPart hands out the matching records of p, beginning with number at when going forward and
// ending there when going back, and reports whether the walk goes on.
func (t *Trail) yieldPart(ctx context.Context, p part, at int64, m *matcher, yield func(Record, error) bool) bool {
	var back []Record // newest first: a part is read forward and handed out in reverse
	n := p.First - 1
	stopped := false
	take := func(e entry) (bool, error) {
		n++
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if m.f.Newest && n > at {
			return false, nil
		}
		if !m.f.Newest && n < at {
			return true, nil
		}
		r, ok, err := m.match(e.raw)
		if err != nil || !ok {
			return true, err
		}
		if m.f.Newest {
			back = append(back, r)
			return true, nil
		}
		stopped = !yield(r, nil)
		return !stopped, nil
	}
	err := t.read(ctx, p, take)
	if errors.Is(err, blob.ErrNotFound) {
		err = nil // removed by retention since it was looked up
	}
	if err != nil {
		yield(Record{}, err)
		return false
	}
	for _, r := range slices.Backward(back) {
		if !yield(r, nil) {
			return false
		}
	}
	return !stopped
}

func (t *Trail) read(ctx context.Context, p part, take func(entry) (bool, error)) error {
	if p.seg != nil {
		return t.readSegment(*p.seg, take)
	}
	at := p.After
	for {
		page, end, err := t.page(ctx, p.span, at)
		if err != nil || end == at {
			return err
		}
		for _, e := range page {
			if more, err := take(e); err != nil || !more {
				return err
			}
		}
		at = end
	}
}

// matcher is a filter made ready.
type matcher struct {
	f       Filter
	must    [][]byte // what an encoded record must contain to be worth decoding
	request uint64   // hash of the request id, if the filter has one
	prefix  netip.Prefix
}

func (f Filter) compile() (*matcher, error) {
	m := &matcher{f: f, request: requestHash(f.RequestID)}
	for _, s := range []string{f.Principal, f.Account, f.Region, f.EventName, f.EventSource, f.RequestID, f.EventID, strings.TrimSuffix(f.Resource, "*"), strings.TrimSuffix(f.ErrorCode, "*")} {
		if s == "" {
			continue
		}
		quoted, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("audit: query: %w", err)
		}
		m.must = append(m.must, quoted[1:len(quoted)-1])
	}
	if strings.Contains(f.SourceIP, "/") {
		p, err := netip.ParsePrefix(f.SourceIP)
		if err != nil {
			return nil, fmt.Errorf("audit: query: source address: %w", err)
		}
		m.prefix = p.Masked()
	}
	return m, nil
}

// skips reports whether the part under key cannot hold the wanted request. A list that is missing
// proves nothing.
func (m *matcher) skips(tx *store.Tx, key store.Key) (bool, error) {
	if m.f.RequestID == "" {
		return false, nil
	}
	list, ok, err := requests().Get(tx, key)
	return ok && !holdsRequest(list, m.request), err
}

func (m *matcher) overlaps(s span) bool {
	return (m.f.From.IsZero() || !s.Latest.Before(m.f.From)) && (m.f.To.IsZero() || s.Earliest.Before(m.f.To))
}

func (m *matcher) match(raw []byte) (r Record, ok bool, err error) {
	for _, b := range m.must {
		if !bytes.Contains(raw, b) {
			return r, false, nil
		}
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, false, fmt.Errorf("a record cannot be read: %w", err)
	}
	return r, m.chooses(&r), nil
}

// Matches reports whether f chooses r.
func (f Filter) Matches(r Record) bool {
	m, err := f.compile()
	return err == nil && m.chooses(&r)
}

func (m *matcher) chooses(r *Record) bool {
	f := &m.f
	is := func(want, have string) bool { return want == "" || want == have }
	return (f.From.IsZero() || !r.EventTime.Before(f.From)) && (f.To.IsZero() || r.EventTime.Before(f.To)) &&
		is(f.Region, r.AWSRegion) && is(f.EventName, r.EventName) && is(f.EventSource, r.EventSource) &&
		is(f.RequestID, r.RequestID) && is(f.EventID, r.EventID) &&
		(f.Account == "" || f.Account == r.RecipientAccountID || f.Account == r.UserIdentity.AccountID) &&
		(is(f.ErrorCode, r.ErrorCode) || f.ErrorCode == "*" && r.ErrorCode != "") &&
		(f.Principal == "" || r.UserIdentity.is(f.Principal)) &&
		(f.Resource == "" || slices.ContainsFunc(r.Resources, f.names)) && m.from(r.SourceIPAddress)
}

func (f *Filter) names(r Resource) bool {
	if p, ok := strings.CutSuffix(f.Resource, "*"); ok {
		return strings.HasPrefix(r.ARN, p)
	}
	return r.ARN == f.Resource
}

func (m *matcher) from(address string) bool {
	if !m.prefix.IsValid() {
		return m.f.SourceIP == "" || m.f.SourceIP == address
	}
	a, err := netip.ParseAddr(address)
	return err == nil && m.prefix.Contains(a.Unmap())
}

func (u *UserIdentity) is(p string) bool {
	if slices.Contains([]string{u.ARN, u.UserName, u.PrincipalID, u.AccessKeyID}, p) {
		return true
	}
	return u.SessionContext != nil && u.SessionContext.SessionIssuer != nil && u.SessionContext.SessionIssuer.ARN == p
}

// Tail yields the records that match f from now on, as they are committed, until ctx ends. A
// consumer that falls behind by more than SegmentAfter may miss records, as they move to files.
func (t *Trail) Tail(ctx context.Context, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		m, err := f.compile()
		at := int64(minSeq)
		changed, cancel := t.db.Watch(Space)
		defer cancel()
		node := t.opt.Node
		if err == nil {
			err = t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
				for e, err := range records().Scan(tx, store.K(node), store.Range{Reverse: true, Limit: 1}) {
					if err != nil {
						return err
					}
					at = e.Key.Int(1)
				}
				return nil
			})
		}
		for err == nil {
			var page []entry
			from := at
			page, at, err = t.page(ctx, span{Head: Head{Node: node, Seq: maxSeq}}, at)
			for _, e := range page {
				r, ok, merr := m.match(e.raw)
				if merr != nil {
					err = merr
					break
				}
				if ok && !yield(r, nil) {
					return
				}
			}
			if at != from || err != nil {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case _, ok := <-changed:
				if !ok {
					return
				}
			}
		}
		if ctx.Err() == nil {
			yield(Record{}, fmt.Errorf("audit: tail: %w", err))
		}
	}
}
