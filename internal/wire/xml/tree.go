package xml

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits bound what a document may cost. Zero members take the defaults.
type Limits struct {
	Depth    int // of nested elements; 32 by default
	Elements int // in all; 100,000 by default
}

const (
	defaultDepth    = 32
	defaultElements = 100_000
)

// Node is one element.
type Node struct {
	Name     string // without its namespace
	Attrs    []xml.Attr
	Text     string // of the element itself
	Children []*Node
}

// Child is the first child element of that name, or nil.
func (n *Node) Child(name string) *Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Parse reads a document.
func Parse(data []byte, l Limits) (*Node, error) {
	maxDepth, left := cmp.Or(l.Depth, defaultDepth), cmp.Or(l.Elements, defaultElements)
	d := xml.NewDecoder(bytes.NewReader(data))
	var root *Node
	var stack []*Node
	var text []*strings.Builder // pointers: a builder that was written to must not move
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("xml: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if left--; left < 0 || len(stack) >= maxDepth {
				return nil, errors.New("xml: too many or too deeply nested elements")
			}
			n := &Node{Name: t.Name.Local, Attrs: t.Attr}
			switch {
			case len(stack) > 0:
				top := stack[len(stack)-1]
				top.Children = append(top.Children, n)
			case root == nil:
				root = n
			default:
				return nil, errors.New("xml: more than one root element")
			}
			stack, text = append(stack, n), append(text, new(strings.Builder))
		case xml.EndElement:
			last := len(stack) - 1
			stack[last].Text = text[last].String()
			stack, text = stack[:last], text[:last]
		case xml.CharData:
			if len(stack) > 0 {
				text[len(text)-1].Write(t)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return nil, errors.New("xml: text outside the root element")
			}
		case xml.Directive:
			return nil, errors.New("xml: document types are not taken")
		}
	}
	if root == nil {
		return nil, errors.New("xml: no root element")
	}
	return root, nil
}
