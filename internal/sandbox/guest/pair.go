package guest

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/rights"
)

// Pair is a stream for an agent that is a process of this machine: the driver's end, which takes no
// descriptors, and the agent's, which becomes its descriptor 0.
func Pair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	f, theirs := os.NewFile(uintptr(fds[0]), "tether"), os.NewFile(uintptr(fds[1]), "tether")
	c, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	in, err := rights.Refuse(c.(*net.UnixConn), nil)
	if err != nil {
		return nil, nil, errors.Join(err, c.Close(), theirs.Close())
	}
	return bytesOnly{c, in}, theirs, nil
}

// bytesOnly is a connection that is read and closed by its rights.End.
type bytesOnly struct {
	net.Conn
	in *rights.End
}

func (b bytesOnly) Read(p []byte) (int, error) { return b.in.Read(p) }
func (b bytesOnly) Close() error               { return b.in.Close() }
