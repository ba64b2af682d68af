package sandbox

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// Landlock's rights over files by the version of its interface that brought them ("Landlock:
// unprivileged access control", in the kernel's documentation).
const (
	reads  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writes = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	writesOf2 = unix.LANDLOCK_ACCESS_FS_REFER
	writesOf3 = unix.LANDLOCK_ACCESS_FS_TRUNCATE
	scopesOf6 = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
)

// landlockVersion is the version of the kernel's Landlock; 0 where it has none.
func landlockVersion() int {
	v, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// Confinement narrows what a sandbox's processes may do with files, further than its mounts do. It
// takes Landlock.
type Confinement struct {
	// Code are the files below /var/task that may be read; nil for all. Its directories can be listed.
	Code []string
	// Programs may be executed, beside the sandbox's own: absolute paths. AnyProgram is all.
	Programs   []string
	AnyProgram bool
	ReadTmp    bool // /tmp may be read but not written
}

// fence is the Landlock ruleset of a process: everything may be read and executed, and nothing written
// but /tmp and the devices; a confinement narrows that. Where the kernel has no Landlock it is empty,
// which doctor tells.
func (n *Namespace) fence(s Spec, programs []string) (control.Fence, error) {
	c := s.Confine
	if n.landlock == 0 {
		if c != nil {
			return control.Fence{}, fmt.Errorf("a confinement takes Landlock, which this kernel does not have")
		}
		return control.Fence{}, nil
	}
	write := uint64(writes)
	if n.landlock >= 2 {
		write |= writesOf2
	}
	if n.landlock >= 3 {
		write |= writesOf3
	}
	f := control.Fence{Handled: reads | unix.LANDLOCK_ACCESS_FS_EXECUTE | write}
	if n.landlock >= 6 {
		f.Scoped = scopesOf6
	}
	if c == nil {
		f.Grants = []control.Grant{{Path: "/", Access: reads | unix.LANDLOCK_ACCESS_FS_EXECUTE}, {Path: "/tmp", Access: write}, {Path: "/dev", Access: write}}
	} else {
		f.Grants = c.grants(programs, write)
	}
	for _, b := range s.Root.Binds {
		if b.Writable {
			f.Grants = append(f.Grants, control.Grant{Path: b.Target, Access: write})
		}
	}
	return f, nil
}

// readable are the directories of a root that hold no code of a function.
var readable = []string{"/bin", "/dev", "/etc", "/lib", "/lib64", "/opt", "/proc", "/root", "/sbin", "/tmp", "/usr", "/home", "/srv",
	"/run", "/var/lang", "/var/lib", "/var/runtime", "/var/rapid", "/nix"}

func (c *Confinement) grants(programs []string, write uint64) []control.Grant {
	grants := []control.Grant{{Path: "/dev", Access: write}}
	if c.Code == nil {
		grants = append(grants, control.Grant{Path: "/", Access: reads})
	} else {
		grants = append(grants, control.Grant{Path: "/", Access: unix.LANDLOCK_ACCESS_FS_READ_DIR})
		for _, dir := range readable {
			grants = append(grants, control.Grant{Path: dir, Access: reads})
		}
		for _, file := range c.Code {
			grants = append(grants, control.Grant{Path: "/var/task/" + file, Access: unix.LANDLOCK_ACCESS_FS_READ_FILE})
		}
	}
	if c.AnyProgram {
		grants = append(grants, control.Grant{Path: "/", Access: unix.LANDLOCK_ACCESS_FS_EXECUTE})
	} else {
		// what interprets the program, such as ld.so, is executed with it
		for _, p := range slices.Concat(programs, []string{"/lib64", "/lib/ld-linux-aarch64.so.1", "/opt/extensions"}, c.Programs) {
			grants = append(grants, control.Grant{Path: p, Access: unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE})
		}
	}
	if !c.ReadTmp {
		grants = append(grants, control.Grant{Path: "/tmp", Access: write})
	}
	return grants
}
