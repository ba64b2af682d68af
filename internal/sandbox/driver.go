package sandbox

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
)

// Driver is a way to isolate. It is safe for concurrent use.
type Driver interface {
	// Start runs spec's process and returns when it has been executed. The context bounds the
	// start, not the instance. The error is a *StartError when the sandbox could not be built.
	Start(ctx context.Context, spec Spec) (Instance, error)
	// Name is the driver's name in the configuration, such as "namespace".
	Name() string
}

// Setting is something that a function may ask for and that not every driver holds.
type Setting string

// The settings.
const (
	Profiled Setting = "a runtime profile"
	WaysOut  Setting = "ways out, by tags or VpcConfig"
	IPv6Ways Setting = "ways out to IPv6 addresses"
	Images   Setting = "a container image"
	TmpBound Setting = "an EphemeralStorage of its own"
)

// Limited is a Driver that does not hold all of them. Who asks for one is refused when it is set.
type Limited interface {
	Lacks() []Setting
}

// Instance is one running sandbox. It is safe for concurrent use.
type Instance interface {
	// Doors are the sockets of Spec.Doors by name, open until the instance ends. Connections that were
	// made before that can be accepted after it.
	Doors() map[string]Door
	// Channel is Bastide's end of the process's descriptor 3; nil unless Spec.Channel. What was said on it
	// before the instance ended can be read after it.
	Channel() net.Conn
	// Freeze holds every process; it returns when they stand still. Thaw lets them go on.
	Freeze() error
	Thaw() error
	// Kill ends every process and returns when nothing is left of the instance. Killing what has
	// ended is no error.
	Kill() error
	// Wait gives the one Exit when nothing is left of the instance, and is closed then.
	Wait() <-chan Exit
	// MemoryPeak is the most memory that the instance had at any time, in bytes.
	MemoryPeak() (int64, error)
}

// Forker is a Driver that can fork processes into sandboxes (Spec.Fork).
type Forker interface {
	// Forks is nil where this machine lets it; otherwise it says why not. It tries once.
	Forks() error
}

// ForksAtMost is how many sandboxes get their processes from one that waits, before another takes its
// place.
const ForksAtMost = 64

// Weigher is an Instance that knows what it holds.
type Weigher interface {
	// Weight is the memory that its processes have for themselves now, in bytes.
	Weight() int64
}

// Scratched is an Instance that knows how much of its /tmp is in use.
type Scratched interface {
	// TmpUse is what is in /tmp now, and the most that was seen there, in bytes. What came and went
	// between two looks, as within an invocation that took milliseconds, was not seen.
	TmpUse() (now, most int64, err error)
}

// Several is an Instance that may hold more processes than the specification's. They share its world,
// limits and lack of rights. With the first of them, the end of the specification's own process ends
// nothing but itself: Ended tells of it, and the caller kills.
type Several interface {
	// Spawn starts a process beside the others and returns when it has been executed. Its number is
	// the count of those started so, from 1; at most MaxProcesses. A program that cannot be executed
	// is a *StartError and ends nothing.
	Spawn(ctx context.Context, p Process) (number int, err error)
	// Begin starts the process of a specification that is Held, as Driver.Start does otherwise.
	Begin(ctx context.Context) error
	// Signal signals a process and its group; 0 is the specification's. One that has ended needs none.
	Signal(number int, sig syscall.Signal) error
	// Ended tells how each process ended, and is closed with the instance.
	Ended() <-chan Ended
}

// MaxProcesses bounds Spawn.
const MaxProcesses = 32

// Process is one more program for a sandbox. Argv, Env and Dir are as in Spec. Stdout and Stderr are
// given to the process itself; their owner closes them after Spawn. Nil is discarded.
type Process struct {
	Argv           []string
	Env            []string
	Dir            string
	Stdout, Stderr *os.File
}

// Ended is how one of several processes ended; as in Exit.
type Ended struct{ Number, Code, Signal int }

// Dialer is an Instance whose listeners can be reached from outside.
type Dialer interface {
	// Dial connects to a TCP port of the sandbox's 127.0.0.1. While the instance is frozen it waits.
	Dial(ctx context.Context, port uint16) (net.Conn, error)
}

// Door is one socket inside a sandbox's network, held by Bastide: Listener for "tcp", Packet for
// "udp", Watch for "watch".
type Door struct {
	Listener net.Listener
	Packet   net.PacketConn
	// Watch gives, with each Read, the head of an IP packet that begins a TCP connection or is a UDP
	// datagram, to any address but 127.0.0.1 and ::1: also of those that arrive at a door. A driver
	// whose sandboxes have no such sight leaves it nil.
	Watch Sight
}

// Exit is how an instance ended.
type Exit struct {
	Code      int   // exit code of the process; -1 if a signal ended it
	Signal    int   // the signal, such as 9; 0 if there was none
	OOMKilled bool  // memory was exhausted, and something was killed for it
	Peak      int64 // as MemoryPeak, at the end; 0: not known
	Err       error // the sandbox itself failed, or something of it could not be removed
}

// ErrCutShort is in the StartError of a sandbox that something from outside ended while it was built: a
// signal, or exhausted memory of the machine. Nothing has run in it.
var ErrCutShort = errors.New("it was ended from outside")

// StartError is a sandbox that could not be built or entered.
type StartError struct {
	ID    string
	Stage string // what was being done, such as "mount /proc"
	Err   error  // may be nil, when Stage says it all
}

func (e *StartError) Error() string {
	s := "sandbox " + e.ID + ": " + e.Stage
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *StartError) Unwrap() error { return e.Err }
