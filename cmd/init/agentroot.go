package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/base/thread"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// The function's user and group, as cmd/init's other mode is told them in its namespace's map.
const (
	functionUID = 993
	functionGID = 990
)

// nodes are the devices of /dev by their numbers (Documentation/admin-guide/devices.txt).
var nodes = map[string]int{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}

// mountOwn mounts what belongs to this kernel and not to the host's files.
func (a *agent) mountOwn() error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV
	proc, dev := a.root+"/proc", a.root+"/dev"
	if a.setup.Proc {
		if err := unix.Mount("proc", proc, "proc", flags|unix.MS_NOEXEC|unix.MS_RDONLY, ""); err != nil {
			return wrap("mount /proc", err)
		}
	}
	if err := a.mountTmp(a.setup.TmpBytes); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,size=64k"); err != nil {
		return wrap("mount /dev", err)
	}
	for name, minor := range nodes {
		at := dev + "/" + name
		if err := unix.Mknod(at, unix.S_IFCHR|0o666, int(unix.Mkdev(1, uint32(minor)))); err != nil {
			return wrap("make /dev/"+name, err)
		}
		if err := unix.Chmod(at, 0o666); err != nil { // whatever the umask
			return wrap("open /dev/"+name+" to all", err)
		}
	}
	for name, to := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"} {
		if err := unix.Symlink("/proc/self/fd"+to, dev+"/"+name); err != nil {
			return wrap("link /dev/"+name, err)
		}
	}
	return nil
}

// mountTmp mounts a /tmp, over the one that there was.
func (a *agent) mountTmp(size uint64) error {
	err := unix.Mount("tmpfs", a.root+"/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size="+strconv.FormatUint(size, 10))
	if err != nil {
		return wrap("mount /tmp", err)
	}
	return nil
}

// spawn executes a process, whose descriptors from 1 on are given. Its limits are the agent's for the
// moment of the fork, since they can be raised again by who has the right to; on the host the agent keeps
// them.
func (a *agent) spawn(p *control.Process, inside []uintptr) (int, error) {
	var own []control.Limit
	for _, l := range a.setup.Limits {
		var was unix.Rlimit
		if err := unix.Getrlimit(int(l.Resource), &was); err != nil {
			return 0, wrap("read a resource limit", err)
		}
		own = append(own, control.Limit{Resource: l.Resource, Value: was.Max})
		lim := unix.Rlimit{Cur: l.Value, Max: l.Value}
		if err := unix.Setrlimit(int(l.Resource), &lim); err != nil {
			return 0, wrap("set a resource limit", err)
		}
	}
	type result struct {
		pid, thread int
		err         error
	}
	done := make(chan result, 1)
	thread.Go(func() {
		pid, err := a.execute(p, inside)
		done <- result{pid, unix.Gettid(), err}
		if a.root == "" {
			select {} // the process is sent its death signal when the thread that forked it ends
		}
	})
	r := <-done
	if a.root == "" {
		return r.pid, r.err
	}
	for unix.Tgkill(os.Getpid(), r.thread, 0) == nil {
		runtime.Gosched() // surrender is for threads that have not given everything up
	}
	for _, l := range own {
		lim := unix.Rlimit{Cur: l.Value, Max: l.Value}
		if err := unix.Setrlimit(int(l.Resource), &lim); err != nil {
			return 0, wrap("take back a resource limit", err)
		}
	}
	return r.pid, r.err
}

// execute forks the process from the calling thread.
func (a *agent) execute(p *control.Process, inside []uintptr) (int, error) {
	sys := &syscall.SysProcAttr{Setsid: true}
	if a.root == "" {
		sys.Pdeathsig = syscall.SIGKILL
	} else if err := a.enter(); err != nil {
		return 0, err
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, wrap("open /dev/null", err)
	}
	defer unix.Close(null)
	files := append([]uintptr{uintptr(null)}, inside...)
	pid, err := syscall.ForkExec(p.Argv[0], p.Argv, &syscall.ProcAttr{Dir: p.Dir, Env: p.Env, Files: files, Sys: sys})
	if err != nil {
		return 0, wrap("execute "+p.Argv[0], err)
	}
	return pid, nil
}

