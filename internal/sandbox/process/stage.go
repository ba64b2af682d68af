package process

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// system are directories that the host has itself: programs use its own.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/dev", "/sys"}

// stage lays out what a function would find inside, as links, and opens its doors.
func (b *box) stage(spec sandbox.Spec) error {
	for _, dir := range append([]string{"/tmp", "/var"}, spec.Root.Dirs...) {
		if err := os.MkdirAll(b.path(dir), 0o755); err != nil {
			return err
		}
	}
	targets := append([]string{"/tmp", "/var/task", "/opt"}, spec.Root.Dirs...)
	for p, f := range spec.Root.Files {
		mode := os.FileMode(f.Mode & 0o777)
		if mode == 0 {
			mode = 0o644
		}
		if err := errors.Join(os.MkdirAll(path.Dir(b.path(p)), 0o755), os.WriteFile(b.path(p), []byte(f.Content), mode)); err != nil {
			return err
		}
		targets = append(targets, p)
	}
	for _, bind := range spec.Root.Binds {
		if slices.Contains(system, bind.Target) {
			continue
		}
		if err := b.show(bind.Source, bind.Target); err != nil {
			return err
		}
		targets = append(targets, bind.Target)
	}
	for p, to := range spec.Root.Links {
		if slices.Contains(system, p) {
			continue
		}
		if path.IsAbs(to) {
			to = b.path(to)
		}
		err := errors.Join(os.MkdirAll(path.Dir(b.path(p)), 0o755), os.Symlink(to, b.path(p)))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		targets = append(targets, p)
	}
	if err := b.code(spec.Code, spec.Layers); err != nil {
		return err
	}
	b.targets = targets
	return b.openDoors(spec.Doors)
}

// path is where something that has this path inside is on the host.
func (b *box) path(inside string) string { return filepath.Join(b.dir, inside) }

// show makes source appear at target. Links to paths inside must lead to where those are, so the folders
// that have some are laid out, and of everything else there is a link.
func (b *box) show(source, target string) error {
	links, err := b.driver.inward(source)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(path.Dir(b.path(target)), 0o755); err != nil {
		return err
	}
	return b.mirror(source, b.path(target), links)
}

