// Package trace has trace headers: the X-Amzn-Trace-Id that a request passes on to whatever it leads to,
// so that all that came of it can be told to belong together. A header is a list of fields, as
//
//	Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0
//
// whose Root names the whole: a version, the second of its beginning and 96 random bits, in hexadecimal.
// Source: AWS X-Ray Developer Guide, "Tracing header".
package trace

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/ids"
)

// Header is the name of the header.
const Header = "X-Amzn-Trace-Id"

// maxHeader is the length of the longest header that is passed on, in bytes.
const maxHeader = 256

// Continue is the trace that a request belongs to: the given one where that is well-formed, else a new
// one that is not sampled.
func Continue(given string, now time.Time, source ids.Source) string {
	if Valid(given) {
		return given
	}
	b := source.Bytes(20)
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", uint32(now.Unix()), hex.EncodeToString(b[:12]), hex.EncodeToString(b[12:]))
}

// Valid reports whether a header can be passed on: of at most 256 printable characters of ASCII, with a
// well-formed Root.
func Valid(header string) bool {
	if len(header) > maxHeader {
		return false
	}
	for _, c := range []byte(header) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	for field := range strings.SplitSeq(header, ";") {
		if id, ok := strings.CutPrefix(strings.TrimSpace(field), "Root="); ok {
			return root(id)
		}
	}
	return false
}

// root reports whether id is 1-TTTTTTTT-RRRRRRRRRRRRRRRRRRRRRRRR.
func root(id string) bool {
	const dash = 10
	if len(id) != 35 || id[:2] != "1-" || id[dash] != '-' {
		return false
	}
	_, err := hex.DecodeString(id[2:dash] + id[dash+1:])
	return err == nil
}
