package sandbox

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/rights"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// say runs an attempt on a channel that is listened to, and returns what it printed.
func (l *lab) say(attempt sandboxtest.Try) string {
	l.t.Helper()
	var out bytes.Buffer
	i, heard := l.listen(attempt, &out)
	exit := <-i.Wait()
	if err := <-heard; err != nil && !errors.Is(err, rights.ErrSent) {
		l.t.Errorf("%s: the channel ends with %v", attempt.Do, err)
	}
	if exit.Signal == int(unix.SIGKILL) && exit.Err == nil {
		return "killed"
	}
	if exit.Err != nil || exit.Code != 0 {
		l.t.Errorf("%s: %+v", attempt.Do, exit)
	}
	return strings.TrimSpace(out.String())
}

// listen starts an attempt, and tells what ends its channel.
func (l *lab) listen(attempt sandboxtest.Try, out io.Writer) (Instance, <-chan error) {
	l.t.Helper()
	s := l.spec(attempt.Words()...)
	s.Channel, s.Stdout = true, out
	i := l.start(s)
	heard := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, i.Channel())
		heard <- err
	}()
	if attempt.Words()[1] == "later" { // its word is awaited, in a read that waits already
		if _, err := i.Channel().Write([]byte(".")); err != nil {
			l.t.Fatal(err)
		}
	}
	return i, heard
}

// TestDescriptorsAreTaken: where the kernel does not refuse descriptors, a function that sends some for
// Bastide to wait with is killed, its channel is broken, and nothing of it is left.
func TestDescriptorsAreTaken(t *testing.T) {
	l := newLab(t)
	l.ns.bytesOnly = rights.Take
	for _, e := range sandboxtest.Said() {
		for _, attempt := range e.Tries {
			var out bytes.Buffer
			i, heard := l.listen(attempt, &out)
			if err := <-heard; !errors.Is(err, rights.ErrSent) {
				t.Errorf("%s: the channel ends with %v", attempt.Do, err)
			}
			exit := <-i.Wait()
			if exit.Signal != int(unix.SIGKILL) || exit.Err != nil || out.Len() > 0 {
				t.Errorf("%s: %+v %q", attempt.Do, exit, out.String())
			}
			if err := i.Kill(); err != nil {
				t.Errorf("%s: %v", attempt.Do, err)
			}
			l.gone(i)
		}
	}
	l.serves()
}

// TestDescriptorsAreTakenAtTheEnd: those that nobody has read hold no end up, however it comes: the
// instance's, or the user's of the channel.
func TestDescriptorsAreTakenAtTheEnd(t *testing.T) {
	l := newLab(t)
	l.ns.bytesOnly = rights.Take
	for _, how := range []string{"now", "out of band"} {
		for name, end := range map[string]func(Instance) error{
			"killed": Instance.Kill,
			"closed": func(i Instance) error { return errors.Join(i.Channel().Close(), i.Kill()) },
		} {
			s := l.spec("linger", how)
			s.Channel = true
			i := l.start(s)
			raw, err := i.(*instance).channel.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			for held := 0; held < len("0more"); runtime.Gosched() { // until all is said
				if cerr := raw.Control(func(fd uintptr) { held, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); cerr != nil || err != nil {
					t.Fatal(cerr, err)
				}
			}
			if err := end(i); err != nil {
				t.Errorf("%s, %s: %v", how, name, err)
			}
			l.gone(i)
		}
	}
	l.serves()
}

// gone holds that an instance's first process, and so all of it, is no more.
func (l *lab) gone(i Instance) {
	l.t.Helper()
	pid := i.(*instance).pid
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ"); err == nil && len(b) > 0 {
		l.t.Errorf("process %d is there", pid)
	}
	if l.ns.living[i.(*instance).spec.ID] != nil {
		l.t.Error("the driver holds it")
	}
}

// serves holds that the driver starts others, and ends.
func (l *lab) serves() {
	l.t.Helper()
	if got := l.try(l.spec("hello")); got == "" {
		l.t.Error("another says nothing")
	}
	if err := l.ns.Close(); err != nil {
		l.t.Error(err)
	}
}
