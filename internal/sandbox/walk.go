package sandbox

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links the kernel follows in one name (path_resolution(7)).
const maxLinks = 40

// walker follows names as one thread's kernel does: without the links, which are looked up in the
// thread's own root, and with those of /proc to what the thread has.
type walker struct {
	host            string // the thread's directory in Bastide's own /proc
	process, thread string // their numbers in the sandbox
	root            string // of the sandbox, as Bastide sees it
}

func (n *notification) proc() string { return "/proc/" + strconv.FormatUint(uint64(n.pid), 10) }

// link is what a descriptor, or the working directory, stands for.
func (n *notification) link(at int64) (string, error) {
	if at == unix.AT_FDCWD {
		return os.Readlink(n.proc() + "/cwd")
	}
	return descriptorOf(n.proc(), strconv.FormatInt(at, 10))
}

func (n *notification) walker() (walker, error) {
	w := walker{host: n.proc(), root: n.proc() + "/root"}
	status, err := os.ReadFile(w.host + "/status")
	if err != nil {
		return w, err
	}
	for line := range strings.Lines(string(status)) {
		key, numbers, _ := strings.Cut(line, ":")
		fields := strings.Fields(numbers) // from Bastide's namespace to the sandbox's
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "NStgid":
			w.process = fields[len(fields)-1]
		case "NSpid":
			w.thread = fields[len(fields)-1]
		}
	}
	if w.process == "" || w.thread == "" {
		return w, errors.New("sandbox: a thread has no number")
	}
	return w, nil
}

// walk makes a name below a directory absolute and free of links, but for one at its end where last
// says so. What is not there has no links.
func (w walker) walk(at, name string, last bool) (string, error) {
	if path.IsAbs(name) {
		at = "/"
	}
	left := strings.Split(name, "/")
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		if !last && len(left) == 0 {
			return next, nil
		}
		target, final, err := w.follow(next)
		if err != nil {
			return "", err
		}
		if target == "" {
			at = next
			continue
		}
		if links++; links > maxLinks || len(left) > pathMost {
			return "", unix.ELOOP
		}
		switch {
		case final && !path.IsAbs(target) && len(left) > 0:
			return "", unix.ENOTDIR
		case final: // where it leads is free of links, and may be no path, such as pipe:[1]
			at = target
		default:
			if path.IsAbs(target) {
				at = "/"
			}
			left = append(strings.Split(target, "/"), left...)
		}
	}
	return at, nil
}

// follow reads a link; target is empty for what is none. One that leads to what a process has is final.
func (w walker) follow(name string) (target string, final bool, err error) {
	if strings.HasPrefix(name, "/proc/") {
		return w.own(name)
	}
	target, err = os.Readlink(w.root + name)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return "", false, nil
	}
	return target, false, err
}

// errOthers is a name that leads to what another process has: which that is, is not looked for.
var errOthers = errors.New("sandbox: a name leads through another process")

// own follows the links of /proc, where each process sees others (proc(5)).
func (w walker) own(name string) (target string, final bool, err error) {
	switch name {
	case "/proc/self":
		return w.process, false, nil
	case "/proc/thread-self":
		return w.process + "/task/" + w.thread, false, nil
	case "/proc/net", "/proc/mounts":
		return "self/" + path.Base(name), false, nil
	}
	parts := strings.Split(name, "/")[2:]
	number, thread := parts[0], len(parts) > 3 && parts[1] == "task"
	if _, err := strconv.Atoi(number); err != nil {
		return "", false, nil
	}
	rest := parts[1:]
	if thread {
		number, rest = parts[2], parts[3:]
	}
	kind := strings.Join(rest, "/")
	fd := len(rest) == 2 && rest[0] == "fd"
	if !fd && kind != "root" && kind != "cwd" && kind != "exe" {
		return "", false, nil
	}
	if number != w.thread && (thread || number != w.process) {
		return "", false, errOthers
	}
	if fd {
		target, err = descriptorOf(w.host, rest[1])
	} else {
		target, err = os.Readlink(w.host + "/" + kind)
	}
	if fd && errors.Is(err, unix.ENOENT) {
		return "", false, nil // there is no such descriptor
	}
	return target, true, err
}

// within tells whether a path is a directory or lies below it.
func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }
