package app

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/bastide-cloud/bastide/internal/app/build"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// builder makes what --build installs with, and gives what ends it; nothing where it is not asked for.
func (r *Remote) builder(d *Deployment) (stop func() error, err error) {
	if !d.Build {
		return func() error { return nil }, nil
	}
	driver, err := sandbox.New(sandbox.Config{Waive: d.Waive})
	if err != nil {
		return nil, fmt.Errorf("--build installs in a sandbox, which this machine does not give: %w", err)
	}
	said := map[string]bool{}
	d.builder, err = build.New(build.Options{Catalog: catalog(r.data), Driver: driver, Resolver: resolver{net.DefaultResolver}, Clock: clock.System{},
		Environ: os.Environ(), Hosts: d.BuildHosts, Say: func(line string) { r.Term.Progress("%s", plain(line)) },
		Opened: func(c egress.Record) {
			line := fmt.Sprintf("  build: connected to %s port %d (%s)", c.Host, c.Port, c.Address)
			if c.Refused != "" {
				line = fmt.Sprintf("  build: not connected to %s port %d: %s", c.Host, c.Port, c.Refused)
			}
			r.Term.once(said, line)
		}})
	if err != nil {
		return nil, errors.Join(err, driver.Close())
	}
	return func() error { return errors.Join(d.builder.Close(), driver.Close()) }, nil
}
