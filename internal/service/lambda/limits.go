package lambda

import (
	"slices"

	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Isolation is the driver that functions run under, and what it does not hold.
type Isolation struct {
	Driver string
	Lacks  []sandbox.Setting
}

// refuse refuses a setting that the driver does not hold, by name.
func (i Isolation) refuse(what sandbox.Setting) error {
	if slices.Contains(i.Lacks, what) {
		return notBuilt("A function with %s, under the sandbox driver %s,", what, i.Driver)
	}
	return nil
}

// check refuses what tags and wishes ask for and the driver does not hold: when it is set, not when the
// function runs.
func (i Isolation) check(tags map[string]string, w wishes) error {
	out, err := ways(tags)
	if err != nil {
		return err
	}
	mode, err := profileMode(tags)
	if err != nil {
		return err
	}
	six := slices.ContainsFunc(out, func(w way.Way) bool { return w.Net.IsValid() && w.Net.Addr().Is6() })
	for _, p := range []struct {
		asked bool
		what  sandbox.Setting
	}{
		{mode != "", sandbox.Profiled}, {len(out) > 0 || w.Network != nil && len(w.Network.Groups) > 0, sandbox.WaysOut}, {six, sandbox.IPv6Ways},
		{wire.Val(w.Package) == packageImage, sandbox.Images}, {w.Tmp != nil && w.Tmp.Size != defaultTmp, sandbox.TmpBound},
	} {
		if err := i.refuse(p.what); p.asked && err != nil {
			return err
		}
	}
	return nil
}

// unheld words that a function that was set up under another driver cannot run under this one.
func (i Isolation) unheld(f *fleet.Function) error {
	for _, p := range []struct {
		asked bool
		what  sandbox.Setting
	}{{f.Profile != nil, sandbox.Profiled}, {f.Image != nil, sandbox.Images}} {
		if err := i.refuse(p.what); p.asked && err != nil {
			return err
		}
	}
	return notBuilt("What the function asks for, under the sandbox driver %s,", i.Driver)
}