// enter takes the calling thread, and so what it forks, to the function's root, and everything from it
// that the function must not have.
func (a *agent) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return wrap("leave the agent's root", err)
	}
	if err := unix.Chroot(a.root); err != nil {
		return wrap("enter the root", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return wrap("enter the root", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return wrap("set no_new_privs", err)
	}
	for c := uintptr(0); c < 64; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			break // past the kernel's last capability
		}
	}
	// raw, because the ids of this one thread change
	for _, call := range []struct {
		what    string
		number  uintptr
		a, b, c uintptr
	}{
		{"leave the groups", unix.SYS_SETGROUPS, 0, 0, 0},
		{"take the group", unix.SYS_SETRESGID, functionGID, functionGID, functionGID},
		{"take the user", unix.SYS_SETRESUID, functionUID, functionUID, functionUID},
	} {
		if _, _, errno := unix.RawSyscall(call.number, call.a, call.b, call.c); errno != 0 {
			return wrap(call.what, errno)
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		return wrap("give up the capabilities", err)
	}
	if len(a.setup.Filter) == 0 {
		return nil
	}
	return install(a.setup.Filter)
}

// kept are the capabilities that the agent has once the function runs: to signal its processes, and to
// start others beside them, in its root, as its user, with its limits and without capabilities.
const kept = 1<<unix.CAP_KILL | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP |
	1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_SYS_RESOURCE

// surrender gives up the rest.
func (a *agent) surrender() error {
	if a.root == "" || a.dropped {
		return nil // on the host it has what its processes have
	}
	a.dropped = true
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	some := [2]unix.CapUserData{{Effective: kept, Permitted: kept}}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&some[0])), 0)
	if errno != 0 {
		return wrap("give up the agent's capabilities", errno)
	}
	return nil
}

// signalTree signals the descendants of a process on the host, deepest last, until a look finds no new
// one: who forks meanwhile is found by the next.
func signalTree(pid int, sig syscall.Signal) {
	for seen := map[string]bool{}; ; {
		fresh := 0
		for todo := []string{strconv.Itoa(pid)}; len(todo) > 0; {
			p := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			tasks, _ := os.ReadDir("/proc/" + p + "/task") // who cannot be read has ended
			for _, t := range tasks {
				b, _ := os.ReadFile("/proc/" + p + "/task/" + t.Name() + "/children")
				todo = append(todo, strings.Fields(string(b))...)
			}
			if n, err := strconv.Atoi(p); err == nil && n != pid && !seen[p] {
				seen[p] = true
				fresh++
				_ = syscall.Kill(n, sig) // it may have ended
			}
		}
		if fresh == 0 {
			return
		}
	}
}

// deliver does the agent's part of what came late; the files are there already.
func (a *agent) deliver(body []byte) error {
	d, err := control.ParseDelivery(body)
	if err != nil || len(d.Mounts)+len(d.Layers) > 0 {
		return wrap("read the delivery", nil)
	}
	a.given = true
	if d.TmpBytes != 0 && a.root != "" {
		if err := a.mountTmp(d.TmpBytes); err != nil {
			return err
		}
	}
	if err := a.openDoors(d.Doors); err != nil {
		return err
	}
	a.setup.Limits = d.Limits
	if a.started {
		for _, l := range d.Limits {
			lim := unix.Rlimit{Cur: l.Value, Max: l.Value}
			if err := unix.Prlimit(a.pid, int(l.Resource), &lim, nil); err != nil {
				return wrap("set a limit that came late", err)
			}
		}
		if err := a.surrender(); err != nil {
			return err
		}
	}
	return a.t.Message(byte(control.Done), nil)
}
