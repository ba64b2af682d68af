// Command inmate is what the tests run inside a sandbox: each argument names something to try, and
// it prints how that went, one line each: "ok", the kernel's error name, or what was asked for.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(3)
	}
	if os.Args[1] == "late" {
		fmt.Println(late())
		return
	}
	said, ok := act(os.Args[1], os.Args[2:])
	fmt.Println(said)
	if !ok {
		os.Exit(3)
	}
}

func act(name string, args []string) (string, bool) {
	if f, ok := acts[name]; ok {
		return f(args), true
	}
	for _, table := range []map[string]func([]string) string{fileActs, escapeActs, raceActs, secretActs, budgetActs, hoardActs} {
		if f, ok := table[name]; ok {
			return f(args), true
		}
	}
	for _, table := range []map[string]func() error{calls, escapeCalls} {
		if f, ok := table[name]; ok {
			return verdict(f()), true
		}
	}
	return "unknown attempt " + name, false
}

// verdict is an error in one word.
func verdict(err error) string {
	if err == nil {
		return "ok"
	}
	for e := err; e != nil; {
		if errno, ok := e.(syscall.Errno); ok {
			return unix.ErrnoName(errno)
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	return err.Error()
}

func sys(nr uintptr, args ...uintptr) func() error {
	return func() error {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno != 0 {
			return errno
		}
		return nil
	}
}

func socket(domain, kind, proto int) func() error {
	return func() error {
		fd, err := unix.Socket(domain, kind, proto)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

var path = []byte("/tmp\x00")
var buf [4096]byte

// calls are system calls that come with an answer and nothing else.
var calls = map[string]func() error{
	"mount":             func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") },
	"umount":            func() error { return unix.Unmount("/tmp", unix.MNT_DETACH) },
	"remount":           func() error { return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "") },
	"fsopen":            sys(unix.SYS_FSOPEN, uintptr(unsafe.Pointer(&path[0]))),
	"open_tree":         sys(unix.SYS_OPEN_TREE, ^uintptr(99), uintptr(unsafe.Pointer(&path[0])), 1),
	"move_mount":        sys(unix.SYS_MOVE_MOUNT),
	"mount_setattr":     sys(unix.SYS_MOUNT_SETATTR),
	"pivot_root":        func() error { return unix.PivotRoot("/tmp", "/tmp") },
	"chroot":            func() error { return unix.Chroot("/tmp") },
	"ptrace init":       sys(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1),
	"ptrace me":         sys(unix.SYS_PTRACE, unix.PTRACE_TRACEME),
	"process_vm_readv":  sys(unix.SYS_PROCESS_VM_READV, 1),
	"pidfd_getfd":       sys(unix.SYS_PIDFD_GETFD, 0, 0),
	"kcmp":              sys(unix.SYS_KCMP, 1, 1),
	"unshare user":      sys(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
	"unshare mount":     sys(unix.SYS_UNSHARE, unix.CLONE_NEWNS),
	"unshare net":       sys(unix.SYS_UNSHARE, unix.CLONE_NEWNET),
	"unshare time":      sys(unix.SYS_UNSHARE, unix.CLONE_NEWTIME),
	"setns":             sys(unix.SYS_SETNS, 0, 0),
	"clone user":        sys(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(syscall.SIGCHLD)),
	"clone net":         sys(unix.SYS_CLONE, unix.CLONE_NEWNET|uintptr(syscall.SIGCHLD)),
	"clone3":            sys(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&buf[0])), 88),
	"raw socket":        socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP),
	"raw socket 6":      socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_TCP),
	"ping socket":       socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP),
	"packet socket":     socket(unix.AF_PACKET, unix.SOCK_RAW, 0),
	"vsock":             socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0),
	"crypto socket":     socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0),
	"bluetooth socket":  socket(unix.AF_BLUETOOTH, unix.SOCK_RAW, 0),
	"netfilter socket":  socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER),
	"audit socket":      socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT),
	"uevent socket":     socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT),
	"sctp socket":       socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP),
	"route socket":      socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE),
	"tcp socket":        socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0),
	"udp socket 6":      socket(unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP),
	"io_uring":          sys(unix.SYS_IO_URING_SETUP, 8, uintptr(unsafe.Pointer(&buf[0]))),
	"bpf":               sys(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&buf[0])), 64),
	"userfaultfd":       sys(unix.SYS_USERFAULTFD, 1),
	"perf_event_open":   sys(unix.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&buf[0])), 0, ^uintptr(0), ^uintptr(0)),
	"keyctl":            sys(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(2), 1),
	"add_key":           sys(unix.SYS_ADD_KEY),
	"request_key":       sys(unix.SYS_REQUEST_KEY),
	"kexec_load":        sys(unix.SYS_KEXEC_LOAD),
	"init_module":       sys(unix.SYS_INIT_MODULE),
	"finit_module":      sys(unix.SYS_FINIT_MODULE),
	"open_by_handle_at": sys(unix.SYS_OPEN_BY_HANDLE_AT, 0, uintptr(unsafe.Pointer(&buf[0]))),
	"name_to_handle_at": sys(unix.SYS_NAME_TO_HANDLE_AT),
	"syslog":            sys(unix.SYS_SYSLOG, 3, uintptr(unsafe.Pointer(&buf[0])), 100),
	"reboot":            sys(unix.SYS_REBOOT, 0),
	"swapon":            sys(unix.SYS_SWAPON),
	"acct":              sys(unix.SYS_ACCT),
	"settimeofday":      sys(unix.SYS_SETTIMEOFDAY),
	"clock_settime":     sys(unix.SYS_CLOCK_SETTIME),
	"adjtimex":          sys(unix.SYS_ADJTIMEX, uintptr(unsafe.Pointer(&buf[0]))),
	"sethostname":       func() error { return unix.Sethostname([]byte("x")) },
	"quotactl":          sys(unix.SYS_QUOTACTL),
	"fanotify_init":     sys(unix.SYS_FANOTIFY_INIT),
	"personality":       sys(unix.SYS_PERSONALITY, 0x0040000),
	"seccomp":           sys(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL),
	"memfd_secret":      sys(unix.SYS_MEMFD_SECRET),
	"move_pages":        sys(unix.SYS_MOVE_PAGES),
	"type to terminal":  sys(unix.SYS_IOCTL, 0, unix.TIOCSTI, uintptr(unsafe.Pointer(&buf[0]))),
	"unknown call":      sys(2000),
	"setuid 0":          sys(unix.SYS_SETUID, 0),
	"setgid 0":          sys(unix.SYS_SETGID, 0),
	"setgroups":         sys(unix.SYS_SETGROUPS, 1, uintptr(unsafe.Pointer(&buf[0]))),
	"mknod device":      func() error { return unix.Mknod("/tmp/mem", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 1))) },
	"raise nofile": func() error {
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
	},
	"bounding set": func() error {
		for c := range uintptr(41) {
			n, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
			if err == unix.EINVAL && c > unix.CAP_AUDIT_READ {
				return nil // past the last that this kernel has
			}
			if err != nil || n != 0 {
				return fmt.Errorf("capability %d: %d %v", c, n, err)
			}
		}
		return nil
	},
}

