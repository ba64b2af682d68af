package sandbox

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// output carries what the processes write to their descriptors 1 and 2 to the specification's
// writers.
type output struct {
	pumps sync.WaitGroup
	ends  []int // the processes' ends, until they are handed over
}

// open makes the pipe for one writer and returns the processes' end. Without a writer that is null.
func (o *output) open(w io.Writer, null *os.File) (int, error) {
	if w == nil {
		return int(null.Fd()), nil
	}
	if f, ok := w.(*os.File); ok {
		return int(f.Fd()), nil // which makes it block
	}
	// the processes' end must block: not os.Pipe, whose ends do not
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return 0, err
	}
	o.ends = append(o.ends, p[1])
	if err := unix.SetNonblock(p[0], true); err != nil {
		return 0, errors.Join(err, unix.Close(p[0]))
	}
	r := os.NewFile(uintptr(p[0]), "output")
	o.pumps.Go(func() {
		defer r.Close()
		if _, err := io.Copy(w, r); err != nil {
			// the writer refuses; its owner knows. The processes must not block on a full pipe.
			_, _ = io.Copy(io.Discard, r)
		}
	})
	return p[1], nil
}

// handedOver closes this side's copies of the processes' ends, so that the pumps end with them.
func (o *output) handedOver() error {
	err := closeAll(o.ends)
	o.ends = nil
	return err
}

// wait returns when everything written has been carried.
func (o *output) wait() { o.pumps.Wait() }
