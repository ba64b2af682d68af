package runtimes

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
)

// Found is an interpreter on this machine.
type Found struct {
	Runtime string // the identifier that it serves, "python3.12"
	Version string // "3.12.1"
	Path    string // the program, links resolved
	Origin  string // "bastide", "PATH", "pyenv", "nvm", "npm", "system" or another version manager
	Library string // python's standard library; empty for node
}

// probeTime bounds how long a program may take to say its version.
const probeTime = 10 * time.Second

// place is a pattern of programs, and who put them there.
type place struct{ origin, pattern string }

// places are where interpreters of a kind may stand, best first.
func (c *Catalog) places(id Identifier) []place {
	home := c.env("HOME")
	or := func(variable, standard string) string { return cmp.Or(c.env(variable), filepath.Join(home, standard)) }
	out := []place{{"bastide", filepath.Join(c.dir, "interpreters", id.Name+"-*", "bin")}}
	if id.Family == bootstrap.Node {
		out = append(out,
			place{"nvm", or("NVM_DIR", ".nvm") + "/versions/node/v" + id.Version + ".*/bin"},
			place{"fnm", or("FNM_DIR", ".local/share/fnm") + "/node-versions/v" + id.Version + ".*/installation/bin"},
			place{"volta", or("VOLTA_HOME", ".volta") + "/tools/image/node/" + id.Version + ".*/bin"},
			place{"mise", or("MISE_DATA_DIR", ".local/share/mise") + "/installs/node/" + id.Version + ".*/bin"},
			place{"asdf", or("ASDF_DATA_DIR", ".asdf") + "/installs/nodejs/" + id.Version + ".*/bin"},
			place{"npm", "/usr/local/lib/node_modules/node-linux-*/bin"},
			place{"npm", "/usr/lib/node_modules/node-linux-*/bin"},
			place{"npm", filepath.Join(home, "node_modules/node-linux-*/bin")})
	} else {
		out = append(out,
			place{"pyenv", or("PYENV_ROOT", ".pyenv") + "/versions/" + id.Version + ".*/bin"},
			place{"uv", or("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python") + "/cpython-" + id.Version + ".*-linux-*/bin"},
			place{"mise", or("MISE_DATA_DIR", ".local/share/mise") + "/installs/python/" + id.Version + ".*/bin"},
			place{"asdf", or("ASDF_DATA_DIR", ".asdf") + "/installs/python/" + id.Version + ".*/bin"})
	}
	for _, dir := range filepath.SplitList(c.env("PATH")) {
		if filepath.IsAbs(dir) { // a relative entry depends on where somebody stands
			out = append(out, place{"PATH", escape(dir)})
		}
	}
	for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/opt/*/bin"} {
		out = append(out, place{"system", dir})
	}
	return out
}

// escape makes a folder's name match itself alone.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// candidates are the programs that may be the identifier's interpreter, without running any.
func (c *Catalog) candidates(id Identifier) []Found {
	var out []Found
	seen := map[string]bool{}
	for _, p := range c.places(id) {
		for _, name := range id.programs() {
			paths, err := filepath.Glob(filepath.Join(p.pattern, name))
			if err != nil {
				continue // a pattern made of a strange variable matches nothing
			}
			slices.SortFunc(paths, newestFirst)
			for _, path := range paths {
				real, err := filepath.EvalSymlinks(path)
				if err != nil || seen[real] || !isProgram(real) {
					continue // a dangling link, a known one, a script such as pyenv's shims
				}
				seen[real] = true
				out = append(out, Found{Runtime: id.Name, Path: real, Origin: p.origin})
			}
		}
	}
	return out
}

// newestFirst orders paths that differ in a version by number: 3.12.10 before 3.12.9.
func newestFirst(a, b string) int { return -compareVersions(a, b) }

func compareVersions(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	}
	as, bs := split(a), split(b)
	for i := range min(len(as), len(bs)) {
		x, xerr := strconv.Atoi(as[i])
		y, yerr := strconv.Atoi(bs[i])
		if xerr == nil && yerr == nil && x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(as), len(bs))
}

// isProgram tells whether a file is a program of this machine, not a script.
func isProgram(path string) bool {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return false
	}
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	return f.Close() == nil && (f.Type == elf.ET_EXEC || f.Type == elf.ET_DYN)
}

// Find lists the interpreters of this machine, each verified by running it, best first for each
// runtime.
func (c *Catalog) Find(ctx context.Context) []Found {
	var mu sync.Mutex
	var wg sync.WaitGroup
	lists := make([][]Found, len(identifiers))
	slots := make(chan struct{}, 4) // programs at a time
	for i, id := range identifiers {
		if id.Family == Custom {
			continue
		}
		found := c.candidates(id)
		lists[i] = make([]Found, len(found))
		for k, f := range found {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if v, err := c.verify(ctx, id, f); err == nil {
					mu.Lock()
					lists[i][k] = v
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	return slices.DeleteFunc(slices.Concat(lists...), func(f Found) bool { return f.Version == "" })
}

// best is the first candidate that is what it seems.
func (c *Catalog) best(ctx context.Context, id Identifier) (Found, error) {
	for _, f := range c.candidates(id) {
		v, err := c.verify(ctx, id, f)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return Found{}, ctx.Err()
		}
	}
	return Found{}, missing(id)
}

var errOtherVersion = errors.New("runtimes: another version")

// pythonProbe prints what python says of itself: a program's name proves nothing.
const pythonProbe = `import sys, os, json; print(json.dumps([sys.implementation.name, ".".join(map(str, sys.version_info[:3])), os.path.dirname(os.path.realpath(os.__file__))]))`

// verify runs a candidate and returns what it is.
func (c *Catalog) verify(ctx context.Context, id Identifier, f Found) (Found, error) {
	args := []string{"--version"}
	if id.Family == bootstrap.Python {
		args = []string{"-I", "-S", "-c", pythonProbe}
	}
	out, err := c.run(ctx, probeTime, f.Path, args...)
	if err != nil {
		return Found{}, err
	}
	f.Version = strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
	if id.Family == bootstrap.Python {
		var said [3]string
		if err := json.Unmarshal(out, &said); err != nil || said[0] != "cpython" {
			return Found{}, fmt.Errorf("runtimes: %s is no CPython", f.Path)
		}
		f.Version, f.Library = said[1], said[2]
	}
	if !id.matches(f.Version) {
		return Found{}, errOtherVersion
	}
	return f, nil
}

// run runs a program from a clean environment, for a bounded time and output.
func (c *Catalog) run(ctx context.Context, limit time.Duration, path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	out := &limited{max: 64 << 10}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("runtimes: %s: %w", path, err)
	}
	return out.Bytes(), nil
}

// limited keeps the first max bytes.
type limited struct {
	bytes.Buffer
	max int
}

func (l *limited) Write(b []byte) (int, error) {
	if room := l.max - l.Len(); room < len(b) {
		l.Buffer.Write(b[:max(0, room)])
		return len(b), nil
	}
	return l.Buffer.Write(b)
}
