package drivers

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// TestDescriptorsAreTaken: under each isolating driver a function that sends descriptors on its channel is
// refused, or has a channel no more, and ends when it is to.
func TestDescriptorsAreTaken(t *testing.T) {
	names := slices.DeleteFunc(present(), func(n string) bool { return n == Process })
	each(t, names, func(t *testing.T, l *lab) {
		for _, e := range sandboxtest.Said() {
			for _, try := range e.Tries {
				var out bytes.Buffer
				s := l.spec(try.Words()...)
				s.Channel, s.Stdout = true, &out
				i := l.start(s)
				if try.Words()[1] == "later" {
					if _, err := i.Channel().Write([]byte(".")); err != nil {
						t.Fatal(err)
					}
				}
				said, _ := io.ReadAll(i.Channel()) // that it ends is what counts
				if err := i.Kill(); err != nil {
					t.Errorf("%s: %v", try.Do, err)
				}
				if got := strings.TrimSpace(out.String()); len(said) > 0 || got == "passed" {
					t.Errorf("%s: %q, and on the channel %q", try.Do, got, said)
				}
			}
		}
	})
}
