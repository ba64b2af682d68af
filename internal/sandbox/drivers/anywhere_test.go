package drivers

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// TestAnywhere: what connects to any address of a door's port arrives at that door, which is told of the
// address; what connects to another port is refused. A door at one address comes before one at all.
func TestAnywhere(t *testing.T) {
	names := slices.DeleteFunc(present(), func(n string) bool { return n == Process })
	each(t, names, func(t *testing.T, l *lab) {
		for to, want := range map[string]string{
			"203.0.113.7:443": "any", "10.1.2.3:443": "any", "127.64.0.1:443": "any", "192.0.2.200:443": "any", "127.0.1.1:443": "one",
			"203.0.113.7:444": "ECONNREFUSED", "169.254.169.254:80": "ECONNREFUSED",
		} {
			var out bytes.Buffer
			s := l.spec("dial", "tcp", to)
			s.Stdout = &out
			s.Doors = []sandbox.DoorSpec{{Name: "any", Network: "tcp", Address: "0.0.0.0:443"}, {Name: "one", Network: "tcp", Address: "127.0.1.1:443"}}
			i := l.start(s)
			for name, d := range i.Doors() {
				go func() {
					c, err := d.Listener.Accept()
					if err != nil {
						return // the sandbox has ended
					}
					defer c.Close()
					if _, err := io.ReadFull(c, make([]byte, 4)); err == nil {
						_, _ = io.WriteString(c, name+" "+c.LocalAddr().String())
					}
				}()
			}
			<-i.Wait()
			got := strings.TrimSpace(out.String())
			if name, at, _ := strings.Cut(got, " "); name != want || at != "" && at != to {
				t.Errorf("%s: %q, want %s", to, got, want)
			}
		}
	})
}
