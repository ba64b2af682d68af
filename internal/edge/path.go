package edge

import (
	"net/url"
	"strings"
)

// segmentsOf splits an escaped path and decodes each part, so that an encoded slash stays within
// its part; ok is false where the escapes are not valid or decode to control characters.
func segmentsOf(escaped string) (segments []string, ok bool) {
	escaped = strings.TrimPrefix(escaped, "/")
	if escaped == "" {
		return nil, true
	}
	for s := range strings.SplitSeq(escaped, "/") {
		d, err := url.PathUnescape(s)
		if err != nil || strings.ContainsFunc(d, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, false
		}
		segments = append(segments, d)
	}
	return segments, true
}

// canonical writes decoded segments so that different requests never look the same: the one
// string that is matched, authorised and passed on.
func canonical(segments []string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(separators.Replace(s))
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

var separators = strings.NewReplacer("%", "%25", "/", "%2F")

// pattern is one segment of a route's path.
type pattern struct {
	text   string // literal, or the variable's name
	kind   int
	source string
}

const (
	greedy = iota // the order is that of precedence, weakest first
	single
	literal
)

func patternsOf(path string) []pattern {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return nil
	}
	var out []pattern
	for s := range strings.SplitSeq(path, "/") {
		p := pattern{text: s, kind: literal, source: s}
		if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
			p.text, p.kind = s[1:len(s)-1], single
			if name, ok := strings.CutSuffix(p.text, "+"); ok {
				p.text, p.kind = name, greedy
			}
		}
		out = append(out, p)
	}
	return out
}

// matches reports whether decoded segments fit a pattern.
func matches(ps []pattern, segments []string) bool {
	for i, p := range ps {
		switch {
		case i >= len(segments):
			return false
		case p.kind == greedy:
			return len(segments) > i && strings.Join(segments[i:], "") != ""
		case p.kind == single && segments[i] == "", p.kind == literal && segments[i] != p.text:
			return false
		}
	}
	return len(ps) == len(segments)
}

// parameters are what the variables of a pattern stand for.
func parameters(ps []pattern, segments []string) map[string]string {
	var out map[string]string
	for i, p := range ps {
		if p.kind == literal {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		if p.kind == greedy {
			out[p.text] = strings.Join(segments[i:], "/")
			break
		}
		out[p.text] = segments[i]
	}
	return out
}

// closer reports whether a fits a request more closely than b, both matching it: literal before
// variable before greedy, from the left.
func closer(a, b []pattern) bool {
	for i := range min(len(a), len(b)) {
		if a[i].kind != b[i].kind {
			return a[i].kind > b[i].kind
		}
	}
	return len(a) > len(b)
}
