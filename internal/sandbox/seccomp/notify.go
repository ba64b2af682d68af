package seccomp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// reported are the calls that Notify reports, beside clone: those that execute programs, open files, and
// make, move or remove them.
var reported = []uintptr{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_MKDIRAT, unix.SYS_MKNODAT, unix.SYS_UNLINKAT,
	unix.SYS_SYMLINKAT, unix.SYS_LINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_TRUNCATE, unix.SYS_BIND,
}

// Notify is a program beside Filter, which reports what a runtime profile is about, processes that are
// started and files that are opened or changed, to whoever holds its listener, and lets everything else pass.
// Where Filter refuses, its refusal counts.
func Notify() []byte {
	report, pass := ret(unix.SECCOMP_RET_USER_NOTIF), ret(unix.SECCOMP_RET_ALLOW)
	p := []unix.SockFilter{{Code: opLoad, K: offNumber}}
	for _, nr := range slices.Concat(reported, legacyReported) {
		p = append(p, unix.SockFilter{Code: opEqual, Jf: 1, K: uint32(nr)}, report[0])
	}
	// a clone that makes no thread makes a process
	p = append(p,
		unix.SockFilter{Code: opEqual, Jf: 3, K: unix.SYS_CLONE},
		unix.SockFilter{Code: opLoad, K: offArgs},
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 1, K: unix.CLONE_THREAD},
		report[0], pass[0])
	b := []byte{}
	for _, in := range p {
		b = binary.NativeEndian.AppendUint16(b, in.Code)
		b = append(b, in.Jt, in.Jf)
		b = binary.NativeEndian.AppendUint32(b, in.K)
	}
	return b
}
