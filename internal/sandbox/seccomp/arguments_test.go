package seccomp

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestArguments: calls that are answered otherwise for some arguments, and what is beside those.
func TestArguments(t *testing.T) {
	program := assemble(nil)
	const through = unix.SECCOMP_RET_ALLOW
	with := func(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }
	for name, c := range map[string]struct {
		nr   uintptr
		args [6]uint64
		want uint32
	}{
		"linger":                  {unix.SYS_SETSOCKOPT, [6]uint64{3, unix.SOL_SOCKET, unix.SO_LINGER}, with(0)},
		"linger, high bits set":   {unix.SYS_SETSOCKOPT, [6]uint64{3, 1<<32 | unix.SOL_SOCKET, 1<<32 | unix.SO_LINGER}, with(0)},
		"keep alive":              {unix.SYS_SETSOCKOPT, [6]uint64{3, unix.SOL_SOCKET, unix.SO_KEEPALIVE}, through},
		"an option of that value": {unix.SYS_SETSOCKOPT, [6]uint64{3, unix.SOL_TCP, unix.TCP_CONGESTION}, through},
		"huge pages":              {unix.SYS_MMAP, [6]uint64{0, 4096, 3, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_HUGETLB, 1<<64 - 1}, with(unix.ENOMEM)},
		"huge pages of 1 GB":      {unix.SYS_MMAP, [6]uint64{0, 4096, 3, unix.MAP_HUGETLB | 30<<unix.MAP_HUGE_SHIFT}, with(unix.ENOMEM)},
		"memory":                  {unix.SYS_MMAP, [6]uint64{0, 4096, 3, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE, 1<<64 - 1}, through},
		"a huge memfd":            {unix.SYS_MEMFD_CREATE, [6]uint64{0, unix.MFD_CLOEXEC | unix.MFD_HUGETLB}, with(unix.ENOMEM)},
		"a memfd":                 {unix.SYS_MEMFD_CREATE, [6]uint64{0, unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING}, through},
		"a huge segment":          {unix.SYS_SHMGET, [6]uint64{0, 4096, shmHuge | unix.IPC_CREAT | 0o600}, with(unix.EPERM)},
		"a segment":               {unix.SYS_SHMGET, [6]uint64{0, 4096, unix.IPC_CREAT | 0o600}, through},
	} {
		if got := machine(t, program, auditArch, uint32(c.nr), c.args); got != c.want {
			t.Errorf("%s: %#x, want %#x", name, got, c.want)
		}
	}
}
