package front

import (
	"net/http"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/trace"
)

// traced is the trace of a request that invokes a function, which its answer names, as Lambda's do. It is
// empty for other requests: nothing that they lead to is told of it.
func (f *Front) traced(w http.ResponseWriter, r *http.Request) string {
	if !strings.HasSuffix(r.URL.Path, "invocations") || !strings.Contains(r.URL.Path, "/functions/") {
		return ""
	}
	id := trace.Continue(r.Header.Get(trace.Header), f.Clock.Now(), f.IDs)
	w.Header().Set(trace.Header, id)
	return id
}
