package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/rights"
)

// forked is what an instance whose process is forked has beside others.
type forked struct {
	from   *brood        // nil: it is executed
	number int           // its place among the nest's ids
	stands chan struct{} // closed when the root stands
	inner  int           // the process's pid inside; written before it is adopted
	guest  int           // and on this host; under the instance's mu
}

// id is an id that the sandbox has in the nest's user namespace: one of its own, or the one that there is.
func (f *forked) id(single int) uint64 {
	if f.from.driver.users.own() {
		return uint64(control.SpareID + f.number)
	}
	return uint64(single)
}

// weight is the memory that the process has for itself, without what forks still share.
func (f *forked) weight() int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(f.guest) + "/smaps_rollup")
	if err != nil {
		return treeMemory(f.guest)
	}
	total := int64(0)
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Private_Dirty:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64) // the kernel's own number
			total += kb << 10
		}
	}
	return total
}

// leaveNest is the end of an instance, as far as a nest is concerned.
func (i *instance) leaveNest() {
	if i.brood != nil {
		i.brood.spend()
		i.brood.forget()
		i.driver.mu.Lock()
		delete(i.driver.users.blocks, i.brood.block)
		i.driver.mu.Unlock()
	}
	if i.fork.from != nil {
		i.fork.from.over(i)
	}
}

// populate has a process forked into an instance whose root stands, and its init adopt it.
func (i *instance) populate(ctx context.Context) {
	select {
	case <-i.fork.stands:
	case <-i.done:
		return
	}
	if err := i.enter(ctx); err != nil {
		i.fork.from.spend() // whatever it was, a new one may be better
		i.refuse(err)
	}
}

func (i *instance) enter(ctx context.Context) error {
	mine, theirs, err := birthPair()
	if err != nil {
		return err
	}
	defer mine.Close()
	var p control.Process
	fds, err := i.belongings(theirs)
	if err == nil {
		p, err = i.process(i.spec.Argv, nil, i.spec.Dir)
	}
	if err == nil {
		err = i.askToFork(p, fds)
	}
	if err = errors.Join(err, closeAll(fds)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = mine.Close() })
	defer stop()
	outer, err := i.hearEntering(mine)
	if err != nil {
		return err
	}
	a := control.Adoption{PID: uint64(i.fork.inner), Process: p}
	if err := i.session.send(control.Adopt, a.Append(nil), nil); err != nil {
		return err
	}
	b := i.fork.from
	b.mu.Lock()
	defer b.mu.Unlock()
	b.living[i] = outer
	if s, ok := b.orphans[outer]; ok {
		i.bereave(s)
	}
	if !b.entering() {
		clear(b.orphans) // pids come again
	}
	return nil
}

// bereave tells the init how the process that it has adopted has ended.
func (i *instance) bereave(s control.Status) {
	// an init that has ended needs to know no more
	_ = i.session.send(control.Adopted, control.Ward{PID: uint64(i.fork.inner), Status: s}.Append(nil), nil)
}

// birthPair is a socket whose messages tell who sent them; the second descriptor is the fork's.
func birthPair() (*net.UnixConn, int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, err
	}
	f := os.NewFile(uintptr(fds[0]), "birth")
	err = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	c, cerr := net.FileConn(f)
	if err := errors.Join(err, cerr, f.Close()); err != nil {
		return nil, -1, errors.Join(err, unix.Close(fds[1]))
	}
	// the fork closes its end before a function's code is in it, so that no older kernel needs more
	if _, err := rights.Refuse(c.(*net.UnixConn), nil); err != nil {
		return nil, -1, errors.Join(err, c.Close(), unix.Close(fds[1]))
	}
	return c.(*net.UnixConn), fds[1], nil
}

// belongings are the descriptors that a fork is given, answer among them, all of them the caller's: the init
// to enter, output, error output, channel, where to answer, and the files by which it moves itself into the
// cgroups.
func (i *instance) belongings(answer int) ([]int, error) {
	held := i.release()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone {
		return append(held, answer), errEnded
	}
	target, err := unix.FcntlInt(uintptr(i.pidFD), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return append(held, answer), err
	}
	paths, _ := i.group.Tasks()
	if i.group.FD() >= 0 {
		paths = append(paths, i.group.Procs())
	}
	tasks, err := openTasks(paths)
	return append(append(append([]int{target}, held...), answer), tasks...), err
}

// askToFork writes the frame that package bootstrap's bastide_zygote reads.
func (i *instance) askToFork(p control.Process, fds []int) error {
	b := i.fork.from
	var body []byte
	number := func(n uint64) { body = binary.BigEndian.AppendUint64(body, n) }
	text := func(s string) { number(uint64(len(s))); body = append(body, s...) }
	namespaces, groups := uint64(unix.CLONE_NEWUSER|unix.CLONE_NEWPID|unix.CLONE_NEWNS|unix.CLONE_NEWNET), uint64(0)
	if !b.driver.waived["ipc"] {
		namespaces |= unix.CLONE_NEWIPC
	}
	if !b.driver.waived["uts"] {
		namespaces |= unix.CLONE_NEWUTS
	}
	if b.driver.users.own() {
		groups = 1 // to leave
	}
	for _, n := range []uint64{namespaces, insideUID, insideGID, groups, p.Fence.Handled, p.Fence.Scoped} {
		number(n)
	}
	text(p.Dir)
	number(uint64(len(p.Fence.Grants)))
	for _, g := range p.Fence.Grants {
		number(g.Access)
		text(g.Path)
	}
	text(string(b.driver.filter))
	number(uint64(len(b.limits)))
	for _, l := range b.limits {
		number(uint64(l.Resource))
		number(l.Value)
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	frame := append(binary.BigEndian.AppendUint64(nil, uint64(len(body))), body...)
	n, _, err := b.nest.channel.WriteMsgUnix(frame, unix.UnixRights(fds...), nil)
	for err == nil && n < len(frame) {
		frame = frame[n:]
		n, err = b.nest.channel.Write(frame)
	}
	return err
}

// hearEntering waits for both halves of a fork: the outer one tells the pid that the nest's init sees, the
// inner one that it has entered and given everything up. The kernel tells which processes they are.
func (i *instance) hearEntering(c *net.UnixConn) (outer int, err error) {
	word, oob := make([]byte, 512), make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for outer == 0 || i.fork.inner == 0 {
		n, oobn, _, _, err := c.ReadMsgUnix(word, oob)
		if err != nil || n == 0 {
			return 0, errors.Join(errors.New("the forked process did not enter its sandbox"), err)
		}
		said := string(word[1:n])
		switch word[0] {
		case 'E':
			return 0, fmt.Errorf("a forked process cannot enter: %s", said)
		case 'O':
			if outer, err = strconv.Atoi(said); err != nil || outer < 2 {
				return 0, errors.Join(control.ErrFrame, err)
			}
		case 'I':
			pid, err := sender(oob[:oobn])
			if i.fork.inner, _ = strconv.Atoi(said); err != nil || i.fork.inner < 2 {
				return 0, errors.Join(control.ErrFrame, err)
			}
			i.mu.Lock()
			i.fork.guest = pid
			i.mu.Unlock()
		default:
			return 0, control.ErrFrame
		}
	}
	return outer, nil
}

// sender is the pid on this host of who sent a message.
func sender(oob []byte) (int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) != 1 {
		return 0, errors.Join(control.ErrFrame, err)
	}
	cred, err := unix.ParseUnixCredentials(&msgs[0])
	if err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}
