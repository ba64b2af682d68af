package seccomp

import "golang.org/x/sys/unix"

// allowed are the system calls that every architecture has and that may be made with any arguments.
// It is what language runtimes and ordinary programs need of a kernel: files, memory, threads,
// signals, sockets, time. Not here: whatever reaches other processes' memory, mounts, namespaces,
// keys, kernel programs, devices or clocks (see refused in the test, which holds the list shut).
var allowed = []uintptr{
	// files and directories
	unix.SYS_CHDIR, unix.SYS_CLOSE, unix.SYS_CLOSE_RANGE, unix.SYS_COPY_FILE_RANGE, unix.SYS_DUP,
	unix.SYS_DUP3, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_FADVISE64, unix.SYS_FALLOCATE,
	unix.SYS_FCHDIR, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWN,
	unix.SYS_FCHOWNAT, unix.SYS_FCNTL, unix.SYS_FDATASYNC, unix.SYS_FGETXATTR, unix.SYS_FLISTXATTR,
	unix.SYS_FLOCK, unix.SYS_FREMOVEXATTR, unix.SYS_FSETXATTR, unix.SYS_FSTAT, unix.SYS_FSTATFS,
	unix.SYS_FSYNC, unix.SYS_FTRUNCATE, unix.SYS_GETCWD, unix.SYS_GETDENTS64, unix.SYS_GETXATTR,
	unix.SYS_LGETXATTR, unix.SYS_LINKAT, unix.SYS_LISTXATTR, unix.SYS_LLISTXATTR,
	unix.SYS_LREMOVEXATTR, unix.SYS_LSEEK, unix.SYS_LSETXATTR, unix.SYS_MKDIRAT, unix.SYS_MKNODAT,
	unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_PIPE2, unix.SYS_PREAD64, unix.SYS_PREADV,
	unix.SYS_PREADV2, unix.SYS_PWRITE64, unix.SYS_PWRITEV, unix.SYS_PWRITEV2, unix.SYS_READ,
	unix.SYS_READAHEAD, unix.SYS_READLINKAT, unix.SYS_READV, unix.SYS_REMOVEXATTR, unix.SYS_RENAMEAT,
	unix.SYS_RENAMEAT2, unix.SYS_SENDFILE, unix.SYS_SETXATTR, unix.SYS_SPLICE, unix.SYS_STATFS,
	unix.SYS_STATX, unix.SYS_SYMLINKAT, unix.SYS_SYNC, unix.SYS_SYNCFS, unix.SYS_SYNC_FILE_RANGE,
	unix.SYS_TEE, unix.SYS_TRUNCATE, unix.SYS_UMASK, unix.SYS_UNLINKAT, unix.SYS_UTIMENSAT,
	unix.SYS_VMSPLICE, unix.SYS_WRITE, unix.SYS_WRITEV,
	// waiting
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2,
	unix.SYS_EVENTFD2, unix.SYS_INOTIFY_ADD_WATCH, unix.SYS_INOTIFY_INIT1, unix.SYS_INOTIFY_RM_WATCH,
	unix.SYS_PPOLL, unix.SYS_PSELECT6, unix.SYS_SIGNALFD4, unix.SYS_TIMERFD_CREATE,
	unix.SYS_TIMERFD_GETTIME, unix.SYS_TIMERFD_SETTIME,
	// memory
	unix.SYS_BRK, unix.SYS_MADVISE, unix.SYS_MEMBARRIER, unix.SYS_MINCORE,
	unix.SYS_MLOCK, unix.SYS_MLOCK2, unix.SYS_MLOCKALL, unix.SYS_MPROTECT,
	unix.SYS_MREMAP, unix.SYS_MSEAL, unix.SYS_MSYNC, unix.SYS_MUNLOCK, unix.SYS_MUNLOCKALL,
	unix.SYS_MUNMAP, unix.SYS_PKEY_ALLOC, unix.SYS_PKEY_FREE, unix.SYS_PKEY_MPROTECT,
	unix.SYS_REMAP_FILE_PAGES, unix.SYS_SHMAT, unix.SYS_SHMCTL, unix.SYS_SHMDT,
	unix.SYS_SEMCTL, unix.SYS_SEMGET, unix.SYS_SEMOP, unix.SYS_SEMTIMEDOP,
	// processes, threads, signals
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_FUTEX,
	unix.SYS_FUTEX_WAITV, unix.SYS_GET_ROBUST_LIST, unix.SYS_GETPGID, unix.SYS_GETPID,
	unix.SYS_GETPPID, unix.SYS_GETPRIORITY, unix.SYS_GETSID, unix.SYS_GETTID, unix.SYS_IOPRIO_GET,
	unix.SYS_IOPRIO_SET, unix.SYS_KILL, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_PRCTL, unix.SYS_RESTART_SYSCALL, unix.SYS_RSEQ,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPENDING, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGQUEUEINFO,
	unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGSUSPEND, unix.SYS_RT_SIGTIMEDWAIT,
	unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_SCHED_GET_PRIORITY_MAX, unix.SYS_SCHED_GET_PRIORITY_MIN,
	unix.SYS_SCHED_GETAFFINITY, unix.SYS_SCHED_GETATTR, unix.SYS_SCHED_GETPARAM,
	unix.SYS_SCHED_GETSCHEDULER, unix.SYS_SCHED_RR_GET_INTERVAL, unix.SYS_SCHED_SETAFFINITY,
	unix.SYS_SCHED_SETATTR, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETSCHEDULER,
	unix.SYS_SCHED_YIELD, unix.SYS_SET_ROBUST_LIST, unix.SYS_SET_TID_ADDRESS, unix.SYS_SETPGID,
	unix.SYS_SETPRIORITY, unix.SYS_SETSID, unix.SYS_SIGALTSTACK, unix.SYS_TGKILL, unix.SYS_TKILL,
	unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_GETCPU,
	// who am I; changes fail, as there is nothing to change to
	unix.SYS_CAPGET, unix.SYS_CAPSET, unix.SYS_GETEGID, unix.SYS_GETEUID, unix.SYS_GETGID,
	unix.SYS_GETGROUPS, unix.SYS_GETRESGID, unix.SYS_GETRESUID, unix.SYS_GETUID, unix.SYS_SETFSGID,
	unix.SYS_SETFSUID, unix.SYS_SETGID, unix.SYS_SETGROUPS, unix.SYS_SETREGID, unix.SYS_SETRESGID,
	unix.SYS_SETRESUID, unix.SYS_SETREUID, unix.SYS_SETUID,
	// sockets (which kinds may be made is a rule of its own)
	unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_BIND, unix.SYS_CONNECT, unix.SYS_GETPEERNAME,
	unix.SYS_GETSOCKNAME, unix.SYS_GETSOCKOPT, unix.SYS_LISTEN, unix.SYS_RECVFROM, unix.SYS_RECVMMSG,
	unix.SYS_RECVMSG, unix.SYS_SENDMMSG, unix.SYS_SENDMSG, unix.SYS_SENDTO,
	unix.SYS_SHUTDOWN,
	// time
	unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETITIMER,
	unix.SYS_GETTIMEOFDAY, unix.SYS_NANOSLEEP, unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE,
	unix.SYS_TIMER_DELETE, unix.SYS_TIMER_GETOVERRUN, unix.SYS_TIMER_GETTIME, unix.SYS_TIMER_SETTIME,
	unix.SYS_TIMES,
	// the machine and its limits
	unix.SYS_GETRANDOM, unix.SYS_GETRLIMIT, unix.SYS_GETRUSAGE, unix.SYS_SETRLIMIT, unix.SYS_SYSINFO,
	unix.SYS_UNAME,
	// giving rights up
	unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_RESTRICT_SELF,
}

