package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// operand says which arguments of a call name a file: the directory's descriptor, -1 for the working
// directory, and the name.
type operand struct{ dir, name int }

// changes are the calls that make, move or remove files, by what they do so to.
var changes = map[uintptr][]operand{
	unix.SYS_MKDIRAT: {{0, 1}}, unix.SYS_MKNODAT: {{0, 1}}, unix.SYS_UNLINKAT: {{0, 1}}, unix.SYS_SYMLINKAT: {{1, 2}}, unix.SYS_LINKAT: {{2, 3}},
	unix.SYS_RENAMEAT: {{0, 1}, {2, 3}}, unix.SYS_RENAMEAT2: {{0, 1}, {2, 3}}, unix.SYS_TRUNCATE: {{-1, 0}},
}

// deeds reads what the call does. What cannot be read has no path: the monitor judges that too, as one
// thread may hide a name while another asks.
func (n *notification) deeds() []Deed {
	switch nr := uintptr(n.nr); nr {
	case unix.SYS_EXECVE:
		return n.executes(unix.AT_FDCWD, n.args[0])
	case unix.SYS_EXECVEAT:
		return n.executes(descriptor(n.args[0]), n.args[1])
	case unix.SYS_OPENAT:
		return n.opens(descriptor(n.args[0]), n.args[1], n.args[2], 0)
	case unix.SYS_OPENAT2:
		how, err := n.read(n.args[2], 24) // struct open_how
		if err != nil || len(how) < 24 {
			return []Deed{{Kind: Write}}
		}
		return n.opens(descriptor(n.args[0]), n.args[1], binary.NativeEndian.Uint64(how), binary.NativeEndian.Uint64(how[16:]))
	case unix.SYS_BIND:
		return n.binds()
	default:
		if flags, known := legacyOpening(n); known {
			return n.opens(unix.AT_FDCWD, n.args[0], flags, 0)
		}
		operands := changes[nr]
		if operands == nil {
			operands = legacyChanges[nr]
		}
		if operands == nil {
			return []Deed{{Kind: Fork}}
		}
		return n.changed(operands)
	}
}

// descriptor is an argument that is one, as the kernel takes it.
func descriptor(arg uint64) int64 { return int64(int32(arg)) }

// changed are the deeds of a call that makes, moves or removes files. A link at the end of a name is
// what is made, moved or removed itself, but by truncate.
func (n *notification) changed(operands []operand) []Deed {
	var out []Deed
	for _, o := range operands {
		at := int64(unix.AT_FDCWD)
		if o.dir >= 0 {
			at = descriptor(n.args[o.dir])
		}
		d := Deed{Kind: Write}
		if name, err := n.text(n.args[o.name]); err == nil {
			d.Path = n.found(at, name, uintptr(n.nr) == unix.SYS_TRUNCATE)
		}
		out = append(out, d)
	}
	return out
}

// executes is the deed of an exec: the program by the name that it is called by.
func (n *notification) executes(at int64, address uint64) []Deed {
	d := Deed{Kind: Exec}
	name, err := n.text(address)
	if err != nil {
		return []Deed{d}
	}
	dir, err := n.base(at, name)
	if err != nil {
		return []Deed{d}
	}
	if d.Path = path.Join(dir, name); within(d.Path, "/proc") {
		d.Path = n.found(at, name, true) // each process has names of its own there
	}
	return []Deed{d}
}

// opens are the deeds of an open: of the file, and of the link that names it, which a package may hold.
func (n *notification) opens(at int64, address, flags, resolve uint64) []Deed {
	d := Deed{Kind: Read}
	if flags&(unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC) != 0 {
		d.Kind = Write
	}
	name, err := n.text(address)
	if err != nil {
		return []Deed{d}
	}
	if resolve&unix.RESOLVE_IN_ROOT != 0 {
		name = "./" + path.Clean("/"+name) // the directory is the root of the name
	}
	d.Path = n.found(at, name, flags&unix.O_NOFOLLOW == 0)
	out := []Deed{d}
	if d.Kind == Read && d.Path != "" && !strings.Contains(name, "..") {
		if dir, err := n.base(at, name); err == nil && path.Join(dir, name) != d.Path {
			out = append(out, Deed{Read, path.Join(dir, name)})
		}
	}
	return out
}

// binds is the deed of a bind: a socket that has a name among the files makes it (unix(7)); others do
// nothing to files.
func (n *notification) binds() []Deed {
	const family, longest = 2, 110 // sa_family_t, struct sockaddr_un
	size := int(min(n.args[2]&0xffffffff, longest))
	if size <= family {
		return nil // the kernel chooses a name, which is none of a file
	}
	address, err := n.read(n.args[1], size)
	if err != nil || len(address) <= family {
		return []Deed{{Kind: Write}}
	}
	name := address[family:]
	if binary.NativeEndian.Uint16(address) != unix.AF_UNIX || name[0] == 0 {
		return nil
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	return []Deed{{Write, n.found(unix.AT_FDCWD, string(name), false)}}
}

// found is where a name leads; empty where that cannot be told.
func (n *notification) found(at int64, name string, last bool) string {
	dir, err := n.base(at, name)
	if err != nil {
		return ""
	}
	w, err := n.walker()
	if err == nil {
		name, err = w.walk(dir, name, last)
	}
	if err != nil {
		return ""
	}
	return name
}

// base is the directory that a name begins at.
func (n *notification) base(at int64, name string) (string, error) {
	if path.IsAbs(name) {
		return "/", nil
	}
	dir, err := n.link(at)
	if err == nil && name != "" && !path.IsAbs(dir) {
		err = errors.New("sandbox: a name below what is no directory")
	}
	return dir, err
}
