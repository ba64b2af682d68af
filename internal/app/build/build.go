package build

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/app/pack"
	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// Builder installs dependencies. It keeps what it has built, so that a folder that has not changed is
// not built again. It is not safe for concurrent use.
type Builder struct {
	Options
	dir  string
	made map[string]string // digest of folder and runtime → result
}

// New makes a Builder.
func New(o Options) (*Builder, error) {
	dir, err := os.MkdirTemp("", "bastide-build-")
	if err != nil {
		return nil, err
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	return &Builder{Options: o, dir: dir, made: map[string]string{}}, nil
}

// Close removes everything that was built.
func (b *Builder) Close() error { return os.RemoveAll(b.dir) }

// installer is how one kind of runtime installs.
type installer struct {
	words    string // for messages: "npm ci"
	command  string // for the shell, in the copy of the folder
	binds    []sandbox.Bind
	files    map[string]sandbox.File
	env      []string
	registry []source
	locks    []string // files that name URLs of the registries
	faults   []string // beginnings of the lines that tell what went wrong
}

// Folder gives a folder that has everything that the manifest of the given one names. One without a
// manifest, or that sam build has been over, is given back as it is.
func (b *Builder) Folder(ctx context.Context, folder, runtime string) (string, error) {
	manifests := manifestsOf(runtime)
	named := slices.ContainsFunc(manifests, func(m string) bool {
		_, err := os.Stat(filepath.Join(folder, m))
		return err == nil
	})
	if !named || strings.Contains(filepath.ToSlash(folder), "/.aws-sam/build/") {
		return folder, nil
	}
	work, err := os.MkdirTemp(b.dir, "folder-")
	if err != nil {
		return "", err
	}
	source, result := filepath.Join(work, "source"), filepath.Join(work, "result")
	if err := pack.Copy(folder, source, func(name string) bool { return name == "node_modules" || name == ".npmrc" }); err != nil {
		return "", err
	}
	key, err := digest(source, runtime)
	if err != nil {
		return "", err
	}
	if have := b.made[key]; have != "" {
		return have, os.RemoveAll(work)
	}
	if err := b.install(ctx, folder, source, result, runtime); err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w", folder, err), os.RemoveAll(work))
	}
	b.made[key] = result
	return result, os.RemoveAll(source)
}

func manifestsOf(runtime string) []string {
	switch {
	case strings.HasPrefix(runtime, "nodejs"):
		return []string{"package.json"}
	case strings.HasPrefix(runtime, "python"):
		return []string{"requirements.txt"}
	}
	return nil
}

// digest is of everything in a folder, and of what it is built for.
func digest(dir, runtime string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", runtime)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %d\n", rel, info.Size())
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(h, f)
		return errors.Join(err, f.Close())
	})
	return string(h.Sum(nil)), err
}

// install runs the installer of a runtime over source and puts what comes of it at result.
func (b *Builder) install(ctx context.Context, folder, source, result, runtime string) error {
	ctx, cancel := context.WithTimeout(ctx, limitTime)
	defer cancel()
	rt, err := b.Catalog.Resolve(ctx, runtime)
	if err != nil {
		return err
	}
	var in installer
	if strings.HasPrefix(runtime, "nodejs") {
		in, err = b.npm(ctx, folder)
	} else {
		in, err = b.pip(ctx, rt)
	}
	if err != nil {
		return err
	}
	door, err := b.door(in.registry)
	if err != nil {
		return err
	}
	restore, err := door.redirect(source, in.locks)
	if err != nil {
		return err
	}
	b.Say(in.words + " in a sandbox that reaches " + door.reaches() + ": " + folder)
	if err := b.run(ctx, in, rt, door, source, result); err != nil {
		return err
	}
	return restore(result)
}

// redirect makes lock files name the registries as they are inside; restore gives the result the files
// as they were.
func (d *door) redirect(source string, locks []string) (restore func(result string) error, err error) {
	were := map[string][]byte{}
	for _, name := range locks {
		body, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return nil, err
		}
		were[name] = body
		if err := os.WriteFile(filepath.Join(source, name), d.plain(bytes.Clone(body)), 0o644); err != nil {
			return nil, err
		}
	}
	return func(result string) error {
		for name, body := range were {
			file := filepath.Join(result, name)
			if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, body, 0o644)); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

const proxy = "127.0.0.1:3128"