// Namespaces that clone(2) can make; CLONE_NEWTIME cannot be asked for there.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// conditional are system calls that are allowed for some arguments.
var conditional = []rule{
	// clone without new namespaces
	{nr: unix.SYS_CLONE, deny: unix.EPERM, allow: []match{{{arg: 0, mask: namespaces, value: 0}}}},
	// clone3 hides its flags behind a pointer; C libraries fall back to clone on ENOSYS
	{nr: unix.SYS_CLONE3, deny: unix.ENOSYS},
	// what is ready to be done later counts for the whole machine (fs.aio-max-nr); programs do without on ENOSYS
	{nr: unix.SYS_IO_SETUP, deny: unix.ENOSYS}, {nr: unix.SYS_IO_SUBMIT, deny: unix.ENOSYS},
	{nr: unix.SYS_IO_DESTROY, deny: unix.ENOSYS}, {nr: unix.SYS_IO_GETEVENTS, deny: unix.ENOSYS},
	{nr: unix.SYS_IO_CANCEL, deny: unix.ENOSYS}, {nr: unix.SYS_IO_PGETEVENTS, deny: unix.ENOSYS},
	// huge pages that were set aside count for the whole machine; programs do with others on the errors of there being
	// none (mmap(2), memfd_create(2)) and of who may not (shmget(2))
	{nr: unix.SYS_MMAP, deny: unix.ENOMEM, refuse: []match{{{arg: 3, mask: unix.MAP_HUGETLB, value: unix.MAP_HUGETLB}}}},
	{nr: unix.SYS_MEMFD_CREATE, deny: unix.ENOMEM, refuse: []match{{{arg: 1, mask: unix.MFD_HUGETLB, value: unix.MFD_HUGETLB}}}},
	{nr: unix.SYS_SHMGET, deny: unix.EPERM, refuse: []match{{{arg: 2, mask: shmHuge, value: shmHuge}}}},
	{nr: unix.SYS_SOCKET, deny: unix.EAFNOSUPPORT, allow: sockets},
	{nr: unix.SYS_SOCKETPAIR, deny: unix.EAFNOSUPPORT, allow: []match{{{arg: 0, value: unix.AF_UNIX}}}},
	// a close that waits (socket(7), SO_LINGER) need not be the function's own: the kernel does it for sockets that
	// circle in flight. Node, Java and Go set it to have a close reset the connection, and fail where they cannot: the
	// call succeeds, and changes nothing, as getsockopt(2) tells
	{nr: unix.SYS_SETSOCKOPT, deny: 0, refuse: []match{{{arg: 1, value: unix.SOL_SOCKET}, {arg: 2, value: unix.SO_LINGER}}}},
	// all but what types into or pastes to a terminal
	{nr: unix.SYS_IOCTL, deny: unix.EPERM, refuse: []match{
		{{arg: 1, value: unix.TIOCSTI}},
		{{arg: 1, value: tioclinux}},
	}},
	// one's own limits: those of the init, which has the same user, are not a function's to lower
	{nr: unix.SYS_PRLIMIT64, deny: unix.EPERM, allow: []match{{{arg: 0, value: 0}}}},
	// the standard personality, and asking which one it is
	{nr: unix.SYS_PERSONALITY, deny: unix.EPERM, allow: []match{
		{{arg: 0, value: 0}},
		{{arg: 0, value: 0xffffffff}},
	}},
}

