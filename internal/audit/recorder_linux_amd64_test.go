package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The recorder runs a child under ptrace and writes down what it asks of its data directory: what
// becomes of files and names, each sync, and each line that it says. It needs no privilege: a
// process may trace its children. Reads, locks and the shared-memory index, which SQLite rebuilds
// after a crash, are of no interest.

type kind int

const (
	evWrite kind = iota // data at off
	evTrunc             // to length off
	evCreate
	evMkdir
	evRename // path to to
	evUnlink
	evSync    // of a file's data, or of a directory's names
	evSyncDir // what was done before event number off is durable
	evSay
)

// event is one completed operation. Files are known by number, since names change.
type event struct {
	kind kind
	file int    // evWrite, evTrunc, evCreate, evRename, evSync
	path string // evCreate, evMkdir, evRename, evUnlink, evSyncDir; relative to the directory
	to   string
	off  int64
	data []byte // evWrite, evSay
}

type openFile struct {
	file int    // -1 for a directory
	path string // of a directory
	pos  int64
	at   bool // O_APPEND
}

// recorder follows all threads of one child.
type recorder struct {
	t      *testing.T
	dir    string
	events []event
	fds    map[int]*openFile
	names  map[string]int // path → file number
	files  int
	in     map[int]call // thread → the call it is in
	said   int          // the descriptor that it speaks on
}

// call is a system call seen at its entry.
type call struct {
	nr     uint64
	args   [6]uint64
	paths  [2]string
	known  int // how many events there were at its entry
	inside bool
}

