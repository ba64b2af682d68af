package sandbox

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// What drivers outside this package share with the one in it.

// Prepared is s with defaults filled in. The error is a *StartError when s cannot be meant.
func (s Spec) Prepared() (Spec, error) {
	s = s.withDefaults()
	if err := s.check(); err != nil {
		return s, &StartError{ID: s.ID, Stage: "check the specification", Err: err}
	}
	return s, nil
}

// Prepared is p with the working directory that others have, where it has none.
func (p Process) Prepared(dir string) (Process, error) {
	if p.Dir == "" {
		p.Dir = dir
	}
	if len(p.Argv) == 0 || !path.IsAbs(p.Argv[0]) || !path.IsAbs(p.Dir) {
		return p, errors.New("sandbox: the program and its working directory must be absolute paths")
	}
	if err := checkArguments(p.Argv, p.Env); err != nil {
		return p, fmt.Errorf("sandbox: %w", err)
	}
	return p, nil
}

// Unconfined refuses what only a driver can give that looks at the host kernel's system calls. The
// error is a *StartError.
func (s Spec) Unconfined(driver string) error {
	switch {
	case s.Confine != nil:
		return &StartError{ID: s.ID, Stage: "confine the processes, which the driver " + driver + " cannot", Err: errors.ErrUnsupported}
	case s.Monitor != nil:
		return &StartError{ID: s.ID, Stage: "monitor the processes, which the driver " + driver + " cannot", Err: errors.ErrUnsupported}
	}
	return nil
}

// Wire are doors in the init's words, and the specifications that they are for: without the watch,
// for drivers whose sandboxes have no such sight.
func Wire(specs []DoorSpec, late bool) ([]DoorSpec, []control.Door, error) {
	specs = slices.DeleteFunc(slices.Clone(specs), func(d DoorSpec) bool { return d.Network == watchNetwork })
	doors, err := doorsOf(specs, late)
	return specs, doors, err
}

// Received is s as d changes it. The error is a *StartError when d cannot be meant.
func (s Spec) Received(d Delivery) (Spec, error) {
	fail := func(err error) (Spec, error) {
		return s, &StartError{ID: s.ID, Stage: "check the delivery", Err: err}
	}
	n := s
	n.Doors = append(slices.Clone(s.Doors), openable(d.Doors)...)
	n.TmpBytes, n.MemoryBytes = either(d.TmpBytes, s.TmpBytes), either(d.MemoryBytes, s.MemoryBytes)
	n.Pids, n.CPU = either(d.Pids, s.Pids), either(d.CPU, s.CPU)
	switch {
	case d.Code == "":
		return fail(errors.New("it has no code"))
	case (len(d.Argv) == 0) == (len(s.Argv) == 0):
		return fail(errors.New("one of the specification and the delivery names the program"))
	case n.Pids > s.Pids:
		return fail(fmt.Errorf("%d processes are more than %d, which the sandbox was made for", n.Pids, s.Pids))
	}
	if len(d.Argv) > 0 {
		n.Argv, n.Env, n.Dir = d.Argv, d.Env, either(d.Dir, s.Dir)
	}
	if err := n.check(); err != nil {
		return fail(err)
	}
	return n, nil
}
