package sandboxtest

import (
	"slices"
	"strings"
)

// Escape is one technique of leaving a sandbox, or of getting more of it than was given, with the
// attempts that make it up. However many system calls it takes, a technique counts once.
type Escape struct {
	Technique string
	Record    string // where it was published, or what it reaches for
	Tries     []Try
}

// Try is one attempt of the program testdata/inmate: its name and arguments, separated by "|", and what
// it must print. Several answers that are equally good are separated by "|".
type Try struct{ Do, Want string }

// Words are what the inmate is started with.
func (t Try) Words() []string { return strings.Split(t.Do, "|") }

// Holds tells whether an answer is a good one.
func (t Try) Holds(got string) bool { return slices.Contains(strings.Split(t.Want, "|"), got) }

// each are attempts of one outcome.
func each(want string, do ...string) []Try {
	all := make([]Try, len(do))
	for i, d := range do {
		all[i] = Try{d, want}
	}
	return all
}

// Least is how many techniques an escape suite has to try: "at least 60 attempts".
const Least = 60

// Shut is what a file that gives nothing away answers to those who open it for writing.
const shut = "EACCES|EROFS|EPERM"

// away is what a thing that is not there, or not for the function, answers.
const away = "ENOENT|EACCES|EPERM"

// Escapes are the techniques.
func Escapes() []Escape {
	return slices.Concat(mountEscapes(), processEscapes(), kernelEscapes(), networkEscapes(), fileEscapes(), settingEscapes())
}

// Given is what a function may do, beside all that it may not: without it nothing would be proved.
func Given() []Try {
	return each("ok", "route socket", "tcp socket", "udp socket 6", "write|/tmp/x", "write|/dev/null")
}

// Said are techniques on descriptor 3, which a function has as its channel: each with a channel of its own,
// on which Bastide listens. A function that is killed for one prints "killed".
func Said() []Escape {
	return []Escape{
		{"descriptors for Bastide to close", "SCM_RIGHTS with SO_LINGER: a close that waits for a day", each("EPERM|killed", "linger|now", "linger|later", "linger|out of band")},
	}
}

func mountEscapes() []Escape {
	return []Escape{
		{"mount a file system", "the first step of CVE-2022-0492, CVE-2023-0386 and most others", each("EPERM", "mount", "mount overlay")},
		{"unmount what hides something", "the masks over /proc", each("EPERM", "umount")},
		{"make a read-only mount writable", "mount(2), MS_REMOUNT", each("EPERM", "remount")},
		{"new mount API, contexts", "CVE-2022-0185", each("EPERM", "fsopen", "fsconfig", "fsmount", "fspick")},
		{"new mount API, trees", "open_tree(2): a clone of a mount has no masks", each("EPERM", "open_tree", "move_mount")},
		{"new mount API, attributes", "mount_setattr(2)", each("EPERM", "mount_setattr")},
		{"list the mounts by their ids", "statmount(2), listmount(2)", each("ENOSYS|EPERM", "statmount", "listmount")},
		{"pivot_root", "containers with CAP_SYS_ADMIN", each("EPERM", "pivot_root")},
		{"a chroot within the root", "chroot(2), NOTES: the double chroot", []Try{{"chroot", "EPERM"}, {"climb", "EPERM true"}}},
		{"open files by handle", "shocker.c, 2014", each("EPERM", "open_by_handle_at", "name_to_handle_at")},
		{"release_agent of a cgroup", "CVE-2022-0492", []Try{{"mount cgroup", "EPERM"}, {"find|release_agent", ""}, {"find|notify_on_release", ""}}},
		{"move to another cgroup", "limits that one leaves", []Try{{"find|cgroup.procs", ""}, {"find|tasks", ""}, {"stat|/sys/fs/cgroup", "ENOENT"}}},
		{"register a format of programs", "binfmt_misc", []Try{{"mount binfmt_misc", "EPERM"}, {"write|/proc/sys/fs/binfmt_misc/register", away}}},
	}
}

