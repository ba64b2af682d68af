package main

import (
	"os"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/base/thread"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// powers are the capabilities, over its own namespaces only, that the init starts with: to mount and
// pivot, to bring loopback up, to bind doors below port 1024, to see what is sent to none of them, to
// drop capabilities for good.
var powers = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_NET_RAW, unix.CAP_SETPCAP}

// programFD is where the launcher finds the program of inits: its own, sealed.
const programFD = 4

// launch is the launcher: it forks an init for each Launch frame, until the driver is gone.
//
// Everything happens on one thread, which is not the main one (as says why). The kernel sends the parent's
// death signal, which ends sandboxes that Bastide leaves behind, when the thread that forked ends.
func launch() {
	unix.CloseOnExec(controlFD)
	unix.CloseOnExec(programFD)
	closeFrom(programFD + 1)
	reapNone()
	thread.Go(launchAll)
	select {} // launchAll ends the process
}

func launchAll() {
	c := conn{fd: controlFD}
	for {
		h, body, fds, err := c.read()
		if err == nil && h.Kind == control.Take && len(fds) == 0 {
			if err := take(c, body); err != nil {
				os.Exit(0)
			}
			continue
		}
		if err != nil || h.Kind != control.Launch {
			os.Exit(0)
		}
		born, pidFD := bear("/proc/self/fd/4", body, fds)
		var answer []int
		if pidFD >= 0 {
			answer = []int{pidFD}
		}
		err = c.write(control.Launched, born.Append(nil), answer)
		for _, fd := range append(fds, answer...) {
			unix.Close(fd)
		}
		if err != nil {
			os.Exit(0)
		}
	}
}

// reapNone lets the kernel reap: an ignored SIGCHLD leaves no zombies. The driver waits for the end of
// an init by its pidfd.
func reapNone() {
	type action struct {
		handler, flags, restorer, mask uintptr
	}
	ignore := action{handler: 1} // SIG_IGN
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(syscall.SIGCHLD), uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
}

// bear forks one init.
func bear(program string, body []byte, fds []int) (control.Born, int) {
	failed := func(stage string, err error) (control.Born, int) {
		f := control.Failure{Stage: stage}
		if errno, ok := err.(syscall.Errno); ok {
			f.Errno = uint64(errno)
		}
		return control.Born{Failure: f}, -1
	}
	b, err := control.ParseBirth(body)
	tasks := int(b.Tasks)
	if err != nil || b.Tasks > 100 || len(fds) <= 2*tasks {
		return failed("read the launch", nil)
	}
	moves := fds[len(fds)-2*tasks:]
	fds = fds[:len(fds)-2*tasks]
	pidFD := -1
	sys := attributes(b, &fds)
	sys.PidFD = &pidFD
	files := make([]uintptr, len(fds))
	for i, fd := range fds {
		files[i] = uintptr(fd)
	}
	// A v1 cgroup is entered before the fork, by this thread alone: moving another process waits for
	// a grace period of the kernel's (5 to 15 ms measured), moving oneself does not.
	err = enter(b.Enter, moves[:tasks])
	if err == nil {
		argv := []string{"init"}
		if b.Nest {
			argv = append(argv, "nest")
		}
		var pid int
		fork := func() {
			pid, err = syscall.ForkExec(program, argv, &syscall.ProcAttr{
				Dir: "/", Env: []string{"GOMAXPROCS=1", "GOGC=off", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"}, Files: files, Sys: sys,
			})
		}
		if b.User && unix.Geteuid() == 0 {
			if denied := as(int(b.UID), fork); denied != nil {
				err = denied
			}
		} else {
			fork()
		}
		if err == nil {
			err = enter(b.Home, moves[tasks:])
			return bornOr(pid, err, pidFD)
		}
	}
	if back := enter(b.Home, moves[tasks:]); back != nil {
		return failed("leave the cgroup", back)
	}
	return failed("start the init in its namespaces (bastide doctor tells what this machine refuses)", err)
}

func bornOr(pid int, err error, pidFD int) (control.Born, int) {
	b := control.Born{PID: uint64(pid)}
	if errno, ok := err.(syscall.Errno); ok {
		b.Failure = control.Failure{Stage: "leave the cgroup", Errno: uint64(errno)}
	}
	return b, pidFD
}

// enter moves this thread.
func enter(tasks []string, open []int) error {
	for _, fd := range open {
		if _, err := unix.Write(fd, []byte("0")); err != nil {
			return err
		}
	}
	for _, path := range tasks {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		_, err = unix.Write(fd, []byte("0"))
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

// attributes are the namespaces and identity of a new init; it takes the cgroup's descriptor off fds.
func attributes(b *control.Birth, fds *[]int) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		Setsid:      true,
		Pdeathsig:   syscall.SIGKILL,
		AmbientCaps: powers,
		Credential:  &syscall.Credential{Uid: uint32(b.UID), Gid: uint32(b.GID), NoSetGroups: !b.Setgroups},
	}
	if b.IPC {
		a.Cloneflags |= unix.CLONE_NEWIPC
	}
	if b.UTS {
		a.Cloneflags |= unix.CLONE_NEWUTS
	}
	if b.User {
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.Credential.Uid, a.Credential.Gid = uint32(b.InsideUID), uint32(b.InsideGID)
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(b.InsideUID), HostID: int(b.UID), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(b.InsideGID), HostID: int(b.GID), Size: 1}}
		// without privilege the kernel wants setgroups off before it takes a group map
		a.GidMappingsEnableSetgroups = b.Setgroups
	}
	if b.Nest {
		a.AmbientCaps = append(slices.Clone(powers), unix.CAP_SETUID, unix.CAP_SETGID)
	}
	if b.Spare != 0 {
		spare := syscall.SysProcIDMap{ContainerID: control.SpareID, HostID: int(b.Spare), Size: control.Spares}
		a.UidMappings, a.GidMappings = append(a.UidMappings, spare), append(a.GidMappings, spare)
	}
	if n := len(*fds); b.IntoCgroup && n > 0 {
		a.UseCgroupFD, a.CgroupFD = true, (*fds)[n-1]
		*fds = (*fds)[:n-1]
	}
	return a
}
