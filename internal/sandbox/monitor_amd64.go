package sandbox

import "golang.org/x/sys/unix"

// legacyDeed reads a call that only this architecture has: all but forks name a path first.
func legacyDeed(n *notification) (kind DeedKind, flags uint64, known bool) {
	switch uintptr(n.nr) {
	case unix.SYS_OPEN:
		return Read, n.args[1], true
	case unix.SYS_CREAT:
		return Write, unix.O_CREAT, true
	}
	return Fork, 0, false
}
