package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/image"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// Image is the container image of a function that has one in place of a runtime, code and layers. Its
// program is a client of the HTTP Runtime API.
type Image struct {
	Dir    string       // host folder that image.Unpack has filled
	Launch image.Launch // the image's own, and what the function's configuration sets instead
}

// standardPath is where programs are looked for when an image has no PATH.
const standardPath = "/usr/local/bin:/usr/bin/:/bin:/opt/bin"

// runtime is what starts a function.
func (f *Fleet) runtime(ctx context.Context, fn *Function) (*runtimes.Runtime, error) {
	if fn.Image != nil {
		return &runtimes.Runtime{Identifier: runtimes.Identifier{Family: runtimes.Custom}}, nil
	}
	return f.deps.Runtimes.Resolve(ctx, fn.Runtime)
}

// etcFiles writes the files that are laid over an image's own. They are the same for all functions:
// who asks the resolver is told apart by its door.
func (f *Fleet) etcFiles(dir string) error {
	f.etc = filepath.Join(dir, "etc")
	if err := os.MkdirAll(f.etc, 0o700); err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	for name, body := range map[string]string{"hosts": hostsFile, "resolver": resolverFile} {
		file := filepath.Join(f.etc, name)
		if err := errors.Join(os.WriteFile(file, []byte(body), 0o644), os.Chmod(file, 0o644)); err != nil {
			return fmt.Errorf("fleet: %w", err)
		}
	}
	return nil
}

// imageSpec gives a sandbox the image of its function as its root and program. Error: *entryError.
func (f *Fleet) imageSpec(s *sandbox.Spec, fn *Function) error {
	tree, err := image.OpenTree(fn.Image.Dir)
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	s.Root = sandbox.RootFS{Tree: tree.Root}
	for what, source := range map[string]string{"hosts": filepath.Join(f.etc, "hosts"), "resolver": filepath.Join(f.etc, "resolver"), "roots": f.bundle} {
		for _, at := range tree.Places[what] {
			s.Root.Binds = append(s.Root.Binds, sandbox.Bind{Source: source, Target: at})
		}
	}
	l := fn.Image.Launch
	if s.Dir = l.Dir; s.Dir == "" {
		s.Dir = "/"
	}
	command := append(append([]string{}, l.Entrypoint...), l.Cmd...)
	switch {
	case len(command) == 0:
		return fn.Image.fault("Runtime.InvalidEntrypoint", "the image has neither an entry point nor a command")
	case !strings.HasPrefix(s.Dir, "/"):
		return fn.Image.fault("Runtime.InvalidWorkingDir", "the working directory '"+s.Dir+"' is invalid, it needs to be an absolute path")
	}
	if err := tree.Folder(s.Dir); err != nil {
		return fn.Image.notFound("Runtime.InvalidWorkingDir", err)
	}
	if command[0], err = tree.Program(command[0], s.Dir, fn.searchPath()); err != nil {
		return fn.Image.notFound("Runtime.InvalidEntrypoint", err)
	}
	s.Argv = command
	return nil
}

func (i *Image) notFound(kind string, err error) error {
	if e, ok := errors.AsType[*image.NotFoundError](err); ok {
		return i.fault(kind, e.Text)
	}
	return err
}

// fault is an image's program that cannot be started, in Lambda's words.
func (i *Image) fault(kind, words string) error {
	return &entryError{words: words, kind: kind, log: fmt.Sprintf("IMAGE\tLaunch error: %s\tEntrypoint: [%s]\tCmd: [%s]\tWorkingDir: [%s]", words,
		strings.Join(i.Launch.Entrypoint, ","), strings.Join(i.Launch.Cmd, ","), i.Launch.Dir)}
}

// notExecuted makes the owner's error of a program that the kernel refuses to execute, such as one for
// another processor.
func (fn *Function) notExecuted(err error, program string) error {
	e, ok := errors.AsType[*sandbox.StartError](err)
	if !ok || fn.Image == nil || e.Stage != "execute "+program {
		return err
	}
	errno, ok := errors.AsType[syscall.Errno](e.Err)
	if !ok {
		return err
	}
	return fn.Image.fault("Runtime.InvalidEntrypoint", "fork/exec "+program+": "+errno.Error())
}

// notLaunched answers for an image whose program cannot be started.
func (i *instance) notLaunched(ev Event, e *entryError) Outcome {
	i.report.start(ev)
	i.report.journal.line(e.log)
	i.report.end(ev, measures{status: "error", errorType: e.kind})
	r := runtimeapi.Failure(e.kind, "RequestId: "+ev.RequestID+" Error: "+e.words)
	return Outcome{Payload: r.Payload, FunctionError: "Unhandled", LogTail: i.report.journal.end(), Cold: true}
}

// baseline is the environment that a function's own variables come over: its runtime's or its image's.
func (f *Function) baseline(rt *runtimes.Runtime) [][2]string {
	if f.Image == nil {
		return rt.Environ()
	}
	// LAMBDA_TASK_ROOT and LAMBDA_RUNTIME_DIR are where AWS's images have code and runtime. Without the
	// option node trusts no roots but those that it was built with.
	env := [][2]string{{"PATH", standardPath}, {"TZ", ":UTC"}, {"LANG", "en_US.UTF-8"}, {"LAMBDA_TASK_ROOT", runtimes.TaskRoot},
		{"LAMBDA_RUNTIME_DIR", runtimes.RuntimeDir}, {"NODE_OPTIONS", "--use-openssl-ca"}}
	for _, kv := range f.Image.Launch.Env {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			env = append(env, [2]string{k, v})
		}
	}
	return env
}

// searchPath is where an image's programs are looked for.
func (f *Function) searchPath() string {
	path := f.Env["PATH"]
	for _, kv := range f.baseline(nil) {
		if kv[0] == "PATH" && f.Env["PATH"] == "" {
			path = kv[1] // the last one counts
		}
	}
	return path
}

// ofImages tells whether an image, rather than Lambda, sets a variable. _HANDLER is none: Lambda makes it
// empty, whatever the image says. Source: issue 56 of aws-lambda-ruby-runtime-interface-client.
func ofImages(name string) bool {
	return name == "LAMBDA_TASK_ROOT" || name == "LAMBDA_RUNTIME_DIR"
}
