package seccomp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Notify is a program beside Filter, which reports what a runtime profile is about, processes that are
// started and files that are opened, to whoever holds its listener, and lets everything else pass.
// Where Filter refuses, its refusal counts.
func Notify() []byte {
	report, pass := ret(unix.SECCOMP_RET_USER_NOTIF), ret(unix.SECCOMP_RET_ALLOW)
	p := []unix.SockFilter{{Code: opLoad, K: offNumber}}
	for _, nr := range reported {
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
