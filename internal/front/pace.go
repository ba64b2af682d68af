package front

import (
	"io"
	"net/http"
	"time"
)

// stallTimeout is how long a client may send nothing in the middle of a body.
const stallTimeout = 20 * time.Second

// paced hangs up on who stops sending in the middle of a body, and ends a connection whose request
// came in chunks: RFC 9112, section 6.3 wants that where a length came too, which net/http has
// taken away by now.
func paced(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &pacedBody{r.Body, http.NewResponseController(w)}
		}
		h.ServeHTTP(w, r)
	})
}

type pacedBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

// Read gives each read its time. The deadline does not outlive the body: net/http watches the
// connection while the request is served.
func (b *pacedBody) Read(p []byte) (int, error) {
	if err := b.conn.SetReadDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		if cleared := b.conn.SetReadDeadline(time.Time{}); cleared != nil {
			return n, cleared
		}
	}
	return n, err
}
