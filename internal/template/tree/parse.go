package tree

import (
	"bytes"
	"strings"
)

// Limits of what Parse accepts. MaxSize is CloudFormation's for a template given by URL.
const (
	MaxSize   = 1 << 20 // bytes
	MaxDepth  = 64      // nested lists and maps
	MaxValues = 200_000 // values, after aliases are expanded
)

// Parse reads a template, as JSON when it starts with a brace and is well-formed, else as YAML.
// The result is a map. Errors are of type *Error.
func Parse(src []byte) (*Node, error) {
	if len(src) > MaxSize {
		return nil, Errorf(Pos{}, "Template may not exceed %d bytes in size.", MaxSize)
	}
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	var n *Node
	var err error
	if trimmed := bytes.TrimLeft(src, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		n, err = parseJSON(src)
		if e, ok := err.(*Error); ok && strings.HasPrefix(e.Message, notJSON) {
			// A YAML flow map starts with a brace too.
			if y, yerr := parseYAML(src); yerr == nil {
				n, err = y, nil
			}
		}
	} else {
		n, err = parseYAML(src)
	}
	if err != nil {
		return nil, err
	}
	if n.Kind != Map {
		return nil, Errorf(n.Pos, "Template format error: unsupported structure.")
	}
	return n, nil
}

const (
	notJSON = "Template format error: JSON not well-formed."
	notYAML = "Template format error: YAML not well-formed."
)

// budget counts the values that a parse may still make.
type budget struct{ left int }

func (b *budget) spend(p Pos, depth int) error {
	if depth > MaxDepth {
		return Errorf(p, "Template format error: nested deeper than %d levels.", MaxDepth)
	}
	if b.left--; b.left < 0 {
		return Errorf(p, "Template format error: more than %d values.", MaxValues)
	}
	return nil
}

func duplicate(key string, first, second Pos) *Error {
	e := Errorf(first, "Template format error: Duplicate key %q found.", key)
	e.At = append(e.At, second)
	return e
}
