package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// pathRule is how a service canonicalises the path: S3 takes it as it is and encodes once; all
// others remove dot segments and double slashes, and encode what was sent once more.
type pathRule int

const (
	pathNormalised pathRule = iota
	pathAsSent
)

// param is one query parameter in canonical encoding, pointing into scratch.q.
type param struct{ name, value []byte }

// scratch is the working memory of one verification, reused.
type scratch struct {
	buf    []byte // canonical request, then string to sign
	q      []byte
	params []param
	sts    []byte
}

const upperHex = "0123456789ABCDEF"

// unreserved are the bytes that canonical encoding leaves alone (RFC 3986 section 2.3).
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

func appendByte(dst []byte, c byte) []byte {
	if unreserved(c) {
		return append(dst, c)
	}
	return append(dst, '%', upperHex[c>>4], upperHex[c&15])
}

// unhex reads the escape at s[i:], which begins with a percent sign.
func unhex(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
	if hi < 0 || lo < 0 {
		return 0, false
	}
	return hexValue(s[i+1])<<4 | hexValue(s[i+2]), true
}

const hexDigits = "0123456789abcdefABCDEF"

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// parseQuery fills params with the canonical forms of raw's parameters, in the order sent. It
// refuses escapes that do not decode: what a parser behind us would drop must not be signed over.
func (s *scratch) parseQuery(raw string) bool {
	s.params, s.q = s.params[:0], s.q[:0]
	if raw == "" {
		return true
	}
	if len(raw) > maxQuery {
		return false
	}
	s.q = slices.Grow(s.q, 3*len(raw)) // never moves: params point into it
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, ok1 := s.appendQuery(name)
		v, ok2 := s.appendQuery(value)
		if !ok1 || !ok2 || len(s.params) == maxParams {
			return false
		}
		s.params = append(s.params, param{n, v})
	}
	return true
}

func (s *scratch) appendQuery(part string) ([]byte, bool) {
	start := len(s.q)
	for i := 0; i < len(part); i++ {
		c := part[i]
		switch c {
		case '+': // application/x-www-form-urlencoded: a space, as every parser behind us reads it
			c = ' '
		case '%':
			d, ok := unhex(part, i)
			if !ok {
				return nil, false
			}
			c, i = d, i+2
		}
		s.q = appendByte(s.q, c)
	}
	return s.q[start:len(s.q):len(s.q)], true
}

// get is the decoded value of a parameter and how often it was given.
func (s *scratch) get(name string) (string, int) {
	value, n := "", 0
	for _, p := range s.params {
		if string(p.name) != name {
			continue
		}
		if n++; n == 1 {
			value, _ = url.PathUnescape(string(p.value)) // canonical encoding always decodes
		}
	}
	return value, n
}

func compareParams(a, b param) int {
	if c := bytes.Compare(a.name, b.name); c != 0 {
		return c
	}
	return bytes.Compare(a.value, b.value)
}

// rawPath is the path as it was sent; false when the URL's two forms of it disagree, so that the
// path signed is always the path routed.
func rawPath(u *url.URL) (string, bool) {
	if u.RawPath == "" {
		return u.EscapedPath(), true
	}
	p, err := url.PathUnescape(u.RawPath)
	return u.RawPath, err == nil && p == u.Path
}

func appendPath(dst []byte, raw string, rule pathRule) []byte {
	if rule == pathAsSent {
		return appendPathOnce(dst, raw)
	}
	base := len(dst)
	for seg := range strings.SplitSeq(raw, "/") {
		switch seg {
		case "", ".":
		case "..":
			if i := bytes.LastIndexByte(dst[base:], '/'); i >= 0 {
				dst = dst[:base+i]
			}
		default:
			dst = append(dst, '/')
			for i := 0; i < len(seg); i++ {
				dst = appendByte(dst, seg[i])
			}
		}
	}
	if len(dst) == base || strings.HasSuffix(raw, "/") {
		dst = append(dst, '/')
	}
	return dst
}

// appendPathOnce keeps the segments of raw and puts each byte in canonical encoding; an encoded
// slash stays encoded, since it is not a separator.
func appendPathOnce(dst []byte, raw string) []byte {
	if raw == "" {
		return append(dst, '/')
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '/' {
			dst = append(dst, c)
			continue
		}
		if d, ok := unhex(raw, i); c == '%' && ok {
			c, i = d, i+2
		}
		dst = appendByte(dst, c)
	}
	return dst
}

// canonical writes the canonical request into buf. skip names query parameters that are left out
// (the signature itself). missing is a signed header that the request does not have.
func (s *scratch) canonical(r *http.Request, path string, rule pathRule, signed, payload string, skip ...string) (missing string) {
	b := append(s.buf[:0], r.Method...)
	b = append(b, '\n')
	b = appendPath(b, path, rule)
	b = append(b, '\n')
	b = s.appendParams(b, skip)
	b = append(b, '\n')
	for name := range strings.SplitSeq(signed, ";") {
		var ok bool
		if b, ok = appendHeader(b, r, name); !ok {
			missing = name
		}
	}
	b = append(b, '\n')
	b = append(b, signed...)
	b = append(b, '\n')
	s.buf = append(b, payload...)
	return missing
}

func (s *scratch) appendParams(b []byte, skip []string) []byte {
	slices.SortStableFunc(s.params, compareParams)
	first := true
	for _, p := range s.params {
		if slices.Contains(skip, string(p.name)) {
			continue
		}
		if !first {
			b = append(b, '&')
		}
		first = false
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

// appendHeader writes "name:value\n" with values trimmed, inner spaces folded and repeated
// headers joined by commas. net/http moves some headers into fields of the request.
func appendHeader(b []byte, r *http.Request, name string) ([]byte, bool) {
	b = append(b, name...)
	b = append(b, ':')
	values, ok := headerValues(r.Header, name)
	switch {
	case name == "host":
		b, ok = appendFolded(b, r.Host), r.Host != ""
	case ok:
		for i, v := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendFolded(b, v)
		}
	case name == "content-length" && r.ContentLength >= 0:
		b, ok = strconv.AppendInt(b, r.ContentLength, 10), true
	case name == "transfer-encoding" && len(r.TransferEncoding) > 0:
		b, ok = append(b, strings.Join(r.TransferEncoding, ",")...), true
	}
	return append(b, '\n'), ok
}

func appendFolded(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	for i := 0; i < len(v); i++ {
		if v[i] == ' ' && i > 0 && v[i-1] == ' ' {
			continue
		}
		b = append(b, v[i])
	}
	return b
}

// headerValues finds a header by its lower-case name without allocating its canonical name.
func headerValues(h http.Header, lower string) ([]string, bool) {
	var buf [128]byte
	if len(lower) > len(buf) {
		return nil, false
	}
	up := true
	for i := 0; i < len(lower); i++ {
		c := lower[i]
		if up && c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		buf[i], up = c, c == '-'
	}
	v := h[string(buf[:len(lower)])]
	return v, len(v) > 0
}

// stringToSign writes the string to sign of the canonical request in buf.
func (s *scratch) stringToSign(timestamp, scope string) []byte {
	sum := sha256.Sum256(s.buf)
	b := append(s.sts[:0], algorithm...)
	b = append(b, '\n')
	b = append(b, timestamp...)
	b = append(b, '\n')
	b = append(b, scope...)
	b = append(b, '\n')
	s.sts = hex.AppendEncode(b, sum[:])
	return s.sts
}