// record runs the child on dir and returns what it did, from the making of dir on.
func record(t *testing.T, dir, mode string) []event {
	t.Helper()
	runtime.LockOSThread() // a tracer is a thread
	defer runtime.UnlockOSThread()
	r := &recorder{t: t, dir: dir, fds: map[int]*openFile{}, names: map[string]int{}, in: map[int]call{}, said: 1}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := os.StartProcess(self, []string{self, "-test.run=^$"}, &os.ProcAttr{
		Env:   append(os.Environ(), childDir+"="+dir, childMode+"="+mode, "GOMAXPROCS=2"),
		Files: []*os.File{null, null, os.Stderr},
		Sys:   &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	var st unix.WaitStatus
	if _, err := unix.Wait4(p.Pid, &st, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.PtraceSetOptions(p.Pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL); err != nil {
		t.Fatal(err)
	}
	if err := unix.PtraceSyscall(p.Pid, 0); err != nil {
		t.Fatal(err)
	}
	if code := r.follow(p.Pid); code != 0 {
		t.Fatalf("the recorded child ended with %d", code)
	}
	return r.events
}

// follow runs the child to its end and returns its exit code.
func (r *recorder) follow(pid int) int {
	for {
		var st unix.WaitStatus
		// Only this thread's tracees: other tests' children are not ours to reap.
		tid, err := unix.Wait4(-1, &st, unix.WALL|unix.WNOTHREAD, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			r.t.Fatalf("wait: %v", err)
		}
		deliver := 0
		switch {
		case st.Exited() || st.Signaled():
			delete(r.in, tid)
			if tid == pid {
				if st.Signaled() {
					return 128 + int(st.Signal())
				}
				return st.ExitStatus()
			}
			continue
		case st.Stopped() && st.StopSignal() == unix.SIGTRAP|0x80:
			r.stop(tid)
		case st.Stopped() && st.StopSignal() == unix.SIGTRAP, st.Stopped() && st.StopSignal() == unix.SIGSTOP:
			// a new thread announced, or beginning
		case st.Stopped():
			deliver = int(st.StopSignal())
		}
		if err := unix.PtraceSyscall(tid, deliver); err != nil && !errors.Is(err, unix.ESRCH) {
			r.t.Fatalf("resume: %v", err)
		}
	}
}

// stop handles a thread at the entry of a system call or at its return.
func (r *recorder) stop(tid int) {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &regs); err != nil {
		if errors.Is(err, unix.ESRCH) {
			return
		}
		r.t.Fatalf("registers: %v", err)
	}
	if c := r.in[tid]; c.inside {
		delete(r.in, tid)
		if ret := int64(regs.Rax); ret >= 0 {
			r.leave(tid, c, ret)
		}
		return
	}
	c := call{nr: regs.Orig_rax, args: [6]uint64{regs.Rdi, regs.Rsi, regs.Rdx, regs.R10, regs.R8, regs.R9}, known: len(r.events), inside: true}
	r.enter(tid, &c)
	r.in[tid] = c
}

// enter does what must be done before the call: reading names, forgetting a descriptor before
// another thread can be given its number, hearing what is said before anybody else can.
func (r *recorder) enter(tid int, c *call) {
	switch c.nr {
	case unix.SYS_OPEN, unix.SYS_MKDIR, unix.SYS_UNLINK, unix.SYS_RMDIR:
		c.paths[0] = r.text(tid, c.args[0])
	case unix.SYS_OPENAT, unix.SYS_MKDIRAT, unix.SYS_UNLINKAT:
		c.paths[0] = r.at(c.args[0], r.text(tid, c.args[1]))
	case unix.SYS_RENAME:
		c.paths = [2]string{r.text(tid, c.args[0]), r.text(tid, c.args[1])}
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		c.paths = [2]string{r.at(c.args[0], r.text(tid, c.args[1])), r.at(c.args[2], r.text(tid, c.args[3]))}
	case unix.SYS_CLOSE:
		delete(r.fds, int(c.args[0]))
	case unix.SYS_WRITE:
		if int(c.args[0]) == r.said {
			r.events = append(r.events, event{kind: evSay, data: r.memory(tid, c.args[1], int(c.args[2]))})
		}
	}
}

// leave notes a call that succeeded with ret.
func (r *recorder) leave(tid int, c call, ret int64) {
	f := r.fds[int(c.args[0])]
	switch c.nr {
	case unix.SYS_OPEN:
		r.opened(c.paths[0], int(c.args[1]), int(ret))
	case unix.SYS_OPENAT:
		r.opened(c.paths[0], int(c.args[2]), int(ret))
	case unix.SYS_MKDIR, unix.SYS_MKDIRAT:
		if p, ok := r.inside(c.paths[0]); ok {
			r.events = append(r.events, event{kind: evMkdir, path: p})
		}
	case unix.SYS_UNLINK, unix.SYS_RMDIR, unix.SYS_UNLINKAT:
		if p, ok := r.inside(c.paths[0]); ok {
			delete(r.names, p)
			r.events = append(r.events, event{kind: evUnlink, path: p})
		}
	case unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		r.renamed(c.paths)
	case unix.SYS_WRITE, unix.SYS_PWRITE64:
		if f == nil {
			return
		}
		off := f.pos
		if c.nr == unix.SYS_PWRITE64 {
			off = int64(c.args[3])
		} else {
			f.pos += ret
		}
		r.events = append(r.events, event{kind: evWrite, file: f.file, off: off, data: r.memory(tid, c.args[1], int(ret))})
	case unix.SYS_FTRUNCATE:
		if f != nil {
			r.events = append(r.events, event{kind: evTrunc, file: f.file, off: int64(c.args[1])})
		}
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		switch {
		case f == nil:
		case f.file < 0:
			r.events = append(r.events, event{kind: evSyncDir, path: f.path, off: int64(c.known)})
		default:
			r.events = append(r.events, event{kind: evSync, file: f.file, off: int64(c.known)})
		}
	case unix.SYS_WRITEV, unix.SYS_PWRITEV, unix.SYS_PWRITEV2, unix.SYS_FALLOCATE, unix.SYS_SENDFILE, unix.SYS_COPY_FILE_RANGE, unix.SYS_SPLICE, unix.SYS_TRUNCATE, unix.SYS_LINKAT, unix.SYS_SYNC_FILE_RANGE:
		if f != nil {
			r.t.Fatalf("system call %d changes a file in a way that the recorder does not know", c.nr)
		}
	}
}

func (r *recorder) opened(path string, flags, fd int) {
	p, ok := r.inside(path)
	if !ok || strings.HasSuffix(p, "-shm") {
		return
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		r.fds[fd] = &openFile{file: -1, path: p}
		return
	}
	n, known := r.names[p]
	switch {
	case !known && flags&unix.O_CREAT != 0:
		n = r.files
		r.files++
		r.names[p] = n
		r.events = append(r.events, event{kind: evCreate, file: n, path: p})
	case !known:
		return
	case flags&unix.O_TRUNC != 0:
		r.events = append(r.events, event{kind: evTrunc, file: n})
	}
	if flags&unix.O_APPEND != 0 {
		r.t.Fatalf("%s is opened for appending, which the recorder does not know", p)
	}
	r.fds[fd] = &openFile{file: n}
}

func (r *recorder) renamed(paths [2]string) {
	from, ok1 := r.inside(paths[0])
	to, ok2 := r.inside(paths[1])
	if !ok1 || !ok2 {
		return
	}
	r.names[to] = r.names[from]
	delete(r.names, from)
	r.events = append(r.events, event{kind: evRename, file: r.names[to], path: from, to: to})
}

// inside is path relative to the recorded directory, "." for itself.
func (r *recorder) inside(path string) (string, bool) {
	rel, err := filepath.Rel(r.dir, path)
	return rel, err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// at is a path relative to a directory's descriptor.
func (r *recorder) at(fd uint64, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	if d := r.fds[int(int32(fd))]; d != nil && d.file < 0 {
		return filepath.Join(r.dir, d.path, path)
	}
	return path
}

func (r *recorder) text(tid int, addr uint64) string {
	var out []byte
	for len(out) < 4096 {
		n := 256 - int(addr%256) // not beyond a page that may be the last
		b := r.memory(tid, addr, n)
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(append(out, b[:i]...))
		}
		out = append(out, b...)
		addr += uint64(n)
	}
	return string(out)
}

func (r *recorder) memory(tid int, addr uint64, n int) []byte {
	b := make([]byte, n)
	if n == 0 {
		return b
	}
	got, err := unix.ProcessVMReadv(tid, []unix.Iovec{{Base: &b[0], Len: uint64(n)}}, []unix.RemoteIovec{{Base: uintptr(addr), Len: n}}, 0)
	if err != nil || got != n {
		r.t.Fatalf("reading the child's memory: %d of %d bytes: %v", got, n, fmt.Sprint(err))
	}
	return b
}
