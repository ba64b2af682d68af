package seccomp

import "golang.org/x/sys/unix"

const (
	auditArch  = unix.AUDIT_ARCH_AARCH64
	foreignABI = 0 // there is one table of calls only
)

// legacy are calls that only this architecture names so.
var legacy = []uintptr{unix.SYS_FSTATAT}

// legacyReported: this architecture has no older calls.
var legacyReported = []uintptr{}