func processEscapes() []Escape {
	return []Escape{
		{"trace another process", "ptrace of the init", each("EPERM", "ptrace init", "ptrace me")},
		{"another process's memory", "process_vm_readv(2), /proc/PID/mem", append(each("EPERM", "process_vm_readv", "process_vm_writev"), each(away, "read|/proc/1/mem", "write|/proc/1/mem")...)},
		{"another process's memory, by advice", "process_madvise(2), process_mrelease(2)", each("EPERM", "process_madvise", "process_mrelease")},
		{"take another process's descriptors", "pidfd_getfd(2)", each("EPERM", "pidfd_getfd")},
		{"compare kernel pointers", "kcmp(2)", each("EPERM", "kcmp")},
		{"walk through the init", "/proc/1/root, cwd, fd and environ", each(away, "list|/proc/1/root", "list|/proc/1/cwd", "list|/proc/1/fd", "read|/proc/1/environ", "write|/proc/1/exe")},
		{"end the init", "kill(2) of the first process", []Try{{"signal", "still here"}}},
		{"limits of the init", "prlimit(2) of another process", each("EPERM|ESRCH", "limits of init")},
		{"a user namespace", "unshare(CLONE_NEWUSER), the way to CVE-2022-0185 and CVE-2024-1086", each("EPERM", "unshare user", "clone user")},
		{"another namespace by unshare", "CVE-2022-0492 begins so", each("EPERM", "unshare mount", "unshare net", "unshare time", "unshare pid", "unshare ipc", "unshare uts", "unshare cgroup")},
		{"another namespace by clone", "clone(2)", each("EPERM", "clone mount", "clone net", "clone pid", "clone cgroup")},
		{"another namespace by clone3", "its flags are out of a filter's reach", each("ENOSYS", "clone3")},
		{"enter a namespace", "setns(2)", each("EPERM", "setns")},
		{"the namespaces around one's own", "ioctl_ns(2)", each("EPERM", "outer namespace", "outer processes")},
		{"the map of one's user namespace", "CVE-2018-18955", each(shut, "other ids")},
		{"become root", "setuid(2), setresuid(2)", each("EINVAL", "setuid 0", "setgid 0", "setresuid 0")},
		{"join groups", "setgroups(2)", each("EPERM", "setgroups")},
		{"raise capabilities", "capset(2)", each("EPERM", "capset")},
		{"keep capabilities for the next program", "ambient capabilities and the bounding set", []Try{{"ambient", "EPERM"}, {"securebits", "EPERM"}, {"bounding set", "ok"}}},
		{"take no_new_privs back", "prctl(2)", each("EINVAL", "no_new_privs off")},
		{"a program with set-id bits", "every local root since 1979", []Try{{"run|/su|ids", "993 993 990 true"}, {"own program|ids", "993 993 990 true"}}},
		{"a program with file capabilities", "security.capability", each("EPERM|EOPNOTSUPP", "file capabilities")},
		{"loosen the filter", "a second seccomp program", []Try{{"loose filter", "EPERM"}, {"seccomp", "EPERM"}}},
		{"the table of 32-bit programs", "int $0x80 past a filter for 64 bits", []Try{{"run|/inmate|int80", "signal: bad system call"}}},
		{"the table of x32 programs", "CVE-2014-0038", each("ENOSYS", "foreign table")},
		{"a system call of a newer kernel", "what no list can name", each("ENOSYS", "unknown call")},
		{"layout without randomness", "personality(2), ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC", each("EPERM", "personality", "executable stacks")},
		{"raise limits", "setrlimit(2)", each("EPERM", "raise nofile", "raise nproc", "raise core", "raise memlock")},
		{"more of the processor", "sched_setscheduler(2), nice(2), ioprio_set(2)", each("EPERM|EACCES", "real time", "negative nice", "real-time io")},
		{"a program without a file", "memfd_create(2): it runs, as confined as any", []Try{{"fileless|unshare user", "EPERM"}, {"fileless|self|NoNewPrivs", "NoNewPrivs=1"}, {"fileless|self|Seccomp", "Seccomp=2"}}},
		{"the terminal that Bastide runs in", "TIOCSTI, TIOCLINUX: CVE-2017-5226", []Try{{"type to terminal", "EPERM"}, {"paste to terminal", "EPERM"}, {"stat|/dev/tty", "ENOENT"}, {"stat|/dev/ptmx", "ENOENT"}}},
		{"hang the terminal up", "vhangup(2)", each("EPERM", "vhangup")},
	}
}

