package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/seccomp"
)

// overhead is what a sandbox needs beside its function: the init's memory and processes' worth.
const (
	overheadBytes = 16 * megabyte
	overheadPids  = 16
)

// What a sandbox may have of each disk, a second and direction. It writes to none: root, devices and /tmp
// are memory, which is not swapped where the kernel bounds it, and code and layers are read-only. What
// reaches a disk is the reading of code and runtimes that are not in the page cache yet.
const (
	diskBytes = 512 * megabyte
	diskOps   = 20_000
)

// launch has the init forked into its cgroup, and sends it everything. What fails is left for
// cleanUp.
func (i *instance) launch() error {
	fail := func(stage string, err error) error {
		return errors.Join(&StartError{ID: i.spec.ID, Stage: stage, Err: err}, i.output.handedOver())
	}
	setup, err := i.setup()
	if err != nil {
		return fail("describe the sandbox", err)
	}
	n := i.driver
	if i.group, err = n.host.Create(i.spec.ID, i.limits()); err != nil {
		return fail("make the cgroup", err)
	}
	if i.spec.Late {
		if err := i.group.Background(true); err != nil {
			return fail("put the cgroup behind the others", err)
		}
	}
	theirs, files, err := i.wires()
	defer func() { _ = closeAll(theirs) }() // this side's copies
	if err != nil {
		return fail("lay the wires", err)
	}
	if i.pid, i.pidFD, err = i.bear(files); err != nil {
		if i.pid != 0 {
			i.kill()
			i.reap()
		}
		return fail("launch", err)
	}
	if err := n.cores.enter(i.spec.Account, i.pid); err != nil {
		i.kill()
		i.reap()
		return fail("keep the account's cores to itself", err)
	}
	if err := i.instruct(setup, theirs, files[1:3]); err != nil {
		i.kill()
		i.reap()
		return fail("instruct the init", err)
	}
	if err := i.output.handedOver(); err != nil {
		return fail("close the output's other ends", err)
	}
	n.watch.add(i)
	return nil
}

// bear has the init forked, by the launcher or by the nest's.
func (i *instance) bear(files []int) (pid, pidFD int, err error) {
	if i.fork.from != nil {
		return i.fork.from.launch(i, files)
	}
	if fd := i.group.FD(); fd >= 0 {
		files = append(files, fd)
	}
	return i.driver.launcher.fork(i.birth(), files)
}

// wires makes the sockets and pipes: the descriptors that are only for the other side (the control
// socket, then perhaps the channel), and the init's descriptors from 0 on.
func (i *instance) wires() (theirs []int, files []int, err error) {
	s, fd, err := newSession()
	if err != nil {
		return nil, nil, err
	}
	i.session, theirs = s, append(theirs, fd)
	if i.spec.Channel {
		c, fd, err := socketPair("channel")
		if err != nil {
			return theirs, nil, err
		}
		theirs = append(theirs, fd)
		in, err := i.driver.bytesOnly(c, i.kill)
		if err != nil {
			return theirs, nil, errors.Join(err, c.Close())
		}
		i.channel = &lasting{UnixConn: c, in: in}
	}
	out, err := i.output.open(i.spec.Stdout, i.driver.null)
	if err != nil {
		return theirs, nil, err
	}
	errs, err := i.output.open(i.spec.Stderr, i.driver.null)
	if err != nil {
		return theirs, nil, err
	}
	return theirs, []int{int(i.driver.null.Fd()), out, errs, theirs[0]}, nil
}

// instruct says everything at once; the init works it off.
func (i *instance) instruct(setup *control.Setup, theirs, output []int) error {
	if err := i.session.send(control.Config, setup.Append(nil), i.mounts); err != nil {
		return err
	}
	err := closeAll(i.mounts)
	i.mounts = nil
	if err != nil {
		return err
	}
	if i.fork.from != nil {
		return i.holdBack(append(slices.Clone(output), theirs[1:]...))
	}
	if len(i.spec.Argv) == 0 || i.spec.Held {
		return i.holdBack(theirs[1:])
	}
	return i.sendStart(theirs[1:])
}

// process is what the init is told to execute. The fence of the first is around all.
func (i *instance) process(argv, env []string, dir string) (control.Process, error) {
	programs := []string{argv[0]}
	if len(i.spec.Argv) > 0 {
		programs = append(programs, i.spec.Argv[0])
	}
	f, err := i.driver.fence(i.spec, programs)
	if err != nil {
		return control.Process{}, err
	}
	if i.brood != nil {
		// what it forks takes one on in its own root; of an inherited one that root would be no part
		f = control.Fence{}
	}
	p := control.Process{Argv: argv, Env: env, Dir: dir, Fence: f}
	if i.spec.Monitor != nil {
		p.Notify = seccomp.Notify()
	}
	return p, nil
}

// filter is what the init loads before it executes anything.
func (i *instance) filter() []byte {
	if i.brood != nil && len(i.driver.filter) > 0 {
		return seccomp.Nursery()
	}
	return i.driver.filter
}

// holdBack keeps the channel's other end for a process that is executed later.
func (i *instance) holdBack(fds []int) error {
	for _, fd := range fds {
		again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		i.held = append(i.held, again)
	}
	return nil
}

