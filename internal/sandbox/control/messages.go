package control

// Setup is the body of a Config frame: everything that the init builds before a process may run.
type Setup struct {
	Hostname  string
	CgroupNS  bool   // take a cgroup namespace of its own once told, which is after it was placed in its cgroup
	Proc      bool   // mount /proc; false only where that layer was waived
	RootBytes uint64 // bound of the root file system, which holds the generated files
	TmpBytes  uint64 // bound of /tmp
	Doors     []Door
	Tree      []Mount // at most one: the root itself, in place of an empty one; Target is not used
	Mounts    []Mount
	Layers    []Mount // merged at /opt, later ones above earlier ones; Target is not used
	Dirs      []string
	Files     []File
	Links     []Link
	Limits    []Limit
	Filter    []byte // the seccomp program, 8 bytes an instruction in the machine's byte order; empty: waived
	Late      bool   // a Deliver follows: /var/task and /opt are stand-ins until then
	Store     string // where Deliver's sources lie, as a path in the mount namespace that the init started in; empty: they come as descriptors
}

// Door is a socket to open. IP is 4 or 16 bytes.
type Door struct {
	Datagram bool
	Watch    bool // one that tells of what is sent to no door instead; it has no address
	Shared   bool // its port has doors at several addresses, one of them at all
	IP       string
	Port     uint16
}

// Mount is a tree to attach at Target, always nosuid and nodev.
type Mount struct {
	Target   string
	Source   string // path in the mount namespace that the init started in; empty: the next descriptor of the frame
	Writable bool
}

// File is a generated file in the read-only root.
type File struct {
	Path    string
	Mode    uint32
	Content string
}

// Link is a symbolic link in the read-only root.
type Link struct{ Path, Target string }

// Limit is a resource limit (setrlimit's number, soft and hard alike).
type Limit struct{ Resource, Value uint64 }

// Append adds the wire form of s to b.
func (s *Setup) Append(b []byte) []byte {
	e := encoder{b}
	e.text(s.Hostname)
	e.flag(s.CgroupNS)
	e.flag(s.Proc)
	e.number(s.RootBytes)
	e.number(s.TmpBytes)
	e.doors(s.Doors)
	e.mounts(s.Tree)
	e.mounts(s.Mounts)
	e.mounts(s.Layers)
	e.texts(s.Dirs)
	e.number(uint64(len(s.Files)))
	for _, f := range s.Files {
		e.text(f.Path)
		e.number(uint64(f.Mode))
		e.text(f.Content)
	}
	e.number(uint64(len(s.Links)))
	for _, l := range s.Links {
		e.text(l.Path)
		e.text(l.Target)
	}
	e.limits(s.Limits)
	e.text(string(s.Filter))
	e.flag(s.Late)
	e.text(s.Store)
	return e.b
}

// ParseSetup reads the body of a Config frame.
func ParseSetup(b []byte) (*Setup, error) {
	d := decoder{b: b}
	s := &Setup{
		Hostname:  d.text(),
		CgroupNS:  d.flag(),
		Proc:      d.flag(),
		RootBytes: d.number(),
		TmpBytes:  d.number(),
	}
	s.Doors = d.doors()
	s.Tree = d.mounts()
	s.Mounts = d.mounts()
	s.Layers = d.mounts()
	s.Dirs = d.texts()
	for range d.count() {
		s.Files = append(s.Files, File{Path: d.text(), Mode: uint32(d.number()), Content: d.text()})
	}
	for range d.count() {
		s.Links = append(s.Links, Link{Path: d.text(), Target: d.text()})
	}
	s.Limits = d.limits()
	s.Filter = []byte(d.text())
	s.Late = d.flag()
	s.Store = d.text()
	return s, d.end()
}

func (e *encoder) mounts(ms []Mount) {
	e.number(uint64(len(ms)))
	for _, m := range ms {
		e.text(m.Target)
		e.text(m.Source)
		e.flag(m.Writable)
	}
}

func (d *decoder) mounts() []Mount {
	var ms []Mount
	for range d.count() {
		ms = append(ms, Mount{Target: d.text(), Source: d.text(), Writable: d.flag()})
	}
	return ms
}

// Process is the body of a Start frame: what to run. A descriptor that travels with the frame
// becomes its descriptor 3.
type Process struct {
	Argv []string // Argv[0] is an absolute path inside
	Env  []string
	Dir  string

	Fence  Fence  // laid around it; with nothing handled or scoped there is none
	Notify []byte // a seccomp program whose listener comes back with Observed; empty for none
}

