package seccomp

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// machine interprets a filter as the kernel would, for the instructions that the filter uses.
func machine(t *testing.T, program []unix.SockFilter, arch, nr uint32, args [6]uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data, nr)
	binary.LittleEndian.PutUint32(data[4:], arch)
	for i, a := range args {
		binary.LittleEndian.PutUint64(data[16+8*i:], a)
	}
	a := uint32(0)
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		jump := func(on bool) {
			if on {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in.Code {
		case opLoad:
			a = binary.LittleEndian.Uint32(data[in.K:])
		case opAnd:
			a &= in.K
		case opEqual:
			jump(a == in.K)
		case opLeast:
			jump(a >= in.K)
		case opJump:
			pc += int(in.K)
		case opRet:
			return in.K
		default:
			t.Fatalf("instruction %#x", in.Code)
		}
	}
	t.Fatal("the filter ends without an answer")
	return 0
}

// naive says what the lists say, call by call.
func naive(nr uint32, args [6]uint64) uint32 {
	top := uint32(0)
	for _, list := range [][]uintptr{allowed, legacy} {
		for _, n := range list {
			top = max(top, uint32(n))
			if uint32(n) == nr {
				return unix.SECCOMP_RET_ALLOW
			}
		}
	}
	for _, r := range conditional {
		top = max(top, uint32(r.nr))
		if uint32(r.nr) != nr {
			continue
		}
		hit := func(m match) bool {
			return !slices.ContainsFunc(m, func(t test) bool {
				v := uint32(args[t.arg])
				if t.mask != 0 {
					v &= t.mask
				}
				return v != t.value
			})
		}
		if len(r.refuse) > 0 == slices.ContainsFunc(append(r.allow, r.refuse...), hit) {
			return unix.SECCOMP_RET_ERRNO | uint32(r.deny)
		}
		return unix.SECCOMP_RET_ALLOW
	}
	if nr > top {
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	return unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
}

// TestFilterIsTheList compares the tree with the lists for every call and many arguments.
func TestFilterIsTheList(t *testing.T) {
	program := assemble(nil)
	if len(program) > 1000 {
		t.Errorf("%d instructions: each costs every cold start", len(program))
	}
	values := []uint64{0, 1, 2, 3, 5, 6, 10, 16, 17, 38, 40, 132, unix.SOCK_CLOEXEC | 1, unix.SOCK_NONBLOCK | 3, unix.CLONE_NEWUSER,
		unix.CLONE_VM | unix.CLONE_THREAD, unix.TIOCSTI, tioclinux, 0xffffffff, 1 << 32, 1<<32 | unix.TIOCSTI, 0x40000}
	r := rand.New(rand.NewPCG(1, 2))
	for nr := range uint32(600) {
		for range 300 {
			var args [6]uint64
			for i := range args {
				args[i] = values[r.IntN(len(values))]
			}
			if got, want := machine(t, program, auditArch, nr, args), naive(nr, args); got != want {
				t.Fatalf("call %d%v: %#x, want %#x", nr, args, got, want)
			}
		}
	}
	if got := machine(t, program, auditArch+1, unix.SYS_READ, [6]uint64{}); got != unix.SECCOMP_RET_KILL_PROCESS {
		t.Errorf("another architecture: %#x", got)
	}
	if foreignABI != 0 {
		if got := machine(t, program, auditArch, foreignABI|unix.SYS_READ, [6]uint64{}); got != unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS) {
			t.Errorf("an x32 call: %#x", got)
		}
	}
	if b := Filter(); len(b) != 8*len(program) {
		t.Errorf("%d bytes for %d instructions", len(b), len(program))
	}
}

// TestNursery: what waits to be forked may do what functions may and three things more, and no call of
// theirs is answered otherwise.
func TestNursery(t *testing.T) {
	tight, loose := assemble(nil), assemble(nursery)
	for nr := range uint32(600) {
		for _, arg := range []uint64{0, 1, 2, 16, unix.CLONE_NEWUSER, unix.CLONE_NEWNS, unix.CLONE_NEWCGROUP, unix.CLONE_NEWUSER | unix.CLONE_NEWPID} {
			args := [6]uint64{arg, arg}
			was, got := machine(t, tight, auditArch, nr, args), machine(t, loose, auditArch, nr, args)
			more := nr == unix.SYS_SETNS && arg != 0 || nr == unix.SYS_UNSHARE && arg == unix.CLONE_NEWCGROUP ||
				nr == unix.SYS_KEYCTL && arg == unix.KEYCTL_JOIN_SESSION_KEYRING
			if more && got != unix.SECCOMP_RET_ALLOW || !more && got != was {
				t.Errorf("call %d(%#x): %#x, functions get %#x", nr, arg, got, was)
			}
		}
	}
}

// TestRefused holds the list shut: these may not come onto it.
func TestRefused(t *testing.T) {
	for _, nr := range []uintptr{
		unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP,
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_FSPICK,
		unix.SYS_FSCONFIG, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_CLONE3,
		unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
		unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE,
		unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_REBOOT,
		unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_SYSLOG, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME,
		unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_QUOTACTL, unix.SYS_FANOTIFY_INIT, unix.SYS_SECCOMP,
		unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES, unix.SYS_MBIND, unix.SYS_VHANGUP, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_NFSSERVCTL,
		unix.SYS_PROCESS_MADVISE, unix.SYS_MEMFD_SECRET, unix.SYS_IO_SETUP, unix.SYS_IO_SUBMIT,
	} {
		if got := machine(t, assemble(nil), auditArch, uint32(nr), [6]uint64{}); got == unix.SECCOMP_RET_ALLOW {
			t.Errorf("call %d is allowed", nr)
		}
	}
}