// inward are the symbolic links of a tree to absolute paths, which are meant inside, and the folders that
// lead to them, which have no text; by path. What it has found of a tree is remembered.
func (d *Driver) inward(source string) (map[string]string, error) {
	d.mu.Lock()
	links, known := d.links[source]
	d.mu.Unlock()
	if known {
		return links, nil
	}
	links = map[string]string{}
	if st, err := os.Stat(source); err != nil {
		return nil, err
	} else if st.IsDir() {
		links[source] = "" // others may be shown below
	}
	err := filepath.WalkDir(source, func(at string, e fs.DirEntry, err error) error {
		if err != nil || e.Type() != fs.ModeSymlink {
			return err
		}
		to, err := os.Readlink(at)
		if err != nil || !path.IsAbs(to) || slices.ContainsFunc(system, func(s string) bool { return strings.HasPrefix(to, s+"/") }) {
			return err
		}
		links[at] = to
		for dir := at; dir != source; {
			dir = filepath.Dir(dir)
			links[dir] = ""
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.links[source] = links
	d.mu.Unlock()
	return links, nil
}

// mirror makes what is at source appear at a path of the host's.
func (b *box) mirror(source, at string, links map[string]string) error {
	to, ok := links[source]
	switch {
	case !ok:
		to = source
	case to != "":
		to = b.path(to)
	default:
		entries, err := os.ReadDir(source)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		for _, e := range entries {
			if err := b.mirror(filepath.Join(source, e.Name()), filepath.Join(at, e.Name()), links); err != nil {
				return err
			}
		}
		return nil
	}
	if err := os.Symlink(to, at); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// code shows the code, and the layers with a later one above an earlier.
func (b *box) code(code string, layers []string) error {
	if code == "" {
		if err := os.MkdirAll(b.path("/var/task"), 0o755); err != nil {
			return err
		}
	} else if err := os.Symlink(code, b.path("/var/task")); err != nil {
		return err
	}
	if err := os.MkdirAll(b.path("/opt"), 0o755); err != nil {
		return err
	}
	for _, l := range layers {
		if err := merge(l, b.path("/opt")); err != nil {
			return err
		}
	}
	return nil
}

// merge links a tree's files into another, over those that are there.
func merge(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		source, at := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		st, err := os.Lstat(at)
		switch {
		case err == nil && st.IsDir() && e.IsDir():
			err = merge(source, at)
		case e.IsDir():
			_ = os.Remove(at) // a file of a layer below, if there is one
			if err = os.Mkdir(at, 0o755); err == nil {
				err = merge(source, at)
			}
		default:
			err = errors.Join(os.RemoveAll(at), os.Symlink(source, at))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moved changes the paths and the doors' addresses in a text to where they are. A path begins at the
// beginning, or behind one of the signs that separate paths.
func (b *box) moved(s string) string {
	out := ""
	for {
		i := strings.IndexAny(s, ":=,; ")
		if i < 0 {
			i = len(s)
		}
		word := s[:i]
		if slices.ContainsFunc(b.targets, func(t string) bool { return word == t || strings.HasPrefix(word, t+"/") }) {
			word = b.path(word)
		}
		if out += word; i == len(s) {
			break
		}
		out, s = out+s[i:i+1], s[i+1:]
	}
	s = out
	for _, d := range b.doors {
		for _, name := range []string{d.at, "localhost:" + d.port} {
			s = replaceAddress(s, name, d.is)
		}
	}
	return s
}

// replaceAddress changes an address that is not the beginning of a longer one.
func replaceAddress(s, from, to string) string {
	out := ""
	for {
		i := strings.Index(s, from)
		if i < 0 {
			return out + s
		}
		rest := s[i+len(from):]
		if rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			out, s = out+s[:i+len(from)], rest
			continue
		}
		out, s = out+s[:i]+to, rest
	}
}

// translated is spec in the host's paths and addresses.
func (b *box) translated(spec sandbox.Spec) sandbox.Spec {
	spec.Argv, spec.Env, spec.Dir = b.moves(spec.Argv, spec.Env, spec.Dir)
	return spec
}

// moves changes what a process starts with.
func (b *box) moves(argv, environ []string, dir string) (args, env []string, in string) {
	for _, a := range argv {
		args = append(args, b.moved(a))
	}
	tmp := false
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		tmp = tmp || name == "TMPDIR"
		env = append(env, name+"="+b.moved(value))
	}
	if !tmp {
		env = append(env, "TMPDIR="+b.path("/tmp"))
	}
	if in = b.moved(dir); in == "/" {
		in = b.dir
	}
	return args, env, in
}

// door is a door on the host's loopback.
type door struct {
	name, at, port string
	is             string // where it really is
	door           sandbox.Door
}

// openDoors opens the doors, at free ports.
func (b *box) openDoors(specs []sandbox.DoorSpec) error {
	specs, _, err := sandbox.Wire(specs, false)
	if err != nil {
		return err
	}
	for _, s := range specs {
		d := &door{name: s.Name, at: s.Address}
		_, d.port, _ = net.SplitHostPort(s.Address)
		if s.Network == "udp" {
			p, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			d.door.Packet, d.is = p, p.LocalAddr().String()
		} else {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			d.door.Listener, d.is = &sandbox.Arrivals{TCPListener: l.(*net.TCPListener)}, l.Addr().String()
		}
		b.doors = append(b.doors, d)
	}
	return nil
}

func (b *box) held() map[string]sandbox.Door {
	all := map[string]sandbox.Door{}
	for _, d := range b.doors {
		all[d.name] = d.door
	}
	return all
}

func (b *box) closeDoors() {
	for _, d := range b.doors {
		// its user may have closed it
		if d.door.Packet != nil {
			_ = d.door.Packet.Close()
		} else if a, ok := d.door.Listener.(*sandbox.Arrivals); ok {
			_ = a.End()
		}
	}
}

// stageError names what failed.
func stageError(id, stage string, err error) error {
	if err == nil {
		return nil
	}
	return &sandbox.StartError{ID: id, Stage: stage, Err: err}
}

// tree calls f for a process and its descendants.
func tree(pid int, f func(pid string)) {
	for todo := []string{strconv.Itoa(pid)}; len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		tasks, _ := os.ReadDir("/proc/" + p + "/task") // who cannot be read has ended
		for _, t := range tasks {
			children, _ := os.ReadFile("/proc/" + p + "/task/" + t.Name() + "/children")
			todo = append(todo, strings.Fields(string(children))...)
		}
		f(p)
	}
}

// memoryOf is the anonymous and shared memory of a process and its descendants.
func memoryOf(pid int) (total int64) {
	tree(pid, func(p string) {
		status, _ := os.ReadFile("/proc/" + p + "/status") // as above
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(line, ":")
			kb := int64(0)
			if key == "RssAnon" || key == "RssShmem" {
				if _, err := fmt.Sscanf(value, "%d", &kb); err == nil {
					total += kb << 10
				}
			}
		}
	})
	return total
}

// killTree kills a process's descendants and it.
func killTree(pid int) {
	var all []int
	tree(pid, func(p string) {
		if n, err := strconv.Atoi(p); err == nil {
			all = append(all, n)
		}
	})
	for _, n := range slices.Backward(all) {
		_ = syscall.Kill(n, syscall.SIGKILL) // it may have ended
	}
}
