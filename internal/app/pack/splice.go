package pack

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// edit puts new text in place of the scalar that stands at a position.
type edit struct {
	pos  tree.Pos
	text string // the scalar's value
	to   string
}

// splice makes edits in a text without moving any line.
func splice(src string, edits []edit) (string, error) {
	type cut struct {
		from, until int
		to          string
	}
	var cuts []cut
	for _, e := range edits {
		from, ok := offset(src, e.pos)
		if !ok {
			return "", fmt.Errorf("%s: no such place", e.pos)
		}
		n, ok := scalarLength(src[from:], e.text)
		if !ok {
			return "", fmt.Errorf("%s: write the path %q as a plain or quoted word on one line", e.pos, e.text)
		}
		cuts = append(cuts, cut{from, from + n, e.to})
	}
	slices.SortFunc(cuts, func(a, b cut) int { return a.from - b.from })
	var out strings.Builder
	at := 0
	for _, c := range cuts {
		out.WriteString(src[at:c.from])
		out.WriteString(c.to)
		at = c.until
	}
	out.WriteString(src[at:])
	return out.String(), nil
}

// offset is the byte offset of a line and a column, which counts characters.
func offset(src string, p tree.Pos) (int, bool) {
	at := 0
	for line := 1; line < p.Line; line++ {
		i := strings.IndexByte(src[at:], '\n')
		if i < 0 {
			return 0, false
		}
		at += i + 1
	}
	for col := 1; col < p.Column; col++ {
		if at >= len(src) || src[at] == '\n' {
			return 0, false
		}
		_, n := utf8.DecodeRuneInString(src[at:])
		at += n
	}
	return at, at < len(src)
}

// scalarLength is how many bytes of s the scalar with a value takes, quotes and all.
func scalarLength(s, value string) (int, bool) {
	switch quote := s[0]; quote {
	case '"', '\'':
		for i := 1; i < len(s) && s[i] != '\n'; i++ {
			switch {
			case quote == '"' && s[i] == '\\':
				i++
			case s[i] == quote && quote == '\'' && i+1 < len(s) && s[i+1] == quote:
				i++
			case s[i] == quote:
				return i + 1, true
			}
		}
		return 0, false
	}
	return len(value), strings.HasPrefix(s, value)
}