// acts are the longer attempts.
var acts = map[string]func([]string) string{
	"hello": func(a []string) string { return "hello " + strings.Join(a, " ") },
	"wait":  func([]string) string { fmt.Println("waiting"); return forever() },
	"exit":  func(a []string) string { n, _ := strconv.Atoi(a[0]); os.Exit(n); return "" },
	"die":   func([]string) string { _ = unix.Kill(os.Getpid(), unix.SIGKILL); return forever() },
	"read":  func(a []string) string { b, err := os.ReadFile(a[0]); return either(string(b), err) },
	"write": func(a []string) string { return verdict(overwrite(a[0])) },
	"stat":  func(a []string) string { _, err := os.Stat(a[0]); return verdict(err) },
	"list":  func(a []string) string { return list(a[0]) },
	"env":   func([]string) string { return strings.Join(os.Environ(), " ") },
	"ids":   func([]string) string { return fmt.Sprint(os.Getuid(), os.Geteuid(), os.Getgid(), os.Getpid() != 1) },
	"fds":   func([]string) string { return descriptors() },
	"dial": func(a []string) string {
		var said []string
		for ; len(a) > 1; a = a[2:] {
			said = append(said, dial(a[0], a[1]))
		}
		return strings.Join(said, " ")
	},
	"last":    func(a []string) string { return last(a) },
	"channel": func([]string) string { return echoChannel() },
	"signal":  func([]string) string { return signalInit() },
	"fill":    func([]string) string { return fill() },
	"inodes":  func([]string) string { return inodes() },
	"eat":     func(a []string) string { return eat(a[0]) },
	"share":   func(a []string) string { return share(a[0]) },
	"memfd":   func(a []string) string { return memfd(a[0]) },
	"brim":    func(a []string) string { return fill() + ", " + eat(a[0]) },
	"bomb":    func([]string) string { return bomb() },
	"leave":   func(a []string) string { return leaveBehind(a) },
	"ordered": func(a []string) string { return ordered(a[0]) },
	"run": func(a []string) string {
		b, err := exec.Command(a[0], a[1:]...).Output()
		return either(string(b), err)
	},
	"tick": func([]string) string { return tick() },
	"self": func(a []string) string { return selfStatus(a) },
	"pids": func([]string) string { return pids() },
	"cd":   func(a []string) string { return verdict(os.Chdir(a[0])) },
	"find": func(a []string) string { return find(a[0]) },
	"limit": func(a []string) string {
		n, _ := strconv.Atoi(a[0])
		var l unix.Rlimit
		err := unix.Getrlimit(n, &l)
		return either(fmt.Sprint(l.Cur, l.Max), err)
	},
	"serve":  func(a []string) string { return serve(a[0]) },
	"polite": func(a []string) string { return polite() },
}