// setup is the specification in the init's words. Mounts become descriptors in i.mounts.
func (i *instance) setup() (*control.Setup, error) {
	s := &control.Setup{
		Hostname:  i.spec.Hostname,
		CgroupNS:  !i.driver.waived["cgroup"],
		Proc:      !i.driver.waived["proc"],
		RootBytes: rootBytes,
		TmpBytes:  uint64(i.spec.TmpBytes),
		Dirs:      i.spec.Root.Dirs,
		Filter:    i.filter(),
		Late:      i.spec.Late,
	}
	if !i.driver.users.own() {
		s.Store = i.spec.Store
	}
	if i.driver.waived["uts"] {
		s.Hostname = ""
	}
	var err error
	if s.Doors, err = doorsOf(i.spec.Doors, i.spec.Late); err != nil {
		return nil, err
	}
	for _, p := range slices.Sorted(maps.Keys(i.spec.Root.Files)) {
		f := i.spec.Root.Files[p]
		mode := f.Mode
		if mode == 0 {
			mode = 0o644
		}
		s.Files = append(s.Files, control.File{Path: p, Mode: mode & 0o777, Content: f.Content})
	}
	for _, p := range slices.Sorted(maps.Keys(i.spec.Root.Links)) {
		s.Links = append(s.Links, control.Link{Path: p, Target: i.spec.Root.Links[p]})
	}
	if err := i.setupMounts(s); err != nil {
		return nil, err
	}
	return s, i.setupLimits(s)
}

func (i *instance) setupMounts(s *control.Setup) error {
	if i.spec.Root.Tree != "" {
		m, err := i.mount(Bind{Source: i.spec.Root.Tree})
		if err != nil {
			return err
		}
		s.Tree = []control.Mount{m}
	}
	binds := i.spec.Root.Binds
	if i.spec.Code != "" {
		binds = append(slices.Clone(binds), Bind{Source: i.spec.Code, Target: "/var/task"})
	}
	for _, b := range binds {
		m, err := i.mount(b)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	for _, l := range i.spec.Layers {
		m, err := i.mount(Bind{Source: l})
		if err != nil {
			return err
		}
		s.Layers = append(s.Layers, m)
	}
	return nil
}

// mount makes a bind ready. It is cloned for a sandbox with a user of its own, who may not walk to it (the
// data directory is its owner's alone); a sandbox that has Bastide's user finds it by its path.
func (i *instance) mount(b Bind) (control.Mount, error) {
	m := control.Mount{Target: b.Target, Writable: b.Writable}
	if !i.driver.users.own() {
		m.Source = b.Source
		return m, nil
	}
	fd, err := i.driver.cloneTree(b.Source)
	if err != nil {
		return m, err
	}
	i.mounts = append(i.mounts, fd)
	return m, nil
}

// cloneTree makes a mount of a host's file or directory, attached nowhere.
func cloneTree(source string) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("take %s: %w", source, err)
	}
	return fd, nil
}

// countedByUser are limits of a user in a user namespace and in all below: on a nest they would be one budget
// for everything that is forked in it.
var countedByUser = []uint64{unix.RLIMIT_NPROC, unix.RLIMIT_SIGPENDING, unix.RLIMIT_MSGQUEUE, unix.RLIMIT_MEMLOCK}

// setupLimits adds the resource limits. None may be above Bastide's own hard limit.
func (i *instance) setupLimits(s *control.Setup) error {
	want := []control.Limit{
		{Resource: unix.RLIMIT_NOFILE, Value: uint64(i.spec.NoFile)},
		{Resource: unix.RLIMIT_NPROC, Value: uint64(i.spec.Pids + overheadPids)},
		{Resource: unix.RLIMIT_CORE, Value: 0},
		{Resource: unix.RLIMIT_MSGQUEUE, Value: 0},
		{Resource: unix.RLIMIT_MEMLOCK, Value: lockedBytes},
		{Resource: unix.RLIMIT_SIGPENDING, Value: pendingSignals},
	}
	if i.driver.can.Memory == "" && !i.spec.Late && i.brood == nil { // which its forks would keep
		want = append(want, control.Limit{Resource: unix.RLIMIT_DATA, Value: dataBound(i.spec.MemoryBytes)})
	}
	want, err := allowed(want)
	if i.brood != nil {
		i.brood.limits = want
		want = slices.DeleteFunc(slices.Clone(want), func(l control.Limit) bool { return slices.Contains(countedByUser, l.Resource) })
	}
	s.Limits = want
	return err
}

// What a process may keep from being paged, enough for libraries that hold keys; and how many signals may
// wait for the sandbox's user.
const (
	lockedBytes    = 8 * megabyte
	pendingSignals = 4096
)

// dataBound is a bound between two looks of the watch; generous, as runtimes reserve more than they use.
func dataBound(memory int64) uint64 { return uint64(2*memory + 1024*megabyte) }

// allowed lowers limits to Bastide's own.
func allowed(want []control.Limit) ([]control.Limit, error) {
	for n, l := range want {
		var own unix.Rlimit
		if err := unix.Getrlimit(int(l.Resource), &own); err != nil {
			return nil, err
		}
		want[n].Value = min(l.Value, own.Max)
	}
	return want, nil
}
