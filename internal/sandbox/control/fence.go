package control

// Fence confines a process and its children to files by Landlock ("Landlock: unprivileged access
// control" in the kernel's documentation): what is handled and not granted is refused.
type Fence struct {
	Handled uint64 // rights over files that are refused unless granted (LANDLOCK_ACCESS_FS_…)
	Scoped  uint64 // LANDLOCK_SCOPE_…
	Grants  []Grant
}

// Grant gives rights to a file, or to everything below a directory. A path that is not there is no
// error.
type Grant struct {
	Path   string
	Access uint64
}

func (e *encoder) fence(f Fence) {
	e.number(f.Handled)
	e.number(f.Scoped)
	e.number(uint64(len(f.Grants)))
	for _, g := range f.Grants {
		e.text(g.Path)
		e.number(g.Access)
	}
}

func (d *decoder) fence() Fence {
	f := Fence{Handled: d.number(), Scoped: d.number()}
	for range d.count() {
		f.Grants = append(f.Grants, Grant{Path: d.text(), Access: d.number()})
	}
	return f
}