// spec is the sandbox that an installer runs in.
func (in installer) spec(rt *runtimes.Runtime, source string) sandbox.Spec {
	root := rt.Root
	root.Binds = append(slices.Clone(root.Binds), in.binds...)
	root.Files = map[string]sandbox.File{
		"/etc/hosts": {Content: "127.0.0.1 localhost\n"}, "/etc/nsswitch.conf": {Content: "passwd: files\ngroup: files\nhosts: files\n"},
		"/etc/passwd": {Content: "root:x:0:0:root:/:/sbin/nologin\nbuild:x:993:990::/tmp:/sbin/nologin\n"}, "/etc/group": {Content: "root:x:0:\nbuild:x:990:\n"},
	}
	for at, f := range in.files {
		root.Files[at] = f
	}
	env := []string{"HOME=/tmp/home", "TMPDIR=/tmp", "PATH=/var/lang/bin:/usr/bin:/bin", "LANG=C.UTF-8", "CI=true",
		"LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64", "http_proxy=http://" + proxy, "https_proxy=http://" + proxy}
	const script = "mkdir -p /tmp/home /tmp/build && cp -R /var/task/. /tmp/build && cd /tmp/build && { %s; } >&2 && exec tar -cf - ."
	return sandbox.Spec{ID: "build-" + strings.ToLower(rand.Text()[:12]), Argv: []string{"/bin/sh", "-c", fmt.Sprintf(script, in.command)},
		Env: append(env, in.env...), Root: root, Code: source, Dir: "/tmp", MemoryBytes: limitMemory, TmpBytes: limitDisk, Pids: 512, NoFile: 8192, Hostname: "build",
		Doors: []sandbox.DoorSpec{{Name: "registry", Network: "tcp", Address: proxy}}}
}

func (b *Builder) run(ctx context.Context, in installer, rt *runtimes.Runtime, door *door, source, result string) error {
	spec := in.spec(rt, source)
	said := &lines{say: b.Say, faults: in.faults}
	archive, out := io.Pipe()
	spec.Stdout, spec.Stderr = out, said
	box, err := b.Driver.Start(ctx, spec)
	if err != nil {
		return fmt.Errorf("no sandbox to build in (bastide doctor says what this machine lacks; or run %s yourself): %w", in.words, err)
	}
	defer door.serve(box.Doors()["registry"].Listener)()
	unpacked := make(chan error, 1)
	go func() {
		err := unpack(archive, result)
		if err == nil {
			_, err = io.Copy(io.Discard, archive) // tar fills its last block
		}
		unpacked <- errors.Join(err, archive.CloseWithError(err))
	}()
	var exit sandbox.Exit
	select {
	case exit = <-box.Wait():
	case <-ctx.Done():
		why := fmt.Errorf("%s was interrupted: %w", in.words, context.Cause(ctx))
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			why = fmt.Errorf("%s did not end within %v", in.words, limitTime)
		}
		err = errors.Join(why, box.Kill())
	}
	err = errors.Join(err, out.Close())
	fault := <-unpacked
	switch {
	case err != nil:
		return err
	case exit.OOMKilled:
		return fmt.Errorf("%s needs more than the %d MB of memory that a build has", in.words, limitMemory>>20)
	case exit.Err != nil:
		return exit.Err
	case exit.Code != 0:
		return fmt.Errorf("%s failed:\n%s%s", in.words, said.failure(), door.missed())
	}
	return fault
}

// lines passes on what an installer says, line by line, and keeps the end of it.
type lines struct {
	say    func(string)
	faults []string
	part   []byte
	last   []string
}

const (
	maxLine = 4096
	maxLast = 40
)

func (l *lines) Write(p []byte) (int, error) {
	for _, c := range p {
		if c != '\n' {
			if len(l.part) < maxLine {
				l.part = append(l.part, c)
			}
			continue
		}
		l.line(string(l.part))
		l.part = l.part[:0]
	}
	return len(p), nil
}

func (l *lines) line(s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	l.say("  " + s)
	if l.last = append(l.last, s); len(l.last) > maxLast {
		l.last = l.last[1:]
	}
}

// failure is what tells the reason: the lines marked as errors, or the last ones.
func (l *lines) failure() string {
	l.line(string(l.part))
	var marked []string
	for _, s := range l.last {
		if slices.ContainsFunc(l.faults, func(f string) bool { return strings.HasPrefix(s, f) }) {
			marked = append(marked, "  "+s)
		}
	}
	if len(marked) == 0 {
		for _, s := range l.last[max(0, len(l.last)-10):] {
			marked = append(marked, "  "+s)
		}
	}
	return strings.Join(marked, "\n")
}

var _ io.Writer = (*lines)(nil)
