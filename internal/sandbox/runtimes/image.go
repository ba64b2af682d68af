package runtimes

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
)

// layout changes whenever images are laid differently, so that older ones are laid anew.
const layout = 1

// tools are programs that Lambda's own images have and that scripts and subprocess calls expect.
// Those that the machine lacks are left out.
var tools = []string{
	"sh", "bash", "env", "cat", "cp", "mv", "rm", "ln", "ls", "mkdir", "rmdir", "mktemp", "touch", "chmod", "stat",
	"pwd", "echo", "printf", "true", "false", "test", "[", "expr", "sleep", "date", "uname", "id", "whoami", "nproc",
	"head", "tail", "sort", "uniq", "wc", "cut", "tr", "tee", "paste", "seq", "basename", "dirname", "realpath",
	"readlink", "base64", "md5sum", "sha1sum", "sha256sum", "od", "du", "df", "timeout", "nohup", "kill",
	"grep", "egrep", "fgrep", "sed", "awk", "find", "xargs", "tar", "gzip", "gunzip", "ps",
}

// webTool is what scripts for a custom runtime speak the Runtime API with.
const webTool = "curl"

// stock are libraries that compiled packages expect of any Linux, beyond what the interpreter itself
// needs (PEP 600, the policy of manylinux_2_17), and those that the C library loads by name.
var stock = []string{
	"libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1", "libresolv.so.2",
	"libnsl.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1", "libexpat.so.1", "libatomic.so.1",
	"libnss_files.so.2", "libnss_dns.so.2", "libanl.so.1",
}

// manifest is what was laid for an identifier, and from what.
type manifest struct {
	Layout    int
	Found     Found
	Bootstrap string           // digest of the program
	Folder    string           // below images/
	Sources   map[string]stamp // files of the machine that are in it
}

// stamp tells a changed file without reading it.
type stamp struct {
	Size int64
	Time int64 // nanoseconds
}

func stampOf(path string) (stamp, error) {
	st, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{st.Size(), st.ModTime().UnixNano()}, nil
}

// image is the folder of an identifier, laid if it must be.
func (c *Catalog) image(ctx context.Context, id Identifier) (manifest, error) {
	defer c.lock("image " + id.Name)()
	if m, err := c.laid(id); err == nil {
		return m, nil
	}
	found := Found{Runtime: id.Name}
	if id.Family != Custom {
		var err error
		if found, err = c.best(ctx, id); err != nil {
			return manifest{}, err
		}
	}
	return c.lay(ctx, id, found)
}

func (c *Catalog) manifestPath(id Identifier) string {
	return filepath.Join(c.dir, "images", id.Name+".json")
}

var errStale = errors.New("runtimes: the image is not current")

// laid reads the manifest and checks that nothing it was made from has changed since: a library
// with a security fix must reach the functions.
func (c *Catalog) laid(id Identifier) (manifest, error) {
	var m manifest
	body, err := os.ReadFile(c.manifestPath(id))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("runtimes: %s: %w", c.manifestPath(id), err)
	}
	if m.Layout != layout || m.Bootstrap != programDigest(id) || m.Found.Runtime != id.Name {
		return m, errStale
	}
	if id.Family != Custom && m.Found.Origin != "bastide" && len(c.installed(id)) > 0 {
		return m, errStale // one was installed since, and goes first
	}
	for path, was := range m.Sources {
		if now, err := stampOf(path); err != nil || now != was {
			return m, errStale
		}
	}
	_, err = os.Stat(filepath.Join(c.dir, "images", m.Folder))
	return m, err
}

func (c *Catalog) installed(id Identifier) []string {
	dirs, _ := filepath.Glob(filepath.Join(c.dir, "interpreters", id.Name+"-*")) // names hold no pattern
	return dirs
}

func programDigest(id Identifier) string {
	if id.Family == Custom {
		return ""
	}
	return bootstrap.Digest(id.Family)
}

