package lambda

import (
	"encoding/base64"

	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// page is a part of a list; a marker names the last row that was given.
type page struct {
	size  int
	after store.Key
	last  store.Key
}

func pageOf(marker *string, size *int32, most int) (*page, error) {
	p := &page{size: most}
	if n := int(wire.Val(size)); n > 0 {
		p.size = min(n, most)
	}
	if m := wire.Val(marker); m != "" {
		b, err := base64.RawURLEncoding.DecodeString(m)
		if err != nil {
			return nil, badMarker()
		}
		if p.after, err = store.KeyOf(b); err != nil {
			return nil, badMarker()
		}
	}
	return p, nil
}

func badMarker() error { return invalid("The marker is not one that an earlier call gave.") }

func (p *page) from() store.Range { return store.Range{After: p.after} }

func (p *page) next() *string {
	return new(base64.RawURLEncoding.EncodeToString(p.last.Bytes()))
}