const (
	tioclinux = 0x541c
	shmHuge   = 0o4000 // SHM_HUGETLB
)

// kind masks the flags off a socket's type.
const kind = 0xf

// sockets: local ones; TCP and UDP, whose protocol may be given or left to the kernel; and asking
// the kernel for addresses and routes, as getifaddrs(3) and getaddrinfo(3) do.
var sockets = []match{
	{{arg: 0, value: unix.AF_UNIX}},
	{{arg: 0, value: unix.AF_INET}, {arg: 1, mask: kind, value: unix.SOCK_STREAM}, {arg: 2, value: 0}},
	{{arg: 0, value: unix.AF_INET}, {arg: 1, mask: kind, value: unix.SOCK_STREAM}, {arg: 2, value: unix.IPPROTO_TCP}},
	{{arg: 0, value: unix.AF_INET}, {arg: 1, mask: kind, value: unix.SOCK_DGRAM}, {arg: 2, value: 0}},
	{{arg: 0, value: unix.AF_INET}, {arg: 1, mask: kind, value: unix.SOCK_DGRAM}, {arg: 2, value: unix.IPPROTO_UDP}},
	{{arg: 0, value: unix.AF_INET6}, {arg: 1, mask: kind, value: unix.SOCK_STREAM}, {arg: 2, value: 0}},
	{{arg: 0, value: unix.AF_INET6}, {arg: 1, mask: kind, value: unix.SOCK_STREAM}, {arg: 2, value: unix.IPPROTO_TCP}},
	{{arg: 0, value: unix.AF_INET6}, {arg: 1, mask: kind, value: unix.SOCK_DGRAM}, {arg: 2, value: 0}},
	{{arg: 0, value: unix.AF_INET6}, {arg: 1, mask: kind, value: unix.SOCK_DGRAM}, {arg: 2, value: unix.IPPROTO_UDP}},
	{{arg: 0, value: unix.AF_NETLINK}, {arg: 1, mask: kind, value: unix.SOCK_RAW}, {arg: 2, value: unix.NETLINK_ROUTE}},
	{{arg: 0, value: unix.AF_NETLINK}, {arg: 1, mask: kind, value: unix.SOCK_DGRAM}, {arg: 2, value: unix.NETLINK_ROUTE}},
}
