package runtimes

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
)

// Config is where runtimes are kept and looked for.
type Config struct {
	Dir string // of Bastide's own; made when first needed
	// Environ is the user's environment ("HOME=/home/me", …): where to search, and what the
	// registries' clients are started with.
	Environ []string
	// HTTP fetches from the npm registry when npm itself is not on the machine. Nil: it must be.
	HTTP  Doer
	Clock clock.Clock // the machine's, if nil
}

// Doer makes HTTP requests.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Catalog is what one data directory knows of runtimes. It is safe for concurrent use; one process
// owns the directory.
type Catalog struct {
	dir     string
	environ []string
	http    Doer
	tools   []string // programs that every image has, by name
	pins    fs.FS

	clock clock.Clock

	mu       sync.Mutex // the fields below
	locks    map[string]*sync.Mutex
	resolved map[string]resolved
}

// resolved is a runtime that was checked a moment ago.
type resolved struct {
	runtime *Runtime
	at      time.Time
}

// trusted is how long a resolved runtime is taken for current without looking at the machine again: a
// look costs as much as a sandbox.
const trusted = 10 * time.Second

// New makes a catalog. It touches nothing.
func New(c Config) *Catalog {
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	return &Catalog{dir: c.Dir, environ: c.Environ, http: c.HTTP, clock: c.Clock, tools: tools, pins: pins,
		locks: map[string]*sync.Mutex{}, resolved: map[string]resolved{}}
}

// folder is a folder of the catalog's own, which is its owner's alone: sandboxes get what is in it by
// mounts, and none walks there.
func (c *Catalog) folder(name string) (string, error) {
	place := filepath.Join(c.dir, name)
	if err := errors.Join(os.MkdirAll(place, 0o700), os.Chmod(c.dir, 0o700)); err != nil {
		return "", fmt.Errorf("runtimes: %w", err)
	}
	return place, nil
}

// env is a variable of the user's environment; of two with one name, the last, as everywhere.
func (c *Catalog) env(name string) string {
	for i := len(c.environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(c.environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// lock keeps two from laying or installing the same thing at once.
func (c *Catalog) lock(name string) func() {
	c.mu.Lock()
	l := c.locks[name]
	if l == nil {
		l = &sync.Mutex{}
		c.locks[name] = l
	}
	c.mu.Unlock()
	l.Lock()
	return l.Unlock
}

// MissingError is a runtime that this machine does not have, or has without the SDK that Lambda
// supplies with it, and what to do about it.
type MissingError struct {
	Runtime string
	Hint    string // commands to run, one a line
	SDK     bool   // the interpreter is there, its SDK is not
}

func (e *MissingError) Error() string {
	if e.SDK {
		return fmt.Sprintf("runtimes: %s has no AWS SDK on this machine, which functions on Lambda find there. To get it, run\n  %s\n"+
			"or, where no registry can be reached and functions do without it, the same with --without-sdk", e.Runtime, e.Hint)
	}
	return fmt.Sprintf("runtimes: %s is not on this machine. To get it, run\n  %s", e.Runtime, strings.ReplaceAll(e.Hint, "\n", "\n  "))
}

// IsMissing reports whether err says that a runtime is not on this machine.
func IsMissing(err error) bool {
	_, ok := errors.AsType[*MissingError](err)
	return ok
}

// missing says how the user can get a runtime. No registry that Bastide may use ships CPython, so
// that a python comes from the system's packages or from a version manager.
func missing(id Identifier) error {
	if id.Family == bootstrap.Node {
		return &MissingError{Runtime: id.Name, Hint: "bastide runtimes install " + id.Name}
	}
	return &MissingError{Runtime: id.Name, Hint: strings.Join([]string{
		"apt-get install python" + id.Version + "     (where the distribution has it)",
		"uv python install " + id.Version,
		"pyenv install " + id.Version}, "\nor ")}
}
