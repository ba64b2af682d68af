package front

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// sentWhole sends all of a request before it reads the answer, as http.client of Python does.
func (r *rig) sentWhole(address, head string, body int) string {
	r.Helper()
	c := r.dial(address, head)
	if _, err := io.CopyN(c, zeros{}, int64(body)); err != nil {
		r.Fatalf("the server does not take what was sent: %v", err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		r.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		r.Fatalf("%q, then %v", answer, err)
	}
	return string(answer)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestARefusedBodyIsTakenUntilTheAnswerIsRead: who sends all of a body that is too large before it
// reads finds the answer, and no reset connection.
func TestARefusedBodyIsTakenUntilTheAnswerIsRead(t *testing.T) {
	r := newRig(t)
	address := r.limited(Limits{Stall: 3 * time.Second}, clock.System{})
	const size = 40 << 20
	for name, head := range map[string]string{
		"a length": head(size),
		"chunks":   strings.Replace(head(size), fmt.Sprintf("Content-Length: %d", size), "Transfer-Encoding: chunked", 1) + fmt.Sprintf("%x\r\n", size),
	} {
		answer := r.sentWhole(address, head, size)
		if !strings.HasPrefix(answer, "HTTP/1.1 413 ") || !strings.Contains(answer, "Connection: close") || !strings.Contains(answer, "larger than") {
			t.Errorf("%s: %q", name, answer)
		}
	}
	// it is answered at once: nothing that it could send ends this stall
	c := r.dial(r.limited(Limits{Stall: time.Hour}, clock.System{}), strings.Replace(head(size), "\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1))
	if answer := r.rest(c); !strings.HasPrefix(answer, "HTTP/1.1 413 ") || strings.Contains(answer, "100 Continue") {
		t.Errorf("who waits to send: %q", answer)
	}
}
