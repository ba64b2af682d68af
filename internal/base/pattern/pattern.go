// Package pattern decides whether an event is one that somebody asked for: the pattern language of
// Amazon EventBridge, which filters of event source mappings use too. A pattern is an object of the
// event's shape whose leaves are lists of what a value may be:
//
//	p, err := pattern.Parse([]byte(`{"source":["app"],"detail":{"n":[{"numeric":[">",3]}],"state":["new",null]}}`))
//	event, err := pattern.Decode(body)
//	p.Match(event)
//
// All of a pattern's fields must match, each by one of its list. A field that holds a list matches by
// any of its elements; below one, the fields must match in the same element. Source: Amazon
// EventBridge User Guide, "Event patterns" and "Comparison operators".
package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Limits of a pattern: its bytes, how deep it goes, and how many ways its $or lists may make.
const (
	MaxSize  = 64 << 10
	maxDepth = 100
	maxWays  = 1000
	// MaxEvent bounds an event in bytes.
	MaxEvent = 8 << 20
)

// Error is a pattern that is none.
type Error struct{ Message string }

func (e *Error) Error() string { return "pattern: " + e.Message }

func fault(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Pattern is a compiled pattern; safe for concurrent use.
type Pattern struct {
	ways []*node // one of which must match: what $or makes of a pattern
}

// node is what a pattern says of one place in an event.
type node struct {
	lists  [][]test // each must have one that the value passes
	fields map[string]*node
}

// Parse reads a pattern. Error: *Error.
func Parse(src []byte) (*Pattern, error) {
	if len(src) > MaxSize {
		return nil, fault("it is longer than %d bytes", MaxSize)
	}
	v, err := decode(src)
	if err != nil {
		return nil, fault("it is no JSON: %v", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fault("it is not an object")
	}
	ways, err := object(m, 0)
	if err != nil {
		return nil, err
	}
	return &Pattern{ways}, nil
}

// Decode reads an event for Match.
func Decode(b []byte) (any, error) {
	if len(b) > MaxEvent {
		return nil, fmt.Errorf("pattern: an event of more than %d bytes", MaxEvent)
	}
	return decode(b)
}

func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	return v, nil
}

// object reads the fields of a pattern's object, into the ways that they can match.
func object(m map[string]any, depth int) ([]*node, error) {
	switch {
	case depth > maxDepth:
		return nil, fault("it is deeper than %d objects", maxDepth)
	case len(m) == 0:
		return nil, fault("Empty objects are not allowed")
	}
	ways := []*node{{}}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		more, err := field(name, m[name], depth)
		if err != nil {
			return nil, err
		}
		if ways, err = both(ways, more); err != nil {
			return nil, err
		}
	}
	return ways, nil
}

func field(name string, v any, depth int) ([]*node, error) {
	if name == "$or" {
		return either(v, depth)
	}
	switch v := v.(type) {
	case map[string]any:
		below, err := object(v, depth+1)
		if err != nil {
			return nil, err
		}
		ways := make([]*node, len(below))
		for i, n := range below {
			ways[i] = &node{fields: map[string]*node{name: n}}
		}
		return ways, nil
	case []any:
		list, err := tests(v)
		if err != nil {
			return nil, err
		}
		return []*node{{fields: map[string]*node{name: {lists: [][]test{list}}}}}, nil
	}
	return nil, fault("%q must be an object or an array", name)
}

// either reads an $or.
func either(v any, depth int) (ways []*node, err error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fault("It must be an Array followed with $or.")
	}
	if len(list) < 2 {
		return nil, fault("There must have at least 2 Objects in $or relationship.")
	}
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fault("Only JSON object is allowed in array of $or relationship.")
		}
		more, err := object(m, depth+1)
		if err != nil {
			return nil, err
		}
		if ways = append(ways, more...); len(ways) > maxWays {
			return nil, fault("its $or lists make more than %d combinations", maxWays)
		}
	}
	return ways, nil
}

// both are the ways in which one of a and one of b match.
func both(a, b []*node) ([]*node, error) {
	if len(a)*len(b) > maxWays {
		return nil, fault("its $or lists make more than %d combinations", maxWays)
	}
	out := make([]*node, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			out = append(out, join(x, y))
		}
	}
	return out, nil
}

// join wants what x and y want.
func join(x, y *node) *node {
	n := &node{lists: slices.Concat(x.lists, y.lists), fields: maps.Clone(x.fields)}
	for name, below := range y.fields {
		if n.fields == nil {
			n.fields = map[string]*node{}
		}
		if have := n.fields[name]; have != nil {
			below = join(have, below)
		}
		n.fields[name] = below
	}
	return n
}

// Match reports whether the event, as Decode gives it, is one that the pattern wants.
func (p *Pattern) Match(event any) bool {
	for _, way := range p.ways {
		if way.match(event) {
			return true
		}
	}
	return false
}

// absent is the value of a field that is not there. An object is no value either: what a list says is
// said of leaves.
type absent struct{}

func (n *node) match(v any) bool {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return n.match(absent{})
		}
		return slices.ContainsFunc(v, n.match)
	case map[string]any:
		for name, below := range n.fields {
			of, ok := v[name]
			if !ok {
				of = absent{}
			}
			if !below.match(of) {
				return false
			}
		}
		return n.leaf(absent{})
	}
	for _, below := range n.fields {
		if !below.match(absent{}) {
			return false
		}
	}
	return n.leaf(v)
}

func (n *node) leaf(v any) bool {
	for _, list := range n.lists {
		if !slices.ContainsFunc(list, func(t test) bool { return t(v) }) {
			return false
		}
	}
	return true
}
