// Package drivers knows the ways to isolate by their names: "namespace", which is chosen where none is
// named, "gvisor", and "process", which isolates nothing and is only taken by its name.
package drivers

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/gvisor"
	"github.com/bastide-cloud/bastide/internal/sandbox/process"
)

// The names of drivers.
const (
	Namespace = "namespace"
	GVisor    = "gvisor"
	Process   = "process"
)

// Driver is a sandbox.Driver that is closed at the end.
type Driver interface {
	sandbox.Driver
	Close() error
}

// Config chooses a driver.
type Config struct {
	Name     string   // empty: Namespace
	Waive    []string // of Namespace
	Runsc    string   // of GVisor, as are the next two; as in gvisor.Config
	Platform string
	Ready    int
	Dir      string // a directory for what drivers lay out; empty: temporary ones
	Init     []byte // as in sandbox.Config
}

// Check refuses a name that is none.
func Check(name string) error {
	switch name {
	case "", Namespace, GVisor, Process:
		return nil
	}
	return fmt.Errorf("--driver %q is none of %s, %s, %s", name, Namespace, GVisor, Process)
}

// Open prepares the driver that c names.
func Open(c Config) (Driver, error) {
	dir := func(name string) string {
		if c.Dir == "" {
			return ""
		}
		return filepath.Join(c.Dir, name)
	}
	switch c.Name {
	case "", Namespace:
		return sandbox.New(sandbox.Config{Waive: c.Waive, Init: c.Init})
	case GVisor:
		return gvisor.New(gvisor.Config{Runsc: c.Runsc, Platform: c.Platform, Ready: c.Ready, Dir: dir(GVisor), Init: c.Init})
	case Process:
		return process.New(process.Config{Named: true, Dir: dir(Process), Init: c.Init})
	}
	return nil, Check(c.Name)
}

// patience bounds a trial.
const patience = 20 * time.Second

// Doctor tells which drivers beside Namespace this machine could use, having tried them. One that it
// cannot is no fault of the machine's.
func Doctor(ctx context.Context, c Config) []sandbox.Layer {
	return []sandbox.Layer{
		tryGVisor(ctx, c),
		{Name: "process", State: sandbox.Absent, Detail: "isolates nothing; only taken by its name, --driver process"},
	}
}

// tryGVisor starts a sandbox.
func tryGVisor(ctx context.Context, c Config) sandbox.Layer {
	l := sandbox.Layer{Name: "gvisor", State: sandbox.Absent}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	version, err := gvisor.Version(ctx, c.Runsc)
	if err != nil {
		l.Detail, l.Fix = err.Error(), "apt-get install runsc, or see https://gvisor.dev/docs/user_guide/install/; then bastide serve --driver gvisor"
		return l
	}
	c.Name, c.Ready = GVisor, -1
	d, err := Open(c)
	if err != nil {
		l.Detail = version + ": " + err.Error()
		return l
	}
	if err := probe(ctx, d, c.Init); err != nil {
		l.Detail = version + ": " + err.Error()
	} else {
		l.State, l.Detail = sandbox.Full, version+" works; --driver gvisor takes it"
	}
	if err := d.Close(); err != nil {
		l.Detail += "; " + err.Error()
	}
	return l
}

// probe runs the init's trial in a sandbox.
func probe(ctx context.Context, d Driver, program []byte) error {
	program, err := sandbox.InitProgram(program)
	if err != nil {
		return err
	}
	i, err := d.Start(ctx, sandbox.Spec{ID: "doctor", Argv: []string{"/probe", "probe"}, Dir: "/",
		Root: sandbox.RootFS{Files: map[string]sandbox.File{"/probe": {Content: string(program), Mode: 0o755}}}})
	if err != nil {
		return err
	}
	select {
	case e := <-i.Wait():
		// 8: gVisor's /proc shows the agent, which is no secret in a kernel of the function's own
		if e.Err != nil || e.Code < 0 || e.Code&^8 != 0 {
			return fmt.Errorf("the trial inside ended with %+v", e)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the trial inside does not end: %w", i.Kill())
	}
}