func kernelEscapes() []Escape {
	return []Escape{
		{"io_uring", "CVE-2021-41073, CVE-2022-29582, CVE-2023-2598", each("EPERM", "io_uring", "io_uring_enter", "io_uring_register")},
		{"the machine's asynchronous I/O", "io_setup(2) counts in fs.aio-max-nr, for all", each("ENOSYS", "io_setup", "io_submit", "io_destroy", "io_getevents", "io_cancel", "io_pgetevents")},
		{"bpf", "CVE-2020-8835, CVE-2021-3490", each("EPERM", "bpf")},
		{"userfaultfd", "the pause in which exploits of a race act", append(each("EPERM", "userfaultfd"), each("ENOENT", "stat|/dev/userfaultfd")...)},
		{"perf_event_open", "CVE-2013-2094, CVE-2023-5717", each("EPERM", "perf_event_open")},
		{"keyrings", "CVE-2016-0728; they are not of a namespace", append(each("EPERM", "keyctl", "add_key", "request_key"), each("|EACCES|ENOENT", "read|/proc/keys")...)},
		{"another kernel", "kexec", each("EPERM", "kexec_load", "kexec_file_load")},
		{"kernel modules", "init_module(2)", each("EPERM", "init_module", "finit_module", "delete_module")},
		{"the kernel's log", "its addresses: syslog(2)", append(each("EPERM", "syslog"), each(away, "stat|/dev/kmsg", "read|/proc/kmsg")...)},
		{"the kernel's symbols", "/proc/kallsyms", each("|EACCES|ENOENT", "read|/proc/kallsyms")},
		{"the kernel's memory", "/proc/kcore, /dev/mem", append(each("|EACCES|EPERM|ENOENT", "read|/proc/kcore"), each("ENOENT", "stat|/dev/mem", "stat|/dev/kmem")...)},
		{"addresses of one's pages", "Rowhammer: /proc/self/pagemap", each("0|EPERM|EACCES|ENOENT", "frames")},
		{"pages of other nodes and processes", "move_pages(2): CVE-2017-14140", each("EPERM", "move_pages", "migrate_pages", "set_mempolicy")},
		{"what the page cache holds", "mincore's successor, cachestat(2)", each("ENOSYS|EPERM", "cachestat")},
		{"memory out of the kernel's sight", "memfd_secret(2)", each("EPERM", "memfd_secret")},
		{"pages that were set aside for others", "MAP_HUGETLB and its kin, which no bound of memory counts", append(each("ENOMEM", "huge pages", "huge memfd"), each("EPERM", "huge segment")...)},
		{"restart the machine", "reboot(2)", each("EPERM", "reboot")},
		{"swap", "swapon(2)", each("EPERM", "swapon", "swapoff")},
		{"accounts of processes", "acct(2) writes to any file", each("EPERM", "acct")},
		{"the clock", "settimeofday(2) and its kin", each("EPERM", "settimeofday", "clock_settime", "adjtimex")},
		{"wake the machine", "timers of CLOCK_REALTIME_ALARM", each("EPERM", "wake the machine")},
		{"the host's name", "sethostname(2)", each("EPERM", "sethostname", "setdomainname")},
		{"quotas", "quotactl(2)", each("EPERM", "quotactl")},
		{"watch the host's files", "fanotify(7)", each("EPERM", "fanotify_init")},
		{"message queues", "mq_notify(3): CVE-2017-11176", each("EPERM", "mq_open")},
		{"old doors of the kernel", "lookup_dcookie(2)", each("EPERM", "lookup_dcookie")},
		{"where a program's memory begins", "prctl(PR_SET_MM)", each("EPERM|EINVAL", "another's map")},
	}
}

