package seccomp

import "golang.org/x/sys/unix"

const (
	auditArch  = unix.AUDIT_ARCH_AARCH64
	foreignABI = 0 // there is one table of calls only
)

// legacy are calls that only this architecture names so.
var legacy = []uintptr{unix.SYS_FSTATAT}

// reported are the calls that Notify reports, beside clone.
var reported = []uintptr{unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_OPENAT, unix.SYS_OPENAT2}
