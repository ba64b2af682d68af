package sandbox

import (
	"fmt"
	"io"
	"net/netip"
	"path"
	"regexp"
	"strings"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// Spec says what to run and in which world.
type Spec struct {
	Account string   // whose it is: accounts do not share a core's threads, where the kernel can keep them apart
	ID      string   // unique among the living; letters, digits, "-", "_", "."; at most 64
	Argv    []string // Argv[0] is an absolute path inside
	Env     []string // the whole environment: nothing is inherited
	Dir     string   // working directory inside; default /var/task

	Root   RootFS
	Code   string   // host directory that appears read-only at /var/task; empty: an empty one
	Layers []string // host directories merged read-only at /opt; a later one wins

	// Late builds the sandbox before its code is known: Code and Layers are empty, and come once by
	// Receiver.Deliver, with what else a Delivery has. The process is started at once; without Argv,
	// Start returns when the sandbox stands, and the Delivery says what to execute. Until then it gives
	// way to every other sandbox that wants a processor.
	Late bool
	// Store is the host directory below which a late sandbox's code and layers will lie. Drivers that
	// are not root need it; it is never visible inside.
	Store string

	// Fork has the instance's process forked from one that waits already, rather than executed: Argv is
	// a program that can be told to wait for that (package bootstrap's for python). It waits in a sandbox of
	// its own, a nest, and knows nothing of any function. Instances of one account whose Argv, Env, Dir and
	// Root are equal share one, ForksAtMost of them in a row, and with it an address layout and a hash seed.
	// Only for what is Late and has a Channel, and where the driver is a Forker.
	Fork bool

	// Held leaves the process to Several.Begin: others come first.
	Held bool

	TmpBytes    int64 // bound of /tmp; default 512 MB
	MemoryBytes int64 // what the processes may have for themselves; default 128 MB. /tmp counts apart
	Pids        int   // processes and threads; default 1024
	CPU         int   // thousandths of a processor; 0: no bound
	NoFile      int   // open files of a process; default 1024

	Hostname string // default "bastide"
	Doors    []DoorSpec
	Channel  bool // give the process a stream socket to Bastide as descriptor 3

	// Confine narrows what the processes may do with files; nil for what the mounts alone allow. Monitor
	// hears of the processes that are started and the files that are opened once the sandbox's own
	// program runs, and may refuse them. They are for sandboxes whose program is known when it starts,
	// not for a process that runs before its code comes.
	Confine *Confinement
	Monitor Monitor

	// Stdout and Stderr: nil is discarded. A slow writer slows the process down. An *os.File is given
	// to the process itself, as it is; its owner closes it after Start.
	Stdout, Stderr io.Writer
}

// RootFS is the read-only root. Besides what it names there are /proc, /dev (null, zero, full, random,
// urandom), /tmp, /opt and /var/task. Targets may not lie inside one another's binds.
type RootFS struct {
	// Tree is a host directory that is the root itself, with what programs find at /var/task and /opt.
	// It has directories /proc, /dev and /tmp, and what binds lie over; nothing else is made in it, so that
	// Files, Links and Dirs, and the Spec's Code and Layers, are empty.
	Tree  string
	Binds []Bind
	Files map[string]File   // generated files by absolute path; all together at most 64 MB
	Links map[string]string // symbolic links: absolute path → target
	Dirs  []string          // empty directories
}

// Bind shows a file or directory of the host inside, read-only unless Writable; always nosuid, nodev.
type Bind struct {
	Source   string
	Target   string
	Writable bool
}

// File is a generated file. Mode 0 means 0644.
type File struct {
	Content string
	Mode    uint32
}

// DoorSpec is a socket inside the sandbox. Network is "tcp" or "udp", Address an IP and port such as
// "127.0.0.1:9001". Every address is the sandbox's own, so that what goes to any host arrives: a door at
// 0.0.0.0 or [::] takes what goes to its port of each, and its connections' local address says which.
// Network "watch", without an address, tells of all that is sent.
type DoorSpec struct {
	Name    string
	Network string
	Address string
}

const watchNetwork = "watch"

const (
	megabyte     = 1 << 20
	rootBytes    = 64 * megabyte
	maxArguments = 1 << 20 // bytes of Argv and Env, below the kernel's bound
	maxDoors     = 240     // their sockets travel in one frame (control.MaxFDs)
)

var validID = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// withDefaults fills what was left out.
func (s Spec) withDefaults() Spec {
	if s.Dir == "" {
		s.Dir = "/var/task"
	}
	if s.TmpBytes == 0 {
		s.TmpBytes = 512 * megabyte
	}
	if s.MemoryBytes == 0 {
		s.MemoryBytes = 128 * megabyte
	}
	if s.Pids == 0 {
		s.Pids = 1024
	}
	if s.NoFile == 0 {
		s.NoFile = 1024
	}
	if s.Hostname == "" {
		s.Hostname = "bastide"
	}
	s.Doors = openable(s.Doors)
	return s
}

// check refuses what cannot be meant.
func (s Spec) check() error {
	switch {
	case !validID.MatchString(s.ID):
		return fmt.Errorf("the id %q is not of letters, digits, '-', '_', '.'", s.ID)
	case (len(s.Argv) > 0 || !s.Late) && (len(s.Argv) == 0 || !path.IsAbs(s.Argv[0])):
		return fmt.Errorf("the program must be an absolute path")
	case !path.IsAbs(s.Dir):
		return fmt.Errorf("the working directory %q is not absolute", s.Dir)
	case s.TmpBytes < 0 || s.MemoryBytes < 0 || s.Pids < 0 || s.CPU < 0 || s.NoFile < 0:
		return fmt.Errorf("a limit is negative")
	case s.MemoryBytes < megabyte:
		return fmt.Errorf("%d bytes of memory are too few", s.MemoryBytes)
	case s.Store != "" && !path.IsAbs(s.Store):
		return fmt.Errorf("the store %q is not absolute", s.Store)
	case s.Late && (s.Code != "" || len(s.Layers) > 0):
		return fmt.Errorf("code that comes late cannot be there from the start")
	case s.Fork && (!s.Late || !s.Channel || len(s.Argv) == 0 || s.Confine != nil || s.Monitor != nil):
		return fmt.Errorf("only a process that awaits its code, over a channel, can be forked")
	case s.Late && s.Held:
		return fmt.Errorf("a process cannot be held and wait for its code")
	case len(s.Doors) > maxDoors:
		return fmt.Errorf("%d doors are more than %d", len(s.Doors), maxDoors)
	}
	if err := checkArguments(s.Argv, s.Env); err != nil {
		return err
	}
	return s.checkTargets()
}

// checkArguments refuses what cannot be executed.
func checkArguments(argv, env []string) error {
	size := 0
	for _, list := range [][]string{argv, env} {
		for _, a := range list {
			if strings.IndexByte(a, 0) >= 0 {
				return fmt.Errorf("an argument or variable holds a zero byte")
			}
			size += len(a) + 9
		}
	}
	if size > maxArguments {
		return fmt.Errorf("arguments and environment are %d bytes, more than %d", size, maxArguments)
	}
	return nil
}

// checkTree refuses what a root that is there already cannot take in.
func (s Spec) checkTree() error {
	switch {
	case !path.IsAbs(s.Root.Tree):
		return fmt.Errorf("the tree %q is not absolute", s.Root.Tree)
	case s.Late || s.Code != "" || len(s.Layers) > 0:
		return fmt.Errorf("a tree has its code already")
	case len(s.Root.Files)+len(s.Root.Links)+len(s.Root.Dirs) > 0:
		return fmt.Errorf("nothing is made in a tree")
	}
	return nil
}

func (s Spec) checkTargets() error {
	if s.Root.Tree != "" {
		if err := s.checkTree(); err != nil {
			return err
		}
	}
	var all []string
	for _, b := range s.Root.Binds {
		if !path.IsAbs(b.Source) {
			return fmt.Errorf("the source %q of a bind is not absolute", b.Source)
		}
		all = append(all, b.Target)
	}
	size := 0
	for p, f := range s.Root.Files {
		all = append(all, p)
		size += len(f.Content)
	}
	if size > control.MaxBody/2 {
		return fmt.Errorf("the generated files are %d bytes, more than %d", size, control.MaxBody/2)
	}
	for p := range s.Root.Links {
		all = append(all, p)
	}
	all = append(all, s.Root.Dirs...)
	for _, t := range all {
		if !path.IsAbs(t) || path.Clean(t) != t || t == "/" || strings.IndexByte(t, 0) >= 0 {
			return fmt.Errorf("%q is no clean absolute path below the root", t)
		}
	}
	return nil
}

// door is the wire form of a door.
func (d DoorSpec) door() (control.Door, error) {
	if d.Network == watchNetwork && d.Name != "" && d.Address == "" {
		return control.Door{Watch: true}, nil
	}
	ap, err := netip.ParseAddrPort(d.Address)
	if err != nil || (d.Network != "tcp" && d.Network != "udp") || d.Name == "" {
		return control.Door{}, fmt.Errorf("door %q: %s %q is no tcp or udp address", d.Name, d.Network, d.Address)
	}
	return control.Door{Datagram: d.Network == "udp", IP: string(ap.Addr().AsSlice()), Port: ap.Port()}, nil
}