// layer is an image while it is laid.
type layer struct {
	tree
	libs    *libraries
	machine elf.Machine
}

// lay makes the image next to its place and moves it there when it is whole.
func (c *Catalog) lay(ctx context.Context, id Identifier, found Found) (manifest, error) {
	images, err := c.folder("images")
	if err != nil {
		return manifest{}, err
	}
	tmp, err := os.MkdirTemp(images, ".new-")
	if err != nil {
		return manifest{}, fmt.Errorf("runtimes: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }() // gone when it was moved
	l := &layer{tree: tree{root: tmp, sources: map[string]stamp{}}, libs: newLibraries()}
	if err := c.fill(ctx, l, id, found); err != nil {
		return manifest{}, err
	}
	m := manifest{layout, found, programDigest(id), id.Name + "-" + filepath.Base(tmp)[len(".new-"):], l.sources}
	if err := errors.Join(os.Chmod(tmp, 0o755), os.Rename(tmp, filepath.Join(images, m.Folder))); err != nil {
		return manifest{}, fmt.Errorf("runtimes: %w", err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return manifest{}, err
	}
	return m, replaceFile(c.manifestPath(id), body)
}

func replaceFile(path string, body []byte) error {
	if err := os.WriteFile(path+".new", body, 0o644); err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	return nil
}

func (c *Catalog) fill(ctx context.Context, l *layer, id Identifier, found Found) error {
	var err error
	switch id.Family {
	case bootstrap.Node:
		err = l.node(found)
	case bootstrap.Python:
		err = l.python(found, id.Version)
	}
	if err != nil {
		return err
	}
	names := c.tools
	if id.Family == Custom {
		names = append(slices.Clone(names), webTool)
	}
	if err := l.programs(names); err != nil {
		return err
	}
	if err := l.shared(); err != nil {
		return err
	}
	if err := l.times(); err != nil {
		return err
	}
	runtime := filepath.Join(l.root, "var/runtime")
	if err := os.MkdirAll(runtime, 0o755); err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	switch id.Family {
	case bootstrap.Node:
		return errors.Join(bootstrap.Write(id.Family, runtime), l.link("var/runtime/node_modules", sdkTarget+"/node_modules"))
	case bootstrap.Python:
		lib := "var/lang/lib/python" + id.Version
		return errors.Join(bootstrap.Write(id.Family, runtime), l.link(lib+"/site-packages", sdkTarget+"/python"),
			c.compile(ctx, found, filepath.Join(l.root, lib), "/"+lib), c.compile(ctx, found, runtime, RuntimeDir))
	}
	return nil
}

// node lays node: one program. Debian's own build keeps parts of it in /usr/share/nodejs.
func (l *layer) node(found Found) error {
	if err := l.program(found.Path, "var/lang/bin/node"); err != nil {
		return err
	}
	for soname := range l.libs.found {
		if strings.HasPrefix(soname, "libnode.so") {
			return l.copyTree("/usr/share/nodejs", "usr/share/nodejs", func(string, fs.DirEntry) bool { return true })
		}
	}
	return nil
}

// python lays the interpreter and its standard library without what only development needs.
func (l *layer) python(found Found, version string) error {
	if err := l.program(found.Path, "var/lang/bin/python"+version); err != nil {
		return err
	}
	for _, name := range []string{"python3", "python"} {
		if err := l.link("var/lang/bin/"+name, "python"+version); err != nil {
			return err
		}
	}
	tag := ".cpython-" + strings.ReplaceAll(version, ".", "") + ".pyc"
	lib := "var/lang/lib/python" + version
	err := l.copyTree(found.Library, lib, func(rel string, d fs.DirEntry) bool {
		name := d.Name()
		switch {
		case d.IsDir():
			return !slices.Contains([]string{"test", "tests", "idlelib", "idle_test", "tkinter", "turtledemo", "ensurepip",
				"site-packages", "dist-packages"}, name) && !strings.HasPrefix(name, "config-")
		case strings.HasSuffix(name, ".pyc"):
			return strings.HasSuffix(name, tag)
		case strings.HasSuffix(name, ".so"):
			return !strings.HasPrefix(name, "_tkinter") && !strings.Contains(name, "test")
		}
		return !strings.HasSuffix(name, ".a") && name != "sitecustomize.py"
	})
	if err != nil {
		return err
	}
	modules, err := filepath.Glob(filepath.Join(l.root, lib, "lib-dynload", "*.so"))
	if err != nil {
		return err
	}
	for _, m := range modules {
		// by its first place: what it needs may be named relative to that
		if err := l.libs.add(filepath.Join(found.Library, "lib-dynload", filepath.Base(m))); err != nil {
			if !errors.Is(err, errNoLibrary) {
				return err
			}
			// a module whose library the machine lacks cannot be imported there either
			if err := os.Remove(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// compileTime bounds the compilation of a whole library.
const compileTime = 3 * time.Minute

// compile makes the byte code of a library that came without: the image is read-only later.
func (c *Catalog) compile(ctx context.Context, found Found, dir, inside string) error {
	cached, err := filepath.Glob(filepath.Join(dir, "__pycache__", "*.pyc"))
	if err != nil || len(cached) > 20 {
		return err
	}
	_, err = c.run(ctx, compileTime, found.Path, "-I", "-S", "-m", "compileall", "-q", "-d", inside, dir)
	return err
}

// program puts one program in place and notes what it needs.
func (l *layer) program(from, to string) error {
	if err := l.put(from, to); err != nil {
		return err
	}
	if l.machine == elf.EM_NONE {
		f, err := elf.Open(from)
		if err != nil {
			return fmt.Errorf("runtimes: %s: %w", from, err)
		}
		l.machine = f.Machine
		if err := f.Close(); err != nil {
			return err
		}
	}
	return l.libs.add(from)
}

func (l *layer) programs(names []string) error {
	for _, name := range names {
		for _, dir := range []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin"} {
			real, err := filepath.EvalSymlinks(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			if isProgram(real) {
				err = l.program(real, "usr/bin/"+name)
			} else { // egrep and others are scripts
				err = l.put(real, "usr/bin/"+name)
			}
			if err != nil && !errors.Is(err, errNoLibrary) {
				return err
			}
			break
		}
	}
	return nil
}

// shared puts the libraries in place: all in the folder of the C library, which the loader searches
// in any case, and the loader where programs expect it.
func (l *layer) shared() error {
	for _, name := range stock {
		if err := l.libs.want(name, l.machine); err != nil {
			return err
		}
	}
	dir := "usr/lib64"
	if libc := l.libs.found["libc.so.6"]; libc != "" {
		dir = merged(filepath.Dir(libc))
	}
	for soname, path := range l.libs.found {
		if err := l.put(path, filepath.Join(dir, filepath.Base(soname))); err != nil {
			return err
		}
	}
	if l.libs.loader == "" {
		return nil
	}
	real, err := filepath.EvalSymlinks(l.libs.loader)
	if err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	return l.put(real, merged(l.libs.loader))
}

// merged is a path of the machine as the image has it: /bin, /lib and the like are links into /usr.
func merged(path string) string {
	path = strings.TrimPrefix(path, "/")
	if !strings.HasPrefix(path, "usr/") {
		path = "usr/" + path
	}
	return path
}

// times lays the time zones, without their two doubles, and the C.UTF-8 locale.
func (l *layer) times() error {
	err := l.copyTree("/usr/share/zoneinfo", "usr/share/zoneinfo", func(rel string, _ fs.DirEntry) bool {
		return rel != "posix" && rel != "right"
	})
	all := func(string, fs.DirEntry) bool { return true }
	for _, name := range []string{"C.utf8", "C.UTF-8"} {
		err = errors.Join(err, l.copyTree("/usr/lib/locale/"+name, "usr/lib/locale/"+name, all))
	}
	return err
}
