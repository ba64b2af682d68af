package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bastide-cloud/bastide/internal/store"
)

// Report is what Verify found. A trail that is as it was written has no Problems.
type Report struct {
	Nodes    []NodeReport `json:"nodes"`
	Problems []Problem    `json:"problems"`
}

// OK reports whether nothing was found.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// NodeReport is one chain: how many records it holds under signed heads, how many younger ones, and
// from which record number it is kept.
type NodeReport struct {
	Node     string `json:"node"`
	From     int64  `json:"from"`
	Sealed   int64  `json:"sealed"`
	Unsealed int64  `json:"unsealed"`
	Head     Head   `json:"head"`
}

// Problem is a stretch of a chain, by record numbers, that is not what was signed.
type Problem struct {
	Node  string `json:"node"`
	First int64  `json:"first"`
	Last  int64  `json:"last"`
	What  string `json:"what"`
}

func (p Problem) String() string {
	return fmt.Sprintf("%s, records %d to %d: %s", p.Node, p.First, p.Last, p.What)
}

// Verify reads the whole trail and compares it with its signed heads, and with heads exported
// earlier if any are given. An error means that it could not be read; what is wrong with what was
// read stands in the report.
func (t *Trail) Verify(ctx context.Context, exported ...Head) (Report, error) {
	t.sealing.Lock() // nothing moves meanwhile
	defer t.sealing.Unlock()
	var r Report
	nodes, err := t.nodes(ctx)
	if err != nil {
		return r, fmt.Errorf("audit: verify: %w", err)
	}
	for _, h := range exported {
		if !slices.Contains(nodes, h.Node) {
			nodes = append(nodes, h.Node)
		}
	}
	for _, node := range nodes {
		v := &verifier{t: t, ctx: ctx, node: node, out: &r}
		for _, h := range exported {
			if h.Node == node {
				v.exported = append(v.exported, h)
			}
		}
		if err := v.run(); err != nil {
			return r, fmt.Errorf("audit: verify: %w", err)
		}
	}
	return r, nil
}

