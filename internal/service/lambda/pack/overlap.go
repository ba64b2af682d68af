package pack

import (
	"cmp"
	"math"
	"slices"
)

// localHeader is the least that lies before an entry's content (APPNOTE.TXT 4.3.7).
const localHeader = 30

// apart refuses entries that share bytes of the archive. So a few kilobytes are named a thousand times
// (David Fifield, "A better zip bomb", 2019); no honest archive has any.
func apart(entries []entry) error {
	type span struct {
		name       string
		start, end int64
	}
	spans := make([]span, 0, len(entries))
	for _, e := range entries {
		start, err := e.file.DataOffset()
		if err != nil {
			return refuse("the entry %q cannot be read: %v", e.name, err)
		}
		if e.file.CompressedSize64 > math.MaxInt64-uint64(start) {
			return refuse("the entry %q is larger than its archive", e.name)
		}
		spans = append(spans, span{e.name, start - localHeader, start + int64(e.file.CompressedSize64)})
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	for i, s := range spans {
		if i > 0 && s.start < spans[i-1].end {
			return refuse("the entries %q and %q overlap", spans[i-1].name, s.name)
		}
	}
	return nil
}
