package main

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// fileRights are the rights that a file can be granted; the others are a directory's.
const fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
	unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

// fence confines the calling thread, and what it forks, to the granted files.
func fence(f control.Fence) error {
	if f.Handled == 0 && f.Scoped == 0 {
		return nil
	}
	// the size tells the kernel which version of the structure this is; an older kernel takes a longer
	// one whose further fields are zero
	attr := unix.LandlockRulesetAttr{Handled_access_fs: f.Handled, Scoped: f.Scoped}
	fd, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return wrap("make a landlock ruleset", errno)
	}
	defer unix.Close(int(fd))
	for _, g := range f.Grants {
		if err := grant(int(fd), g); err != nil {
			return err
		}
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return wrap("enter the landlock ruleset", errno)
	}
	return nil
}

func grant(ruleset int, g control.Grant) error {
	at, err := unix.Open(g.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil // what is not there needs no right
	}
	if err != nil {
		return wrap("open "+g.Path, err)
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return wrap("look at "+g.Path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		g.Access &= fileRights
	} else if g.Access == unix.LANDLOCK_ACCESS_FS_READ_FILE {
		return nil // it is meant for one file, not for all that lie below
	}
	if g.Access == 0 {
		return nil
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: g.Access, Parent_fd: int32(at)}
	_, _, errno := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	runtime.KeepAlive(&rule)
	if errno == unix.EBADFD {
		return nil // of a file system that knows no rules, such as /proc
	}
	if errno != 0 {
		return wrap("grant "+g.Path, errno)
	}
	return nil
}

// observe loads a seccomp program for the calling thread and hands its listener out: whoever holds it
// answers for the calls that the program reports.
func (in *initProcess) observe(filter []byte) error {
	if len(filter) == 0 {
		return nil
	}
	prog := unix.SockFprog{Len: uint16(len(filter) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0]))}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return wrap("load the filter that reports", errno)
	}
	defer unix.Close(int(fd))
	return in.conn.write(control.Observed, nil, []int{int(fd)})
}