// forever waits; a bare select would be a deadlock to Go.
func forever() string {
	for {
		time.Sleep(time.Hour)
	}
}

func either(s string, err error) string {
	if err != nil {
		return verdict(err)
	}
	return strings.TrimSpace(s)
}

func overwrite(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("1\n")
	return err
}

func list(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return verdict(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// descriptors that are open, but for the one that looks.
func descriptors() string {
	var open []string
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			open = append(open, strconv.Itoa(fd))
		}
	}
	return strings.Join(open, " ")
}

func pids() string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return verdict(err)
	}
	var seen []string
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			seen = append(seen, e.Name())
		}
	}
	return strings.Join(seen, " ")
}

func selfStatus(keys []string) string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return verdict(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && slices.Contains(keys, k) {
			out = append(out, k+"="+strings.TrimSpace(v))
		}
	}
	return strings.Join(out, " ")
}

func dial(network, addr string) string {
	c, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		return verdict(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("ping")); err != nil {
		return verdict(err)
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	return either(string(b[:n]), err)
}

// last says something on the channel and to an address, and ends at once.
func last(a []string) string {
	if len(a) == 2 {
		c, err := net.DialTimeout(a[0], a[1], 5*time.Second)
		if err != nil {
			return verdict(err)
		}
		if _, err := c.Write([]byte("last words")); err != nil {
			return verdict(err)
		}
	}
	_, _ = unix.Write(3, []byte("last words"))
	os.Exit(0)
	return ""
}

func echoChannel() string {
	b := make([]byte, 100)
	n, err := unix.Read(3, b)
	if err != nil {
		return verdict(err)
	}
	_, err = unix.Write(3, append([]byte("echo "), b[:n]...))
	return verdict(err)
}

// signalInit sends the first process everything there is.
func signalInit() string {
	for range 20 {
		for sig := 1; sig <= 64; sig++ {
			_ = unix.Kill(1, syscall.Signal(sig))
		}
	}
	time.Sleep(50 * time.Millisecond) // what would happen happens at once
	return "still here"
}

func fill() string {
	f, err := os.Create("/tmp/full")
	if err != nil {
		return verdict(err)
	}
	block, total := make([]byte, 1<<20), 0
	for range 4096 {
		n, err := f.Write(block)
		total += n
		if err != nil {
			return fmt.Sprint(verdict(err), " ", total>>20)
		}
	}
	return "no bound"
}

func inodes() string {
	for i := range 1 << 20 {
		f, err := os.Create(filepath.Join("/tmp", strconv.Itoa(i)))
		if err != nil {
			return verdict(err)
		}
		f.Close()
	}
	return "no bound"
}

func eat(mb string) string {
	n, _ := strconv.Atoi(mb)
	var kept [][]byte
	for range n {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	time.Sleep(300 * time.Millisecond)
	return fmt.Sprint("ate ", len(kept))
}

// bomb starts children until it may not, each of which would go on. Go's own signals are kept away, as
// they would have a slow fork begin again and again.
func bomb() string {
	runtime.LockOSThread()
	all := unix.Sigset_t{Val: [16]uint64{^uint64(0)}}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &all, nil); err != nil {
		return verdict(err)
	}
	for i := range 5000 {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			fmt.Println(unix.ErrnoName(errno), i > 1)
			return forever()
		}
		if pid == 0 {
			for {
				unix.RawSyscall(unix.SYS_PAUSE, 0, 0, 0)
			}
		}
	}
	return "no bound"
}

