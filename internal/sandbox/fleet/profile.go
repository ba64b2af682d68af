package fleet

import (
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// ProfileMode is what a runtime profile is for.
type ProfileMode string

// The modes: to learn what a function does, to report what departs from that, or to refuse it too.
const (
	Learn   ProfileMode = "learn"
	Report  ProfileMode = "report"
	Enforce ProfileMode = "enforce"
)

// Profile is what a function is known to do: which processes it starts, which hosts it reaches, which
// files of its package it reads, whether it writes to /tmp.
type Profile struct {
	Mode  ProfileMode
	Facts map[Fact]bool
	// Files says that the files were learned of this very package: of another, they say nothing, and
	// are learned anew whatever the mode.
	Files bool
}

// Fact is one thing that a function does.
type Fact struct {
	Kind FactKind
	What string // a program's path; "host:port"; a file's path below /var/task; empty for the others
}

// FactKind is a kind of fact.
type FactKind string

// The kinds of facts.
const (
	Forks   FactKind = "process" // starts processes
	Runs    FactKind = "program" // executes a program
	Reaches FactKind = "host"    // opens a connection outside
	Loads   FactKind = "file"    // opens a file of its package
	Writes  FactKind = "tmp"     // writes to /tmp, or makes, moves or removes what is there
	Hides   FactKind = "hidden"  // opens or makes files by names that do not tell which
)

// String is the fact in words.
func (f Fact) String() string {
	switch f.Kind {
	case Forks:
		return "starting a process"
	case Runs:
		if f.What == "" {
			return "executing a program whose name cannot be read"
		}
		return "executing " + f.What
	case Reaches:
		return "a connection to " + f.What
	case Hides:
		return "opening or making a file whose name cannot be read or leads through another process"
	case Loads:
		return "opening " + runtimes.TaskRoot + "/" + f.What
	}
	return "writing to /tmp"
}

// Profiles hears what instances learn, and of departures.
type Profiles interface {
	// Learned tells of facts that are new to an instance; they may be known already.
	Learned(fn *Function, facts []Fact)
	// Departed tells of something that the profile does not have, each time that it is done. Whoever did
	// it waits meanwhile.
	Departed(fn *Function, f Fact, refused bool)
}

// maxNoted bounds what one instance keeps of facts; what is beyond is not learned.
const maxNoted = 20_000

// observer judges one instance by its function's profile.
type observer struct {
	fn   *Function
	told Profiles

	mu    sync.Mutex
	noted map[Fact]bool
	fresh []Fact // noted and not yet told as learned
}

// Judge implements sandbox.Monitor.
func (o *observer) Judge(d sandbox.Deed) bool {
	switch d.Kind {
	case sandbox.Fork:
		return o.allow(Fact{Kind: Forks})
	case sandbox.Exec:
		return o.allow(Fact{Runs, d.Path})
	case sandbox.Read, sandbox.Write:
		return o.file(d)
	}
	return true
}

// file judges a deed to a file.
func (o *observer) file(d sandbox.Deed) bool {
	switch {
	case d.Path == "":
		return o.allow(Fact{Kind: Hides})
	case d.Kind == sandbox.Write:
		return d.Path != "/tmp" && !strings.HasPrefix(d.Path, "/tmp/") || o.allow(Fact{Kind: Writes})
	}
	file, ok := strings.CutPrefix(d.Path, runtimes.TaskRoot+"/")
	return !ok || o.allow(Fact{Loads, file})
}

// reaches judges a connection.
func (o *observer) reaches(address string) bool {
	host, port, err := net.SplitHostPort(address)
	return err == nil && o.allow(Fact{Reaches, net.JoinHostPort(strings.ToLower(host), port)})
}

// allow tells whether the profile lets something be, notes what is learned and tells what departs.
func (o *observer) allow(f Fact) bool {
	p := o.fn.Profile
	if p.Facts[f] && (f.Kind != Loads || p.Files) {
		return true
	}
	if p.Mode == Learn || f.Kind == Loads && !p.Files {
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.noted[f] && len(o.noted) < maxNoted {
			o.noted[f] = true
			o.fresh = append(o.fresh, f)
		}
		return true
	}
	refused := p.Mode == Enforce
	o.told.Departed(o.fn, f, refused)
	return !refused
}

// tell passes on what was learned.
func (o *observer) tell() {
	o.mu.Lock()
	facts := o.fresh
	o.fresh = nil
	o.mu.Unlock()
	if len(facts) > 0 {
		o.told.Learned(o.fn, facts)
	}
}

// learned passes on what an instance has learned.
func (i *instance) learned() {
	if i.observer != nil {
		i.observer.tell()
	}
}

// observed adds to a sandbox what its function's profile asks for.
func (i *instance) observed(s *sandbox.Spec) {
	p := i.fn.Profile
	if p == nil {
		return
	}
	i.observer = &observer{fn: i.fn, told: i.fleet.deps.Profiles, noted: map[Fact]bool{}}
	s.Monitor = i.observer
	if p.Mode != Enforce {
		return
	}
	// What the monitor refuses by name, Landlock refuses for good.
	c := &sandbox.Confinement{ReadTmp: !p.Facts[Fact{Kind: Writes}], Code: nil}
	if p.Files {
		c.Code = []string{}
	}
	for f := range p.Facts {
		switch {
		case f.Kind == Runs && f.What != "":
			c.Programs = append(c.Programs, f.What)
		case f.Kind == Loads && p.Files:
			c.Code = append(c.Code, f.What)
		}
	}
	slices.Sort(c.Programs)
	slices.Sort(c.Code)
	s.Confine = c
}
