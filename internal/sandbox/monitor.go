package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Monitor judges what a sandbox's processes do. It is asked for one deed at a time, while the process
// waits: it must not block.
type Monitor interface {
	// Judge tells whether a deed may go on; one that may not fails with EACCES. The answer is a report
	// more than a wall: a process with several threads can change a path after it was read here. Walls
	// are made of Confinement.
	Judge(Deed) bool
}

// Deed is what a process is about to do.
type Deed struct {
	Kind DeedKind
	Path string // absolute, as the process sees it, and but for Exec without symbolic links. Empty for Fork, and where it cannot be read
}

// DeedKind is a kind of deed.
type DeedKind int

// The deeds that a Monitor hears of.
const (
	Fork  DeedKind = iota // start a process
	Exec                  // execute a program
	Read                  // open a file to read; through a symbolic link, one deed for it and one for the file
	Write                 // open a file to write, or make, move or remove one, a directory, a link or a socket
)

// The interface of seccomp's listeners: struct seccomp_notif and seccomp_notif_resp, seccomp_unotify(2).
type (
	notification struct {
		id    uint64
		pid   uint32
		flags uint32
		nr    int32
		arch  uint32
		ip    uint64
		args  [6]uint64
	}
	verdict struct {
		id    uint64
		value int64
		errno int32
		flags uint32
	}
)

const (
	ioctlReceive = 0xc0502100
	ioctlSend    = 0xc0182101
	ioctlValid   = 0x40082102
	goOn         = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE
	pathMost     = 4096
)

// observe answers for the calls that a listener reports, until no process is left that makes them.
func (i *instance) observe(fds []int) error {
	if len(fds) != 1 || i.spec.Monitor == nil {
		return errors.Join(fmt.Errorf("%d listeners", len(fds)), closeAll(fds))
	}
	// what still runs the init's program is on its way to another
	first, err := os.Stat("/proc/" + strconv.Itoa(i.pid) + "/exe")
	if err != nil {
		return errors.Join(err, closeAll(fds))
	}
	i.observers.Go(func() {
		defer unix.Close(fds[0])
		poll := []unix.PollFd{{Fd: int32(fds[0]), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
				return
			}
			if poll[0].Revents&unix.POLLIN != 0 {
				i.judge(fds[0], first)
			} else if poll[0].Revents != 0 {
				return // nobody is left
			}
		}
	})
	return nil
}

// judge answers one notification. A process that ended meanwhile needs no answer.
func (i *instance) judge(fd int, first os.FileInfo) {
	var n notification
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlReceive, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return
	}
	deeds := n.deeds()
	own := false
	if len(deeds) > 0 && (deeds[0].Kind == Fork || deeds[0].Kind == Exec) {
		exe, err := os.Stat("/proc/" + strconv.FormatUint(uint64(n.pid), 10) + "/exe")
		own = err == nil && os.SameFile(exe, first)
	}
	if valid, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlValid, uintptr(unsafe.Pointer(&n.id))); valid != 0 || errno != 0 {
		return // what was read may have been another process's
	}
	v := verdict{id: n.id, flags: goOn}
	if !own && slices.ContainsFunc(deeds, func(d Deed) bool { return !i.spec.Monitor.Judge(d) }) {
		v = verdict{id: n.id, errno: -int32(unix.EACCES)}
	}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlSend, uintptr(unsafe.Pointer(&v)))
}

// text reads a text that ends with a zero byte.
func (n *notification) text(address uint64) (string, error) {
	b, err := n.read(address, pathMost)
	if err != nil {
		return "", err
	}
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return "", unix.ENAMETOOLONG
	}
	return string(b[:end]), nil
}

// read reads the process's memory, as far as it goes.
func (n *notification) read(address uint64, size int) ([]byte, error) {
	b := make([]byte, size)
	page := uint64(os.Getpagesize())
	// a segment for each page: reading ends before the first one that is not there
	var remote []unix.RemoteIovec
	for at := address; at < address+uint64(size); {
		next := min((at/page+1)*page, address+uint64(size))
		remote = append(remote, unix.RemoteIovec{Base: uintptr(at), Len: int(next - at)})
		at = next
	}
	local := []unix.Iovec{{Base: &b[0]}}
	local[0].SetLen(size)
	got, err := unix.ProcessVMReadv(int(n.pid), local, remote, 0)
	if err != nil {
		return nil, err
	}
	return b[:got], nil
}
