package edge

import (
	"net/http"
	"strconv"
)

// response is an answer to a client.
type response struct {
	status int
	header http.Header
	body   []byte
	cors   bool // it has its CORS headers
	flow   *flowing
}

// write sends the answer with the headers that every answer of its kind of API has.
func (out *response) write(w http.ResponseWriter, x *exchange) {
	h := w.Header()
	for k, v := range out.header {
		if !hopByHop[k] {
			h[k] = v
		}
	}
	switch {
	case x.api != nil && x.api.rest:
		h.Set("X-Amzn-Requestid", x.id)
		h.Set("X-Amz-Apigw-Id", x.extended)
	default:
		name := "Apigw-Requestid"
		if x.url {
			name = "X-Amzn-Requestid"
		}
		h.Set(name, x.id)
		if x.stage != nil && !out.cors {
			x.stage.cors.apply(h, x.r.Header.Get("Origin"))
		}
	}
	noBody := out.status == http.StatusNoContent || out.status == http.StatusNotModified || out.status < 200
	if out.flow != nil {
		out.flowOut(w, x, !noBody && x.r.Method != http.MethodHead)
		return
	}
	if !noBody {
		h.Set("Content-Length", strconv.Itoa(len(out.body)))
	}
	w.WriteHeader(out.status)
	if !noBody && x.r.Method != http.MethodHead {
		_, _ = w.Write(out.body) // a client who has gone away needs no answer
	}
}