// leaveBehind starts processes in sessions of their own that nobody waits for, with the mark that it is
// given; itself may have another path than /inmate.
func leaveBehind(a []string) string {
	program, args := "/inmate", []string{"wait"}
	if len(a) > 0 {
		args = append(args, a[0])
	}
	if len(a) > 1 {
		program = a[1]
	}
	for range 3 {
		cmd := exec.Command(program, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return verdict(err)
		}
	}
	return "left"
}

// ordered answers on the channel, each time after it has written a line.
func ordered(times string) string {
	n, _ := strconv.Atoi(times)
	b := make([]byte, 2)
	for i := range n {
		if _, err := unix.Read(3, b); err != nil {
			return verdict(err)
		}
		fmt.Println("line", i)
		if _, err := unix.Write(3, []byte("!")); err != nil {
			return verdict(err)
		}
	}
	os.Exit(0)
	return ""
}

// tick counts on the channel until told otherwise by its end.
func tick() string {
	for {
		if _, err := unix.Write(3, []byte{1}); err != nil {
			return verdict(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// late does what the channel asks: a name and arguments, separated by zero bytes.
func late() string {
	for b := make([]byte, 4096); ; {
		n, err := unix.Read(3, b)
		if n <= 0 {
			return verdict(err)
		}
		words := strings.Split(string(b[:n]), "\x00")
		said, _ := act(words[0], words[1:])
		if _, err := unix.Write(3, []byte(said+"\n")); err != nil {
			return verdict(err)
		}
	}
}

// find looks for files of a name wherever a path leads, the working directories, roots and descriptors of
// all processes included.
func find(name string) string {
	var found []string
	places, _ := filepath.Glob("/proc/[0-9]*/[crt][wao]*") // cwd, root, task
	more, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	places = append(append(places, more...), "/proc/self/cwd", "/proc/self/root", "/")
	for _, p := range places {
		at := p + "/"
		_ = filepath.WalkDir(at, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() && at == "/" && path == "/proc" {
				return filepath.SkipDir
			}
			if err == nil && d.Name() == name {
				found = append(found, path)
			}
			return nil
		})
	}
	slices.Sort(found)
	return strings.Join(found, " ")
}

// serve echoes at an address.
func serve(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return verdict(err)
	}
	fmt.Println("serving")
	for {
		c, err := l.Accept()
		if err != nil {
			return verdict(err)
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// polite ends when it is asked to.
func polite() string {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	fmt.Println("waiting")
	<-c
	return "asked"
}
