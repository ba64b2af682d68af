package runtimeapi

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// The bytes by which our own runtimes mark a log event that may span lines (console.log, the
// logging module): it begins with eventMark, and each line break within it is written as
// eventBreak. Anything else is one event a line.
const (
	eventMark  = 0x1e
	eventBreak = 0x1f
)

// MaxEvent is the longest log event in bytes; a longer line becomes several ("CloudWatch Logs
// quotas", event size).
const MaxEvent = 256 << 10

// maxFlush bounds what one Flush reads, against a child process that never stops writing. No pipe
// holds more than this.
const maxFlush = 4 << 20

// Output reads a guest's stdout and stderr, one pipe for both so that their order is kept, and
// cuts them into log events.
type Output struct {
	pipe *os.File
	raw  syscall.RawConn
	done chan struct{}

	mu      sync.Mutex // held while reading and delivering
	sink    func(event []byte)
	buf     []byte
	partial []byte // a line that has not ended yet
}

// NewOutput starts to read pipe, which must be one that the runtime polls (os.Pipe, or a
// non-blocking os.NewFile), and takes it over. The sink receives one event at a time, without its
// line break; the slice is only lent. It must not call the Output.
func NewOutput(pipe *os.File, sink func(event []byte)) (*Output, error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("runtimeapi: output: %w", err)
	}
	o := &Output{pipe: pipe, raw: raw, done: make(chan struct{}), sink: sink, buf: make([]byte, 16<<10)}
	go o.read()
	return o, nil
}

// read delivers lines as they come, until the pipe ends or is closed.
func (o *Output) read() {
	defer close(o.done)
	for ended := false; !ended; {
		err := o.raw.Read(func(fd uintptr) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			n, again := o.readOnce(int(fd))
			ended = n == 0 && !again
			return !again
		})
		if err != nil {
			return
		}
	}
}

// readOnce reads what one call yields and delivers it. Zero bytes without again is the end.
func (o *Output) readOnce(fd int) (n int, again bool) {
	for {
		n, err := syscall.Read(fd, o.buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, true
		case err != nil || n <= 0:
			return 0, false
		}
		o.split(o.buf[:n])
		return n, false
	}
}

// Flush delivers everything that the guest has written until now, a line without an end too. Call
// it when an invocation was answered and when the guest has ended.
func (o *Output) Flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	// Control does not wait for the reader that is parked in Read.
	_ = o.raw.Control(func(fd uintptr) { // fails when closed: then there is nothing more
		for total := 0; total < maxFlush; {
			n, _ := o.readOnce(int(fd))
			if n == 0 {
				return
			}
			total += n
		}
	})
	if len(o.partial) > 0 {
		o.deliver(o.partial)
		o.partial = o.partial[:0]
	}
}

// Close stops reading; what was not flushed is lost.
func (o *Output) Close() error {
	err := o.pipe.Close()
	<-o.done
	return err
}

func (o *Output) split(b []byte) {
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\n\x1e")
		end := i
		if i < 0 {
			end = len(b)
		}
		if room := MaxEvent - len(o.partial); end > room {
			o.partial = append(o.partial, b[:room]...)
			o.endEvent()
			b = b[room:]
			continue
		}
		switch {
		case i < 0:
			o.partial = append(o.partial, b...)
			return
		case b[i] == '\n' && len(o.partial) == 0:
			o.deliver(b[:i])
		case b[i] == '\n':
			o.partial = append(o.partial, b[:i]...)
			o.endEvent()
		default: // a marked event begins in the middle of a line
			o.partial = append(o.partial, b[:i]...)
			if len(o.partial) > 0 {
				o.endEvent()
			}
			o.partial = append(o.partial, eventMark)
		}
		b = b[i+1:]
	}
}

func (o *Output) endEvent() {
	o.deliver(o.partial)
	o.partial = o.partial[:0]
	if cap(o.partial) > 64<<10 {
		o.partial = nil
	}
}

func (o *Output) deliver(event []byte) {
	if len(event) > 0 && event[0] == eventMark {
		event = event[1:]
		for i, c := range event {
			if c == eventBreak {
				event[i] = '\n'
			}
		}
	}
	o.sink(bytes.TrimSuffix(event, []byte("\r")))
}
