package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sort"
	"unicode/utf8"
)

// jsonReader walks the tokens of encoding/json and adds the positions that it does not give.
type jsonReader struct {
	budget
	src   []byte
	lines []int // offset at which each line starts
	dec   *json.Decoder
}

func parseJSON(src []byte) (*Node, error) {
	r := &jsonReader{budget: budget{MaxValues}, src: src, lines: []int{0}, dec: json.NewDecoder(bytes.NewReader(src))}
	for i, c := range src {
		if c == '\n' {
			r.lines = append(r.lines, i+1)
		}
	}
	r.dec.UseNumber()
	n, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, Errorf(r.next(), notJSON)
	}
	return n, nil
}

// next is where the next token will start.
func (r *jsonReader) next() Pos {
	i := int(r.dec.InputOffset())
	for i < len(r.src) && bytes.IndexByte([]byte(" \t\r\n,:"), r.src[i]) >= 0 {
		i++
	}
	line := sort.SearchInts(r.lines, i+1) - 1
	return Pos{line + 1, utf8.RuneCount(r.src[r.lines[line]:i]) + 1}
}

func (r *jsonReader) token() (json.Token, Pos, error) {
	p := r.next()
	t, err := r.dec.Token()
	if err != nil {
		return nil, p, Errorf(p, notJSON)
	}
	return t, p, nil
}

func (r *jsonReader) value(depth int) (*Node, error) {
	t, p, err := r.token()
	if err != nil {
		return nil, err
	}
	if err := r.spend(p, depth); err != nil {
		return nil, err
	}
	n := &Node{Pos: p}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			n.Kind = List
			return n, r.items(n, depth)
		}
		n.Kind = Map
		return n, r.fields(n, depth)
	case string:
		n.Kind, n.Text = String, t
	case json.Number:
		m := numberText(t.String())
		n.Kind, n.Text = m.Kind, m.Text
	case bool:
		m := Truth(t)
		n.Kind, n.Text = m.Kind, m.Text
	}
	return n, nil
}

func (r *jsonReader) items(n *Node, depth int) error {
	for r.dec.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, v)
	}
	_, _, err := r.token()
	return err
}

func (r *jsonReader) fields(n *Node, depth int) error {
	seen := map[string]Pos{}
	for r.dec.More() {
		t, p, err := r.token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return Errorf(p, notJSON)
		}
		if first, dup := seen[key]; dup {
			return duplicate(key, first, p)
		}
		seen[key] = p
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Fields = append(n.Fields, Field{key, p, v})
	}
	_, _, err := r.token()
	return err
}
