package app

import (
	"context"
	"path/filepath"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/drivers"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
)

// driverName is the driver that functions run under.
func (c Config) driverName() string {
	if c.Driver == "" {
		return drivers.Namespace
	}
	return c.Driver
}

// isolates tells whether anything keeps functions from the host and from one another.
func (c Config) isolates() bool { return c.driverName() != drivers.Process }

// marks are what every record says of how the server runs.
func (c Config) marks() []string {
	if c.isolates() {
		return nil
	}
	return []string{"bastideNoIsolation"}
}

// pool is how many sandboxes are kept ready; those of a driver without roots of their own cannot be made
// before their code is known.
func (c Config) pool() int {
	if !c.isolates() {
		return 0
	}
	return c.Pool
}

// waived are the layers that are done without, by name.
func (c Config) waived() []string {
	if c.isolates() {
		return c.Waive
	}
	return append([]string{"isolation"}, c.Waive...)
}

// driver isolates functions. One that was named must be there; where none was, and this machine has no
// namespaces, each start says why.
func (s *Server) driver(data string) (drivers.Driver, error) {
	d, err := drivers.Open(drivers.Config{Name: s.cfg.Driver, Waive: s.cfg.Waive, Runsc: s.cfg.Runsc, Dir: filepath.Join(data, "sandboxes")})
	switch {
	case err != nil && s.cfg.Driver != "":
		return nil, err
	case err != nil:
		s.log.Warn("functions cannot run on this machine", "error", err)
		return noDriver{err}, nil
	case !s.cfg.isolates():
		s.log.Warn("no isolation: functions run as this user's processes, on the host's files and network, because --driver process asks for it")
	}
	return d, nil
}

type noDriver struct{ err error }

func (d noDriver) Start(context.Context, sandbox.Spec) (sandbox.Instance, error) { return nil, d.err }

func (d noDriver) Name() string { return "none" }

func (d noDriver) Close() error { return nil }

// isolationOf is what a driver is called and does not hold.
func isolationOf(d drivers.Driver) lambda.Isolation {
	i := lambda.Isolation{Driver: d.Name()}
	if l, ok := d.(sandbox.Limited); ok {
		i.Lacks = l.Lacks()
	}
	return i
}
