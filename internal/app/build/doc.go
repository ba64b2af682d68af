// Package build installs what a function's folder depends on, in a sandbox that reaches the
// registry and nothing else.
//
//	b, err := build.New(build.Options{Catalog: catalog, Driver: driver, Environ: os.Environ(), Clock: clock.System{}})
//	defer b.Close()
//	dir, err := b.Folder(ctx, "examples/tasks/create", "nodejs22.x")
//
// The folder is copied; npm or pip, the machine's own, runs on the copy inside the sandbox, and what
// came of it is handed out as an archive. Packages may run their scripts: they find no file of the
// machine, no credentials and no network. The one way out is a door that carries GET and HEAD to the
// registries of the user's own npm or pip configuration, and to the hosts where these say that their
// files are. Tokens are added outside, so that no script sees one, and nothing can be published.
//
// Inside, every registry is addressed as plain HTTP through that door; outside it is what it was.
package build

import (
	"context"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// Catalog finds interpreters; *runtimes.Catalog does.
type Catalog interface {
	Resolve(ctx context.Context, name string) (*runtimes.Runtime, error)
	Find(ctx context.Context) []runtimes.Found
}

// Options are what a Builder is made of.
type Options struct {
	Catalog  Catalog
	Driver   sandbox.Driver
	Resolver egress.Resolver
	Clock    clock.Clock
	Environ  []string              // the user's environment, which npm and pip are configured by
	Hosts    []string              // reached beside the registries, "host" or "host:port"
	Say      func(line string)     // what is going on; may be nil
	Opened   func(r egress.Record) // each connection, or its refusal; may be nil
}

// The limits of one installation.
const (
	limitTime    = 10 * time.Minute
	limitMemory  = 2 << 30   // bytes of the processes
	limitDisk    = 1 << 30   // bytes that they may write
	limitResult  = 512 << 20 // bytes of what comes out
	limitEntries = 200_000   // files of what comes out
	limitPage    = 64 << 20  // bytes of an index page or a package's description
	limitPackage = 512 << 20 // bytes of one package
)