// nodes are the chains that the trail has.
func (t *Trail) nodes(ctx context.Context) (out []string, err error) {
	err = t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
		out = nil
		for _, first := range []func(store.Range) (store.Key, error){
			func(r store.Range) (store.Key, error) { return firstKey(tx, records(), r) },
			func(r store.Range) (store.Key, error) { return firstKey(tx, links(), r) },
			func(r store.Range) (store.Key, error) { return firstKey(tx, segments(), r) },
			func(r store.Range) (store.Key, error) { return firstKey(tx, trims(), r) },
		} {
			r := store.Range{Limit: 1}
			for {
				k, err := first(r)
				if err != nil {
					return err
				}
				if k.IsZero() {
					break
				}
				if n := k.Text(0); !slices.Contains(out, n) {
					out = append(out, n)
				}
				r.From = store.K(k.Text(0)).End()
			}
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}

func firstKey[T any](tx *store.Tx, in store.Table[T], r store.Range) (store.Key, error) {
	for e, err := range in.Scan(tx, store.Key{}, r) {
		return e.Key, err
	}
	return store.Key{}, nil
}

// verifier walks one chain from where it is kept to its end.
type verifier struct {
	t        *Trail
	ctx      context.Context
	node     string
	exported []Head
	out      *Report
	end      Head // as far as the walk has come
}

func (v *verifier) problem(first, last int64, format string, args ...any) {
	v.out.Problems = append(v.out.Problems, Problem{v.node, first, last, fmt.Sprintf(format, args...)})
}

func (v *verifier) run() error {
	v.end = Head{Node: v.node, Hash: genesis(v.node)}
	segs, spans, trim, err := v.t.inventory(v.ctx, v.node)
	if err != nil {
		return err
	}
	if trim != nil {
		if !trim.signed("trim", v.t.pub) || trim.Node != v.node {
			v.problem(1, trim.Records, "the note of the trail's removed beginning is not signed by this node's key")
		}
		v.end = *trim
	}
	n := NodeReport{Node: v.node, From: v.end.Records + 1}
	v.points(v.end)
	for _, s := range segs {
		if err := v.span(s.span, func(take func(entry)) error { return v.readFile(s, take) }); err != nil {
			return err
		}
	}
	cleared := len(segs) == 0 || segs[len(segs)-1].Cleared
	if err := v.strays(n.From, cleared); err != nil {
		return err
	}
	for _, s := range spans {
		if s.Head.Records <= v.end.Records && !cleared {
			continue // taken over by a segment, not yet deleted
		}
		if err := v.span(s, func(take func(entry)) error { return v.readRows(s, take) }); err != nil {
			return err
		}
	}
	for _, h := range v.exported {
		switch {
		case !h.signed("head", v.t.pub):
			v.problem(h.Records, h.Records, "the exported head is not signed by this node's key")
		case h.Records > v.end.Records:
			v.problem(v.end.Records+1, h.Records, "missing: the exported head has them")
		case h.Records < n.From-1:
			v.problem(h.Records, h.Records, "removed by retention: the exported head can no longer be compared")
		}
	}
	n.Sealed, n.Head = v.end.Records, v.end
	n.Unsealed, err = v.unsealed()
	v.out.Nodes = append(v.out.Nodes, n)
	return err
}

// inventory reads the descriptions of a chain's parts.
func (t *Trail) inventory(ctx context.Context, node string) (segs []segment, spans []span, trim *Head, err error) {
	err = t.db.View(ctx, store.In(Space), func(tx *store.Tx) error {
		segs, spans, trim = nil, nil, nil
		for e, err := range segments().Scan(tx, store.K(node), store.Range{}) {
			if err != nil {
				return err
			}
			segs = append(segs, e.Value)
		}
		for e, err := range links().Scan(tx, store.K(node), store.Range{}) {
			if err != nil {
				return err
			}
			spans = append(spans, e.Value)
		}
		h, ok, err := trims().Get(tx, store.K(node))
		if ok {
			trim = &h
		}
		return err
	})
	return segs, spans, trim, err
}

// span compares one stretch with its signed head, and its place with the stretch before.
func (v *verifier) span(s span, read func(take func(entry)) error) error {
	if s.First != v.end.Records+1 || s.Prev != v.end.Hash || s.After != v.end.Seq {
		if s.First > v.end.Records+1 {
			v.problem(v.end.Records+1, s.First-1, "missing between two signed heads")
		} else {
			v.problem(s.First, s.Head.Records, "does not follow the record before it")
		}
	}
	if s.Head.Node != v.node || !s.Head.signed("head", v.t.pub) {
		v.problem(s.First, s.Head.Records, "the head is not signed by this node's key")
	}
	h, n, order := s.Prev, s.First-1, s.After
	inOrder := true
	at := Head{Node: v.node}
	err := read(func(e entry) {
		h = h.next(e.seq, e.raw)
		n++
		inOrder = inOrder && e.seq > order
		order = e.seq
		at.Records, at.Hash = n, h
		if h2 := at; n < s.Head.Records {
			v.points(h2)
		}
	})
	var broken *damage
	switch {
	case errors.As(err, &broken):
		v.problem(s.First, s.Head.Records, "%v", broken.err)
	case err != nil:
		return err
	case n != s.Head.Records:
		v.problem(s.First, s.Head.Records, "%d records are there, %d were signed", n-s.First+1, s.Head.Records-s.First+1)
	case !inOrder:
		v.problem(s.First, s.Head.Records, "records out of order")
	case h != s.Head.Hash:
		v.problem(s.First, s.Head.Records, "a record was altered, or replaced by another")
	}
	v.end = s.Head
	v.points(s.Head)
	return nil
}

// points compares a point of the chain as it is with exported heads of the same place.
func (v *verifier) points(at Head) {
	for _, h := range v.exported {
		if h.Records == at.Records && h.Hash != at.Hash {
			v.problem(1, h.Records, "the history was rewritten: it does not lead to the exported head")
		}
	}
}

// damage is an unreadable file, which is a finding and not a failure.
type damage struct{ err error }

func (d *damage) Error() string { return d.err.Error() }

func (v *verifier) readFile(s segment, take func(entry)) error {
	err := v.t.readSegment(s, func(e entry) (bool, error) {
		take(e)
		return true, v.ctx.Err()
	})
	if err != nil && v.ctx.Err() == nil {
		return &damage{fmt.Errorf("the segment's file cannot be read: %w", err)}
	}
	return err
}

func (v *verifier) readRows(s span, take func(entry)) error {
	at := s.After
	for {
		page, end, err := v.t.page(v.ctx, s, at)
		if err != nil || end == at {
			return err
		}
		for _, e := range page {
			take(e)
		}
		at = end
	}
}

// strays looks for rows where the chain has none: before its rows begin.
func (v *verifier) strays(from int64, cleared bool) error {
	if !cleared {
		return nil
	}
	page, _, err := v.t.page(v.ctx, span{Head: Head{Node: v.node, Seq: v.end.Seq}}, minSeq)
	if err == nil && len(page) > 0 {
		v.problem(from, v.end.Records, "%d or more records were added", len(page))
	}
	return err
}

// minSeq is below every sequence number.
const minSeq = -1 << 62

func (v *verifier) unsealed() (n int64, err error) {
	at := v.end.Seq
	for {
		page, end, err := v.t.page(v.ctx, span{Head: Head{Node: v.node, Seq: maxSeq}}, at)
		if err != nil || end == at {
			return n, err
		}
		n, at = n+int64(len(page)), end
	}
}

// maxSeq is above every sequence number.
const maxSeq = 1<<63 - 2
