package main

import (
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/rights"
	"github.com/bastide-cloud/bastide/internal/sandbox/tether"
)

// outlet carries what the processes write to a pipe.
type outlet struct {
	file *os.File
	raw  syscall.RawConn
	to   *tether.Stream
	done chan struct{} // closed at the end of the pipe

	mu  sync.Mutex // held while carrying, so that nothing is overtaken
	buf []byte
}

// outlets are all that there are.
type outlets struct {
	mu  sync.Mutex
	all []*outlet
}

func (l *outlets) list() []*outlet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// carry carries what the processes have written until now.
func (l *outlets) carry() {
	for _, o := range l.list() {
		// Control does not wait for the goroutine that is parked in Read
		_ = o.raw.Control(func(fd uintptr) { o.drain(int(fd)) }) // it fails once the pipe has ended
	}
}

// drop forgets one whose pipe has ended.
func (l *outlets) drop(o *outlet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(x *outlet) bool { return x == o })
	_ = o.file.Close() // it was only read
	close(o.done)
}

// await returns when every pipe has ended.
func (l *outlets) await() {
	for _, o := range l.list() {
		<-o.done
	}
}

// pipes makes what a process writes to, as the driver wants it carried: its descriptors 1 and 2.
func (a *agent) pipes(wires byte, number int) ([]uintptr, error) {
	null, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, wrap("open /dev/null", err)
	}
	out, errs := null, null
	if wires&tether.WireStdout != 0 {
		if out, err = a.outlet(tether.Output(number, 0)); err != nil {
			return nil, err
		}
	}
	switch {
	case wires&tether.WireJoined != 0:
		errs = out
	case wires&tether.WireStderr != 0:
		if errs, err = a.outlet(tether.Output(number, 1)); err != nil {
			return nil, err
		}
	}
	if out != null && errs != null {
		unix.Close(null)
	}
	return []uintptr{uintptr(out), uintptr(errs)}, nil
}

// lay makes the process's output and descriptor 3.
func (a *agent) lay() (err error) {
	if a.inside, err = a.pipes(a.wires, 0); err != nil || a.wires&tether.WireChannel == 0 {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return wrap("make the channel", err)
	}
	a.inside = append(a.inside, uintptr(pair[1]))
	if a.channel, err = pollable(pair[0], "channel"); err != nil {
		return err
	}
	said, err := rights.Refuse(a.channel, nil)
	if err != nil {
		return wrap("keep descriptors out of the channel", err)
	}
	s := a.t.Stream(tether.Channel)
	a.pumps.Add(1)
	go a.speak(s, said)
	go func() {
		pump(a.channel, s)
		shutdown(a.channel)
	}()
	return nil
}

// speak carries what the process says on its channel, always after what it has written before.
func (a *agent) speak(s *tether.Stream, said *rights.End) {
	defer a.pumps.Done()
	pump(after{&a.out, s}, said)
	_ = s.CloseWrite() // it fails with the tether
}

// after writes when what the outlets hold has been carried.
type after struct {
	out *outlets
	s   *tether.Stream
}

func (w after) Write(b []byte) (int, error) {
	w.out.carry()
	return w.s.Write(b)
}

// outlet makes a pipe and returns the processes' end.
func (a *agent) outlet(id uint32) (int, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, wrap("make a pipe for the output", err)
	}
	f, err := pollable(p[0], "output")
	if err != nil {
		return -1, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, wrap("hold a pipe for the output", err)
	}
	o := &outlet{file: f, raw: raw, to: a.t.Stream(id), done: make(chan struct{}), buf: make([]byte, 32<<10)}
	a.out.mu.Lock()
	a.out.all = append(a.out.all, o)
	a.out.mu.Unlock()
	go func() {
		defer a.out.drop(o)
		ended := false
		for !ended && o.raw.Read(func(fd uintptr) bool {
			ended = o.drain(int(fd))
			return ended
		}) == nil {
		}
	}()
	return p[1], nil
}

// most is what one drain carries, against a process that never stops writing; no pipe holds more unless
// it was made to.
const most = 1 << 20

// drain carries what the pipe holds, and tells whether it has ended.
func (o *outlet) drain(fd int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for total := 0; total < most; {
		n, err := unix.Read(fd, o.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != nil || n <= 0:
			return true
		}
		total += n
		_, _ = o.to.Write(o.buf[:n]) // it fails with the tether, and then nothing matters
	}
	return false
}
