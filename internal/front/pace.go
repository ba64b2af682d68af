package front

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// Limits of a connection, against slow and swollen requests. A zero field is the default.
type Limits struct {
	Head     time.Duration // for the whole head of a request; 10 s
	Stall    time.Duration // that a body may bring nothing, and over which its pace is taken; 20 s
	Pace     int64         // bytes a second that a body brings at least; 1 KiB
	Held     int64         // bytes of bodies held for callers not yet verified; as much again for applications; 256 MiB
	Patience time.Duration // that a body waits for room among the held; 10 s
	Bulky    int64         // bytes beyond which the body of a verified caller takes of Running; 8 MiB
	Running  int64         // bytes of bulky bodies whose operations run; 160 MiB
}

func (l Limits) orDefault() Limits {
	return Limits{Head: or(l.Head, 10*time.Second), Stall: or(l.Stall, 20*time.Second), Pace: or(l.Pace, 1<<10),
		Held: or(l.Held, 256<<20), Patience: or(l.Patience, 10*time.Second),
		Bulky: or(l.Bulky, 8<<20), Running: or(l.Running, 160<<20)}
}

func or[T time.Duration | int64](v, other T) T {
	if v == 0 {
		return other
	}
	return v
}

// tooSlow is S3's RequestTimeout, which clients of every service try again.
func tooSlow() error {
	return awserr.New("RequestTimeout", http.StatusBadRequest, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.")
}

// paced hangs up on who stops sending in the middle of a body or drips it, and ends a connection
// whose request came in chunks: RFC 9112, section 6.3 wants that where a length came too, which
// net/http has taken away by now.
func (f *Front) paced(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		if r.Body == nil || r.Body == http.NoBody {
			h.ServeHTTP(w, r)
			return
		}
		body := &pacedBody{ReadCloser: r.Body, conn: http.NewResponseController(w), header: w.Header(), clock: f.Clock, limits: f.Limits}
		r.Body = body
		h.ServeHTTP(w, r)
		if !body.ended {
			// net/http knows its own body only: of any other it would read before it answers, and so wait
			// for who waits for 100 Continue.
			r.Body = body.ReadCloser
			body.drain(w, r)
			// net/http reads what the handler left, and would wait for it without end. A connection
			// that takes no deadline any more is closed already.
			_ = body.conn.SetReadDeadline(time.Now().Add(f.Limits.Stall))
		}
	})
}

type pacedBody struct {
	io.ReadCloser
	conn   *http.ResponseController
	header http.Header
	clock  clock.Clock
	limits Limits

	waited time.Duration // for the client, in this window
	got    int64         // bytes in this window
	ended  bool
	read   int64
}

// What is taken of a body that was refused: net/http takes up to drainLeast by itself.
const (
	drainLeast = 256 << 10
	drainMost  = 1 << 30
)

// drain sends the answer to a request whose body was not wanted, then takes what of it the client still
// sends, up to a bound and at its pace: a connection that is closed before is reset, and the answer lost to
// a client that sends all before it reads. One that waits for 100 Continue sends nothing.
func (b *pacedBody) drain(w http.ResponseWriter, r *http.Request) {
	left := r.ContentLength - b.read
	if r.ProtoMajor != 1 || r.ContentLength >= 0 && left <= drainLeast || b.read == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		return
	}
	w.Header().Set("Connection", "close")
	if b.conn.Flush() != nil {
		return // it is gone
	}
	_, _ = io.CopyN(io.Discard, b, drainMost) // however it ends, the answer is out and the connection ends
}

// Read gives each read its time, and all the reads of a window their pace. What the reader itself
// takes between two reads does not count. The deadline does not outlive the body: net/http watches
// the connection while the request is served.
func (b *pacedBody) Read(p []byte) (int, error) {
	if err := b.conn.SetReadDeadline(time.Now().Add(b.limits.Stall)); err != nil {
		return 0, err
	}
	before := b.clock.Now()
	n, err := b.ReadCloser.Read(p)
	b.waited += b.clock.Now().Sub(before)
	b.got += int64(n)
	b.read += int64(n)
	switch {
	case err == io.EOF:
		b.ended = true
		if cleared := b.conn.SetReadDeadline(time.Time{}); cleared != nil {
			return n, cleared
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, b.hangUp()
	case err == nil && b.waited >= b.limits.Stall:
		if b.got < b.limits.Pace*int64(b.limits.Stall)/int64(time.Second) {
			return n, b.hangUp()
		}
		b.waited, b.got = 0, 0
	}
	return n, err
}

// hangUp ends the connection with the answer; net/http shall not wait for the rest of the body.
func (b *pacedBody) hangUp() error {
	b.header.Set("Connection", "close")
	b.ended = true
	if err := b.conn.SetReadDeadline(time.Now()); err != nil {
		return err
	}
	return tooSlow()
}
