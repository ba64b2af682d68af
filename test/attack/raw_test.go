package attack

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/test/harness"
)

// patience bounds a raw conversation.
const patience = 60 * time.Second

// raw sends bytes as they are and reads until the server closes, or answers no more.
func raw(t *testing.T, s *harness.Server, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		return "" // closed on us before the end, which is an answer too
	}
	answer, err := io.ReadAll(c)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Errorf("the connection stayed open for %v", patience)
	}
	return string(answer)
}
