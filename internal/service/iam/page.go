package iam

import (
	"cmp"
	"encoding/base64"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// page is where a list goes on and how much of it to give; marks are names, in the order of
// their lower-case forms.
type page struct {
	from string
	max  int
}

func pageOf(marker *string, max *int32) (page, error) {
	p := page{max: 100}
	if max != nil {
		p.max = int(*max)
	}
	if marker == nil {
		return p, nil
	}
	from, err := base64.RawURLEncoding.DecodeString(*marker)
	if err != nil || len(from) == 0 {
		return p, awserr.New("ValidationError", 400, "Invalid Marker.")
	}
	p.from = string(from)
	return p, nil
}

func (p page) after(name string) bool { return p.from == "" || order(name, p.from) > 0 }

// order is that of every list: by lower-case form, as the tables are, then by the name itself.
func order(a, b string) int {
	return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
}

func (p page) mark(last string) *string {
	return new(base64.RawURLEncoding.EncodeToString([]byte(last)))
}

// cut gives one page of what is in order already.
func cut[T any](all []T, p page, name func(T) string) (out []T, next *string) {
	for _, v := range all {
		if !p.after(name(v)) {
			continue
		}
		if len(out) == p.max {
			return out, p.mark(name(out[len(out)-1]))
		}
		out = append(out, v)
	}
	return out, nil
}