func networkEscapes() []Escape {
	return []Escape{
		{"raw packets", "SOCK_RAW", each("EAFNOSUPPORT", "raw socket", "raw socket 6")},
		{"ping sockets", "CVE-2015-3636", each("EAFNOSUPPORT", "ping socket")},
		{"packets of the link", "AF_PACKET: CVE-2017-7308, CVE-2020-14386", each("EAFNOSUPPORT", "packet socket")},
		{"the hypervisor", "AF_VSOCK: CVE-2021-26708", each("EAFNOSUPPORT", "vsock")},
		{"the kernel's cryptography", "AF_ALG: CVE-2019-8912", each("EAFNOSUPPORT", "crypto socket")},
		{"protocols that nobody uses", "SCTP and Bluetooth: CVE-2021-3752", each("EAFNOSUPPORT", "bluetooth socket", "sctp socket")},
		{"the firewall", "netfilter: CVE-2022-32250, CVE-2024-1086", each("EAFNOSUPPORT", "netfilter socket")},
		{"the audit and event buses", "netlink: CVE-2021-27365", each("EAFNOSUPPORT", "audit socket", "uevent socket")},
		{"change the network", "rtnetlink and ioctl", each("EPERM", "new address", "another's interface")},
		{"options of root's sockets", "SO_MARK, IP_TRANSPARENT, SO_RCVBUFFORCE", each("EPERM", "mark packets", "foreign source", "huge buffers")},
		{"a close that makes the kernel wait", "SO_LINGER of a socket in flight", each("ok, lingers 0 0", "lingering socket")},
		{"ports of system services", "below 1024", each("EACCES", "privileged port")},
	}
}

func fileEscapes() []Escape {
	return []Escape{
		{"descriptors that were left open", "CVE-2024-21626, CVE-2016-9962", []Try{{"directories", ""}, {"reach|/proc/[0-9]*/fd/*|etc/hostname", ""}, {"reach|/proc/[0-9]*/cwd|etc/hostname", ""}}},
		{"write to the program that runs", "/proc/self/exe: CVE-2019-5736", append(each("ETXTBSY|"+shut, "open|/proc/self/exe", "open|/open"), each("EROFS|EACCES", "stale exe|/open")...)},
		{"dirty pipe", "CVE-2022-0847", each("unchanged", "dirty pipe|/open")},
		{"dirty cow", "CVE-2016-5195, CVE-2022-2590", each("unchanged|"+shut, "dirty cow|/open")},
		{"make a device", "mknod(2)", each("EPERM", "mknod device", "mknod block")},
		{"devices of the host", "/dev of privileged containers", each("ENOENT", "stat|/dev/kvm", "stat|/dev/fuse", "stat|/dev/net/tun", "stat|/dev/vda", "stat|/dev/sda", "stat|/dev/nvme0n1", "stat|/dev/vhost-net")},
		{"a marked file of an overlay", "trusted.overlay: CVE-2021-3493, CVE-2023-0386", each("EPERM|EOPNOTSUPP", "trusted attribute")},
		{"write where nothing is written", "root, devices, code, layers", each("EROFS|EACCES", "write|/x", "write|/dev/x", "write|/opt/x", "write|/var/task/x")},
		{"secrets of the host by their names", "a root that is not one's own", each("ENOENT", "read|/etc/shadow", "read|/etc/passwd", "list|/root", "list|/home", "list|/run")},
	}
}

func settingEscapes() []Escape {
	setting := func(name string) []Try { return each(away+"|EROFS", "write|/proc/sys/kernel/"+name) }
	return []Escape{
		{"the handler of core dumps", "core_pattern", setting("core_pattern")},
		{"the loader of modules", "/proc/sys/kernel/modprobe", setting("modprobe")},
		{"the helper of events", "uevent_helper", append(setting("hotplug"), each("ENOENT", "stat|/sys/kernel/uevent_helper")...)},
		{"keys of the console", "sysrq", append(setting("sysrq"), Try{"device|/proc/sysrq-trigger", "1:3|ENOENT"})},
		{"settings of the kernel", "/proc/sys", append(setting("panic"), each(away+"|EROFS", "write|/proc/sys/vm/drop_caches", "write|/proc/sys/net/ipv4/ip_forward", "write|/proc/sys/kernel/hostname")...)},
		{"be spared when memory ends", "/proc/self/oom_score_adj", each(shut, "write|/proc/self/oom_score_adj")},
		{"what security modules confine", "/proc/self/attr: CVE-2019-16884", each(away+"|EROFS", "write|/proc/self/attr/exec", "write|/proc/self/attr/current")},
		{"the bus of devices", "sysfs, debugfs and tracefs", each("ENOENT", "list|/sys", "list|/sys/kernel/debug", "list|/sys/kernel/tracing")},
	}
}
