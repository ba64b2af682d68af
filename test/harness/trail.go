package harness

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/bastide-cloud/bastide/internal/audit"
)

// Records asks the trail for the newest records that the query selects, at most 1000.
func (s *Server) Records(t testing.TB, query url.Values) []audit.Record {
	t.Helper()
	q := url.Values{"maxResults": {"1000"}, "newest": {"true"}}
	for k, v := range query {
		q[k] = v
	}
	var page struct{ Records []struct{ Record string } }
	if err := s.Client(t).REST(context.Background(), "bastide", http.MethodGet, "/_bastide/v1/audit/records?"+q.Encode(), nil, &page); err != nil {
		t.Fatal(err)
	}
	var out []audit.Record
	for _, r := range page.Records {
		out = append(out, Decode[audit.Record](t, r.Record))
	}
	return out
}

// Recorded waits for a record that the query selects and want accepts: those of reads and refusals
// are written up to a second after the answer.
func (s *Server) Recorded(t testing.TB, what string, query url.Values, want func(audit.Record) bool) audit.Record {
	t.Helper()
	var found audit.Record
	Until(t, "a record of "+what, func() bool {
		for _, r := range s.Records(t, query) {
			if want(r) {
				found = r
				return true
			}
		}
		return false
	})
	return found
}
