package sandbox

import "golang.org/x/sys/unix"

// legacyOpening reads a call that opens a file and that only this architecture has.
func legacyOpening(n *notification) (flags uint64, known bool) {
	switch uintptr(n.nr) {
	case unix.SYS_OPEN:
		return n.args[1], true
	case unix.SYS_CREAT:
		return unix.O_CREAT | unix.O_WRONLY, true
	}
	return 0, false
}

// legacyChanges are the calls beside changes that only this architecture has.
var legacyChanges = map[uintptr][]operand{
	unix.SYS_MKDIR: {{-1, 0}}, unix.SYS_MKNOD: {{-1, 0}}, unix.SYS_UNLINK: {{-1, 0}}, unix.SYS_RMDIR: {{-1, 0}},
	unix.SYS_SYMLINK: {{-1, 1}}, unix.SYS_LINK: {{-1, 1}}, unix.SYS_RENAME: {{-1, 0}, {-1, 1}},
}
