package runtimes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
)

// Where a function finds things, as on Lambda.
const (
	TaskRoot   = "/var/task"
	RuntimeDir = "/var/runtime"
	sdkTarget  = "/var/sdk" // /var/runtime/node_modules and python's site-packages lead here
)

// Runtime is a runtime that this machine can start functions on.
type Runtime struct {
	Identifier
	Full   string // the interpreter's full version; empty for Custom
	Origin string // who put the interpreter on the machine
	Root   sandbox.RootFS
	SDK    SDK
}

// Resolve makes a runtime ready to start. It returns *MissingError when the machine does not have
// it. The first time takes some hundreds of milliseconds, later ones nothing. What it returns is
// shared: nobody may change it.
func (c *Catalog) Resolve(ctx context.Context, name string) (*Runtime, error) {
	c.mu.Lock()
	known := c.resolved[name]
	c.mu.Unlock()
	if known.runtime != nil && c.clock.Now().Before(known.at.Add(trusted)) {
		return known.runtime, nil
	}
	r, err := c.resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.resolved[name] = resolved{r, c.clock.Now()}
	c.mu.Unlock()
	return r, nil
}

func (c *Catalog) resolve(ctx context.Context, name string) (*Runtime, error) {
	id, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	m, err := c.image(ctx, id)
	if err != nil {
		return nil, err
	}
	r := &Runtime{Identifier: id, Full: m.Found.Version, Origin: m.Found.Origin}
	if r.SDK, err = c.sdk(ctx, id, m.Found); err != nil {
		return nil, err
	}
	r.Root, err = rootFS(filepath.Join(c.dir, "images", m.Folder), r)
	return r, err
}

// rootFS is how the image appears inside.
func rootFS(folder string, r *Runtime) (sandbox.RootFS, error) {
	abs, err := filepath.Abs(folder)
	if err != nil {
		return sandbox.RootFS{}, fmt.Errorf("runtimes: %w", err)
	}
	root := sandbox.RootFS{Links: map[string]string{}}
	for _, dir := range []string{"usr", "var/lang", "var/runtime"} {
		if _, err := os.Stat(filepath.Join(abs, dir)); err == nil {
			root.Binds = append(root.Binds, sandbox.Bind{Source: filepath.Join(abs, dir), Target: "/" + dir})
		}
	}
	for _, dir := range []string{"bin", "lib", "lib64"} {
		if _, err := os.Stat(filepath.Join(abs, "usr", dir)); err == nil {
			root.Links["/"+dir] = "usr/" + dir
		}
	}
	if r.SDK.Dir != "" {
		root.Binds = append(root.Binds, sandbox.Bind{Source: r.SDK.Dir, Target: sdkTarget})
	}
	if r.Family == bootstrap.Node {
		// An import in an ECMAScript module does not look at NODE_PATH, but at node_modules in the
		// folders above /var/task.
		root.Links["/var/node_modules"] = "/opt/nodejs/node_modules"
		root.Links["/node_modules"] = RuntimeDir + "/node_modules"
	}
	return root, nil
}

// Channel tells whether the runtime takes its events from a framed stream; otherwise it is a client
// of the HTTP Runtime API.
func (r *Runtime) Channel() bool { return r.Family != Custom }

// Launch is what of a function decides how its runtime starts.
type Launch struct {
	MemoryMB int
	Env      map[string]string // the function's own variables
	// Bootstrap is the program of a custom runtime, as BootstrapIn finds it.
	Bootstrap string
}

// wrapped executes the function's wrapper script with the interpreter's command line as arguments
// ("Modifying the runtime environment", Wrapper scripts; for Lambda's own runtimes only), with a shell's
// exit codes for one that is not there, or not executable.
const wrapped = `[ -f "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: does not exist"; exit 127; }
[ -x "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: is not an executable"; exit 126; }
exec "$AWS_LAMBDA_EXEC_WRAPPER" "$@"`

// Argv is the command that starts the runtime inside.
func (r *Runtime) Argv(l Launch) []string {
	var argv []string
	switch r.Family {
	case bootstrap.Node:
		argv = append([]string{"/var/lang/bin/node"}, r.nodeOptions(l.MemoryMB)...)
	case bootstrap.Python:
		argv = []string{"/var/lang/bin/python" + r.Version}
		// Without site, a start is 3 ms shorter. Whoever sets these may rely on sitecustomize.
		if l.Env["PYTHONPATH"] == "" && l.Env["AWS_LAMBDA_EXEC_WRAPPER"] == "" {
			argv = append(argv, "-S")
		}
	default:
		argv = []string{l.Bootstrap}
	}
	if r.Family != Custom {
		argv = append(argv, RuntimeDir+"/"+r.Family.Entry())
		if l.Env["AWS_LAMBDA_EXEC_WRAPPER"] != "" {
			argv = append([]string{"/bin/sh", "-c", wrapped, "bootstrap"}, argv...)
		}
	}
	return argv
}

// nodeOptions bound the heap by the function's memory, as Lambda's start script does, and turn off
// what Lambda's node leaves out until it is stable.
func (r *Runtime) nodeOptions(memoryMB int) []string {
	opts := []string{"--use-openssl-ca", "--max-http-header-size=81920"}
	if memoryMB > 0 {
		opts = append(opts, "--max-old-space-size="+strconv.Itoa(max(1, memoryMB*9/10)),
			"--max-semi-space-size="+strconv.Itoa(max(1, memoryMB*5/100)))
	}
	if r.Version == "22" || r.Version == "20" && compareVersions(r.Full, "20.19.0") >= 0 {
		opts = append(opts, "--no-experimental-require-module", "--no-experimental-detect-module")
	}
	return opts
}

// Environ are the variables that the runtime itself sets, as name and value ("Defined runtime
// environment variables" of the Lambda developer guide). A function's own come after them, where
// Lambda lets it set them.
func (r *Runtime) Environ() [][2]string {
	env := [][2]string{
		{"LAMBDA_TASK_ROOT", TaskRoot},
		{"LAMBDA_RUNTIME_DIR", RuntimeDir},
		{"LANG", "en_US.UTF-8"},
		{"TZ", ":UTC"},
		{"PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"},
		{"LD_LIBRARY_PATH", "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"},
	}
	switch r.Family {
	case bootstrap.Node:
		env = append(env, [2]string{"NODE_PATH", "/opt/nodejs/node" + r.Version + "/node_modules:/opt/nodejs/node_modules:" +
			"/var/runtime/node_modules:/var/runtime:/var/task"})
	case bootstrap.Python:
		env = append(env, [2]string{"PYTHONPATH", RuntimeDir})
	default:
		return env
	}
	return append(env, [2]string{"AWS_EXECUTION_ENV", "AWS_Lambda_" + r.Name})
}

// BootstrapIn finds the program of a custom runtime among a function's code and its merged layers,
// given as host folders; the first that has one wins. Its path is as the function sees it.
func BootstrapIn(code string, layers []string) (string, error) {
	if st, err := os.Stat(filepath.Join(code, "bootstrap")); err == nil && st.Mode().IsRegular() {
		return TaskRoot + "/bootstrap", nil
	}
	for _, l := range layers {
		if st, err := os.Stat(filepath.Join(l, "bootstrap")); err == nil && st.Mode().IsRegular() {
			return "/opt/bootstrap", nil
		}
	}
	return "", fmt.Errorf("couldn't find valid bootstrap(s): [%s]", strings.Join([]string{TaskRoot + "/bootstrap", "/opt/bootstrap"}, " "))
}
