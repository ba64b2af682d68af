package guest

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/tether"
)

// outputs are the writers of what the processes write, by stream.
type outputs struct {
	mu      sync.Mutex
	writers map[uint32]io.Writer
	files   []*os.File // those of them that are the instance's
}

// write directs what a process writes to its descriptors 1 and 2.
func (i *instance) write(number int, stdout, stderr io.Writer) error {
	o := &i.outputs
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writers == nil {
		o.writers = map[uint32]io.Writer{}
	}
	for n, w := range []io.Writer{stdout, stderr} {
		if f, ok := w.(*os.File); ok {
			fd, err := duplicate(f) // its owner closes it after the start
			if err != nil {
				return err
			}
			again := os.NewFile(uintptr(fd), f.Name())
			w, o.files = again, append(o.files, again)
		}
		if w != nil {
			o.writers[tether.Output(number, n)] = w
		}
	}
	return nil
}

// take carries output. A writer that refuses is not asked again: its owner knows, and the processes must
// not be held up.
func (i *instance) take(id uint32, b []byte) {
	o := &i.outputs
	o.mu.Lock()
	w := o.writers[id]
	o.mu.Unlock()
	if w == nil {
		return
	}
	if _, err := w.Write(b); err != nil {
		o.mu.Lock()
		delete(o.writers, id)
		o.mu.Unlock()
	}
}

// close closes what is the instance's.
func (o *outputs) close() (err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.files {
		err = errors.Join(err, f.Close())
	}
	o.files, o.writers = nil, nil
	return err
}

// duplicate is another descriptor of what f has open. Fd would make it block.
func duplicate(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	if cerr := raw.Control(func(from uintptr) { fd, err = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 3) }); cerr != nil {
		return -1, cerr
	}
	return fd, err
}
