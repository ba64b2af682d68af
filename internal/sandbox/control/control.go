// Package control is the conversation between the sandbox driver and the init inside a sandbox, and
// between the driver and the launcher, which is the same small program outside.
//
// A frame is a header of eight bytes (kind, number of descriptors, two zero bytes, length of the
// body as 32 bits, big endian) and a body; descriptors travel as SCM_RIGHTS with the header. The
// driver speaks first:
//
//	driver → init   Config    what to build, with one mount descriptor for each mount that has one
//	init → driver   Ready     the root stands; with one listening socket for each door
//	driver → init   Deliver   what a sandbox was waiting for: its code, doors, limits (once, before or after Start)
//	driver → init   Start     the process to run
//	init → driver   Observed  the descriptor to watch the processes by, before the first is executed, where that is wanted
//	init → driver   Started   it has been executed
//	driver → init   Stop, Continue    hold and release every process (where no freezer exists)
//	driver → init   Spawn     one more process, before or after the one of Start
//	init → driver   Spawned   it has been executed, or why not
//	driver → init   Signal    a signal for one process and its group
//	init → driver   Ended     how one of several processes ended
//	driver → init   Dial      a port of loopback to connect to
//	init → driver   Dialed    with the socket, whose connection is under way
//	driver → init   Adopt    in place of Start: the process that has entered the sandbox from outside
//	driver → init   Adopted  how it ended, which the init cannot see
//	init → driver   Exited    how it ended; the init ends too, and with it every other process
//	                          (with a Spawn before, Ended says so instead and nothing else ends)
//	init → driver   Failed    at any point: the stage and the reason; the init ends
//
// A nest's init launches others too: it answers Launch as the launcher does, and tells by Orphan of
// processes that have ended as children of its, and that nobody asked it to start.
//
// The launcher answers each Launch, which carries the new init's descriptors, by Launched, which
// carries the new init's pidfd. One in a user namespace of its own answers each Take, which names a file or
// directory, by Taken, which carries a mount of it.
//
// Deliver, Stop, Continue and Signal are answered by Done, Deliver's with the sockets of its doors; Spawn and
// Dial in the order in which they came. A driver need not wait for Ready before it sends
// Start. When the driver's end closes, the init ends. The package has no dependencies, because the
// init must stay small.
package control

import "errors"

// Kind says what a frame is.
type Kind byte

// The kinds of frames; see the package comment.
const (
	Config Kind = iota + 1
	Ready
	Deliver
	Start
	Started
	Stop
	Continue
	Exited
	Failed
	Done
	Launch
	Launched
	Spawn
	Spawned
	Signal
	Ended
	Dial
	Dialed
	Observed
	Adopt
	Adopted
	Orphan
	Take
	Taken
)

// HeaderSize is the length of a frame's header in bytes.
const HeaderSize = 8

// Limits of a frame: the body in bytes, and descriptors (the kernel's SCM_MAX_FD).
const (
	MaxBody = 32 << 20
	MaxFDs  = 253
)

// InitThreads are threads that a sandbox's init may have when its function has all the processes and threads
// that it may have.
const InitThreads = 16

// ErrFrame is a frame that breaks the format or its limits.
var ErrFrame = errors.New("control: malformed frame")

// Header is the head of a frame.
type Header struct {
	Kind Kind
	FDs  int // descriptors that travel with it
	Body int // bytes that follow
}

// Append adds the header's wire form to b.
func (h Header) Append(b []byte) []byte {
	return append(b, byte(h.Kind), byte(h.FDs), 0, 0,
		byte(h.Body>>24), byte(h.Body>>16), byte(h.Body>>8), byte(h.Body))
}

// ParseHeader reads a header; b must be exactly HeaderSize bytes.
func ParseHeader(b []byte) (Header, error) {
	if len(b) != HeaderSize || b[2] != 0 || b[3] != 0 {
		return Header{}, ErrFrame
	}
	h := Header{Kind: Kind(b[0]), FDs: int(b[1])}
	body := uint32(b[4])<<24 | uint32(b[5])<<16 | uint32(b[6])<<8 | uint32(b[7])
	if h.Kind < Config || h.Kind > Taken || h.FDs > MaxFDs || body > MaxBody {
		return Header{}, ErrFrame
	}
	h.Body = int(body)
	return h, nil
}