// Append adds the wire form of p to b.
func (p *Process) Append(b []byte) []byte {
	e := encoder{b}
	e.texts(p.Argv)
	e.texts(p.Env)
	e.text(p.Dir)
	e.fence(p.Fence)
	e.text(string(p.Notify))
	return e.b
}

// ParseProcess reads the body of a Start frame.
func ParseProcess(b []byte) (*Process, error) {
	d := decoder{b: b}
	p := d.process()
	return &p, d.end()
}

func (d *decoder) process() Process {
	p := Process{Argv: d.texts(), Env: d.texts(), Dir: d.text(), Fence: d.fence()}
	if n := d.text(); n != "" {
		p.Notify = []byte(n)
	}
	return p
}

// Status is the body of an Exited frame: an exit code, or the signal that ended the process.
type Status struct{ Code, Signal uint64 }

// Append adds the wire form of s to b.
func (s Status) Append(b []byte) []byte {
	e := encoder{b}
	e.number(s.Code)
	e.number(s.Signal)
	return e.b
}

// ParseStatus reads the body of an Exited frame.
func ParseStatus(b []byte) (Status, error) {
	d := decoder{b: b}
	s := Status{Code: d.number(), Signal: d.number()}
	return s, d.end()
}

// Failure is the body of a Failed frame.
type Failure struct {
	Stage string // what the init was doing, such as "mount /proc"
	Errno uint64 // the kernel's error number; 0: Stage says it all
}

// Append adds the wire form of f to b.
func (f Failure) Append(b []byte) []byte {
	e := encoder{b}
	e.text(f.Stage)
	e.number(f.Errno)
	return e.b
}

// ParseFailure reads the body of a Failed frame.
func ParseFailure(b []byte) (Failure, error) {
	d := decoder{b: b}
	f := Failure{Stage: d.text(), Errno: d.number()}
	return f, d.end()
}

// Birth is the body of a Launch frame: an init to start. Its descriptors from 0 on travel with the
// frame, and after them, if IntoCgroup, the directory of its cgroup in the unified hierarchy.
type Birth struct {
	UID, GID    uint64 // the host's
	InsideUID   uint64
	InsideGID   uint64
	User        bool // a user namespace that maps the inside ids to the host's
	IPC, UTS    bool // namespaces that may be waived
	Setgroups   bool // leave the launcher's groups, which needs privilege
	IntoCgroup  bool
	Enter, Home []string // v1 "tasks" files: of its cgroups, and of the launcher's own
	Tasks       uint64   // the same as open files, which travel last: so many of each

	Nest  bool   // it is to launch others in turn, from inside its namespaces
	Spare uint64 // the first of Spares ids of the host that its user namespace holds for them, from SpareID on
}

// A nest's user namespace maps ids for the sandboxes that are launched from it.
const (
	SpareID = 1 << 16
	Spares  = 1 << 6
)

// Append adds the wire form of v to b.
func (v *Birth) Append(b []byte) []byte {
	e := encoder{b}
	for _, n := range []uint64{v.UID, v.GID, v.InsideUID, v.InsideGID} {
		e.number(n)
	}
	for _, f := range []bool{v.User, v.IPC, v.UTS, v.Setgroups, v.IntoCgroup} {
		e.flag(f)
	}
	e.texts(v.Enter)
	e.texts(v.Home)
	e.number(v.Tasks)
	e.flag(v.Nest)
	e.number(v.Spare)
	return e.b
}

// ParseBirth reads the body of a Launch frame.
func ParseBirth(b []byte) (*Birth, error) {
	d := decoder{b: b}
	v := &Birth{
		UID: d.number(), GID: d.number(), InsideUID: d.number(), InsideGID: d.number(),
		User: d.flag(), IPC: d.flag(), UTS: d.flag(), Setgroups: d.flag(), IntoCgroup: d.flag(),
		Enter: d.texts(), Home: d.texts(), Tasks: d.number(), Nest: d.flag(), Spare: d.number(),
	}
	return v, d.end()
}

// Born is the body of a Launched frame: the pid, or why there is none.
type Born struct {
	PID     uint64
	Failure Failure
}

// Append adds the wire form of v to b.
func (v Born) Append(b []byte) []byte {
	e := encoder{b}
	e.number(v.PID)
	return v.Failure.Append(e.b)
}

// ParseBorn reads the body of a Launched frame.
func ParseBorn(b []byte) (Born, error) {
	d := decoder{b: b}
	v := Born{PID: d.number(), Failure: Failure{Stage: d.text(), Errno: d.number()}}
	return v, d.end()
}
