package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/cgroup"
	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// TestExit holds how an end is told.
func TestExit(t *testing.T) {
	l := newLab(t)
	if _, e := l.run(l.spec("exit", "7")); e.Code != 7 || e.Signal != 0 || e.OOMKilled || e.Err != nil {
		t.Errorf("exit 7: %+v", e)
	}
	if _, e := l.run(l.spec("die")); e.Code != -1 || e.Signal != 9 || e.OOMKilled || e.Err != nil {
		t.Errorf("a signal: %+v", e)
	}
	s := l.spec()
	s.Argv = []string{"/none"}
	var start *StartError
	if _, err := l.ns.Start(t.Context(), s); !errors.As(err, &start) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("a missing program: %v", err)
	}
	s = l.spec("hello")
	s.Root.Binds = append(s.Root.Binds, Bind{Source: "/no/such/folder", Target: "/x"})
	if _, err := l.ns.Start(t.Context(), s); !errors.As(err, &start) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("a missing folder: %v", err)
	}
	s = l.spec("wait")
	i := l.start(s)
	if _, err := l.ns.Start(t.Context(), s); !errors.As(err, &start) {
		t.Errorf("an id that lives: %v", err)
	}
	if err := errors.Join(i.Kill(), i.Kill()); err != nil {
		t.Error(err)
	}
	if e, more := <-i.Wait(); !more || e.Signal != 9 || e.Code != -1 {
		t.Errorf("killed: %+v", e)
	}
	if _, more := <-i.Wait(); more {
		t.Error("a second exit")
	}
	if err := i.Freeze(); err == nil {
		t.Error("froze what has ended")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.ns.Start(gone, l.spec("wait")); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a start that nobody waits for: %v", err)
	}
}

// TestSpecRefused holds what cannot be meant.
func TestSpecRefused(t *testing.T) {
	l := newLab(t)
	for name, change := range map[string]func(*Spec){
		"id":        func(s *Spec) { s.ID = "../x" },
		"no id":     func(s *Spec) { s.ID = "" },
		"program":   func(s *Spec) { s.Argv = []string{"inmate"} },
		"nothing":   func(s *Spec) { s.Argv = nil },
		"zero byte": func(s *Spec) { s.Env = []string{"A=\x00"} },
		"too long":  func(s *Spec) { s.Env = []string{strings.Repeat("x", 2<<20)} },
		"target":    func(s *Spec) { s.Root.Links = map[string]string{"/a/../b": "c"} },
		"root":      func(s *Spec) { s.Root.Dirs = []string{"/"} },
		"source":    func(s *Spec) { s.Root.Binds[0].Source = "inmate" },
		"memory":    func(s *Spec) { s.MemoryBytes = 10 },
		"door":      func(s *Spec) { s.Doors = []DoorSpec{{Name: "x", Network: "tcp", Address: "localhost:1"}} },
		"network":   func(s *Spec) { s.Doors = []DoorSpec{{Name: "x", Network: "ip", Address: "127.0.0.1:1"}} },
	} {
		s := l.spec("hello")
		change(&s)
		var start *StartError
		if i, err := l.ns.Start(t.Context(), s); !errors.As(err, &start) {
			t.Errorf("%s: %v %v", name, i, err)
		}
	}
	if _, err := New(Config{Waive: []string{"net"}}); err == nil {
		t.Error("waived the network")
	}
}

// TestRootFS: generated files, links, folders and binds.
func TestRootFS(t *testing.T) {
	l := newLab(t)
	host := shared(t)
	write(t, filepath.Join(host, "rw/x"), "before")
	if err := os.Chmod(filepath.Join(host, "rw/x"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{"read", "/etc/motd", "welcome"}, {"read", "/etc/link", "welcome"}, {"list", "/empty/dir", ""},
		{"write", "/etc/motd", "EROFS"}, {"write", "/rw/x", "ok"}, {"list", "/etc", "link motd"},
	} {
		s := l.spec(c[0], c[1])
		s.Root.Files = map[string]File{"/etc/motd": {Content: "welcome"}}
		s.Root.Links = map[string]string{"/etc/link": "motd"}
		s.Root.Dirs = []string{"/empty/dir"}
		s.Root.Binds = append(s.Root.Binds, Bind{Source: filepath.Join(host, "rw"), Target: "/rw", Writable: true})
		if got := l.try(s); got != c[2] {
			t.Errorf("%v: %s", c, got)
		}
	}
	if b, err := os.ReadFile(filepath.Join(host, "rw/x")); err != nil || string(b) != "1\nfore" {
		t.Errorf("a writable bind holds %q, %v", b, err)
	}
}

// TestDoors: what connects inside is accepted outside, over TCP, UDP and the channel.
func TestDoors(t *testing.T) {
	l := newLab(t)
	doors := []DoorSpec{
		{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"},
		{Name: "https", Network: "tcp", Address: "127.0.0.7:443"},
		{Name: "dns", Network: "udp", Address: "127.0.0.1:53"},
		{Name: "six", Network: "tcp", Address: "[::1]:8080"},
	}
	for _, d := range doors {
		var out bytes.Buffer
		s := l.spec("dial", d.Network, d.Address)
		s.Doors, s.Stdout = doors, &out
		i := l.start(s)
		door := i.Doors()[d.Name]
		if d.Network == "udp" {
			b := make([]byte, 100)
			n, from, err := door.Packet.ReadFrom(b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := door.Packet.WriteTo(append([]byte(d.Name+" "), b[:n]...), from); err != nil {
				t.Fatal(err)
			}
		} else {
			c, err := door.Listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			n, err := c.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "%s %s", d.Name, b[:n])
			c.Close()
		}
		if e := <-i.Wait(); e.Code != 0 || strings.TrimSpace(out.String()) != d.Name+" ping" {
			t.Errorf("%s: %+v %q", d.Name, e, out.String())
		}
		if door.Listener != nil {
			if _, err := door.Listener.Accept(); err == nil {
				t.Errorf("%s outlived its sandbox", d.Name)
			}
		}
	}
	s := l.spec("channel")
	s.Channel = true
	i := l.start(s)
	b, read := make([]byte, 10), make(chan error, 1)
	go func() { // waits already when the process answers and ends, with which the channel closes
		_, err := io.ReadFull(i.Channel(), b)
		read <- err
	}()
	if _, err := i.Channel().Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil || string(b) != "echo hello" {
		t.Errorf("the channel says %q, %v", b, err)
	}
	<-i.Wait()
}

// TestFreeze: a frozen function does nothing, and goes on when thawed; frozen, it can be killed.
func TestFreeze(t *testing.T) {
	l := newLab(t)
	s := l.spec("tick")
	s.Channel = true
	i := l.start(s)
	one := make([]byte, 1)
	for range 3 {
		if _, err := io.ReadFull(i.Channel(), one); err != nil {
			t.Fatal(err)
		}
		if err := i.Freeze(); err != nil {
			t.Fatal(err)
		}
		// drain what was said before; then nothing may come
		if err := i.Channel().SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		said, err := io.Copy(io.Discard, i.Channel())
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if err := i.Channel().SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadFull(i.Channel(), one); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("frozen after %d ticks, it ticks: %v", said, err)
		}
		if err := i.Channel().SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := i.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(i.Channel(), one); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(i.Freeze(), i.Kill()); err != nil {
		t.Fatal(err)
	}
	if e := <-i.Wait(); e.Signal != 9 {
		t.Errorf("killed while frozen: %+v", e)
	}
}

// TestV1: the same on a machine that has no unified hierarchy.
func TestV1(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(mounts)) {
		if !strings.Contains(line, " - cgroup2 ") {
			kept.WriteString(line)
		}
	}
	host, err := cgroup.OpenFrom(kept.String(), string(own))
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	if err := l.ns.host.Close(); err != nil {
		t.Fatal(err)
	}
	l.ns.host, l.ns.can = host, host.Abilities()
	if c := l.ns.can; c.Kill != "" || c.Freeze == "v2" || c.Memory == "v2" {
		t.Errorf("%+v", c)
	}
	i := l.start(l.spec("wait"))
	if err := errors.Join(i.Freeze(), i.Thaw(), i.Freeze(), i.Kill()); err != nil {
		t.Error(err)
	}
	if e := <-i.Wait(); e.Signal != 9 || e.Err != nil {
		t.Errorf("killed while frozen: %+v", e)
	}
	s := l.spec("eat", "400")
	s.MemoryBytes, s.TmpBytes = 64*megabyte, 16*megabyte
	if out, e := l.run(s); !e.OOMKilled {
		t.Errorf("ate more than there is: %+v %s", e, out)
	}
}

// TestBounds: memory, /tmp, files, processes.
func TestBounds(t *testing.T) {
	l := newLab(t)
	s := l.spec("eat", "400")
	s.MemoryBytes, s.TmpBytes = 64*megabyte, 16*megabyte
	if out, e := l.run(s); !e.OOMKilled || e.Signal != 9 {
		t.Errorf("ate more than there is: %+v %s", e, out)
	}
	// more than its own memory, less than the kernel's bound, which holds /tmp too
	s = l.spec("eat", "150")
	s.MemoryBytes, s.TmpBytes = 64*megabyte, 256*megabyte
	if out, e := l.run(s); !e.OOMKilled || e.Signal != 9 {
		t.Errorf("ate the memory of /tmp: %+v %s", e, out)
	}
	hogs := []string{"share"}
	if l.ns.can.Memory != "" { // else only what is mapped is seen
		hogs = append(hogs, "memfd")
	}
	for _, hog := range hogs {
		s = l.spec(hog, "150")
		s.MemoryBytes, s.TmpBytes = 64*megabyte, 256*megabyte
		if out, e := l.run(s); !e.OOMKilled || e.Signal != 9 || e.Peak < 64*megabyte {
			t.Errorf("%s: took the memory of /tmp: %+v %s", hog, e, out)
		}
		s = l.spec(hog, "40")
		s.MemoryBytes = 64 * megabyte
		if out, e := l.run(s); e.OOMKilled || e.Code != 0 || e.Peak < 40*megabyte {
			t.Errorf("%s: took what was granted: %+v %s", hog, e, out)
		}
	}
	s = l.spec("eat", "30")
	s.MemoryBytes = 64 * megabyte
	out, e := l.run(s)
	if e.OOMKilled || out != "ate 30" || e.Peak < 30*megabyte || e.Peak > 120*megabyte {
		t.Errorf("ate what was granted: %+v %s", e, out)
	}
	s = l.spec("fill")
	s.TmpBytes = 8 * megabyte
	if out := l.try(s); out != "ENOSPC 8" {
		t.Errorf("filled /tmp: %s", out)
	}
	s = l.spec("fill")
	s.MemoryBytes, s.TmpBytes = 32*megabyte, 200*megabyte
	if out := l.try(s); out != "ENOSPC 200" {
		t.Errorf("a /tmp larger than the memory: %s", out)
	}
	// nor does it count against the memory, whose peak is told without it
	s = l.spec("brim", "30")
	s.MemoryBytes, s.TmpBytes = 64*megabyte, 200*megabyte
	if out, e := l.run(s); e.OOMKilled || out != "ENOSPC 200, ate 30" || e.Peak < 30*megabyte || e.Peak > 80*megabyte {
		t.Errorf("filled /tmp and ate what was granted: %+v %s", e, out)
	}
	s = l.spec("inodes")
	s.TmpBytes = 8 * megabyte
	if out := l.try(s); out != "ENOSPC" {
		t.Errorf("filled /tmp with files: %s", out)
	}
}

// TestForkBomb: it runs against its bound, the host does not notice, and Kill ends all of it.
func TestForkBomb(t *testing.T) {
	l := newLab(t)
	s := l.spec("bomb")
	s.Pids = 50
	r, w := io.Pipe()
	s.Stdout = w
	i := l.start(s)
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || line != "EAGAIN true\n" {
		t.Errorf("%q, %v", line, err)
	}
	go io.Copy(io.Discard, r)
	tree := descendants(i.(*instance).pid)
	if len(tree) < 30 || len(tree) > 80 {
		t.Errorf("%d processes", len(tree))
	}
	l.leftForTheInit(i.(*instance))
	if err := i.Kill(); err != nil {
		t.Fatal(err)
	}
	gone(t, tree)
}

// leftForTheInit judges what the init of a function that has all its processes may still have: it needs a
// thread now and then, and ends without, and its function with it.
func (l *lab) leftForTheInit(i *instance) {
	l.t.Helper()
	var own unix.Rlimit
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", i.pid))
	if err := errors.Join(err, unix.Getrlimit(unix.RLIMIT_NPROC, &own)); err != nil {
		l.t.Fatal(err)
	}
	_, processes, _ := strings.Cut(string(limits), "Max processes")
	want := min(uint64(i.spec.Pids+overheadPids+control.InitThreads), own.Max)
	if f := strings.Fields(processes); len(f) < 2 || f[0] != fmt.Sprint(want) || f[1] != f[0] {
		l.t.Errorf("the init may have %.20s processes and threads, want %d", processes, want)
	}
	for _, dir := range i.driver.host.Dirs() {
		most, err := os.ReadFile(filepath.Join(dir, i.spec.ID, "pids.max"))
		if err != nil {
			continue // another controller's
		}
		now, err := os.ReadFile(filepath.Join(dir, i.spec.ID, "pids.current"))
		if err != nil {
			l.t.Error(err)
		}
		bound, _ := strconv.Atoi(strings.TrimSpace(string(most)))
		has, _ := strconv.Atoi(strings.TrimSpace(string(now)))
		if bound-has < control.InitThreads {
			l.t.Errorf("%d of %d processes and threads are taken", has, bound)
		}
	}
}

// TestOutliving: processes that a function leaves behind end with it, by exit or by Kill.
func TestOutliving(t *testing.T) {
	l := newLab(t)
	s := l.spec("leave")
	var seen []int
	i := l.start(s)
	seen = append(seen, i.(*instance).pid)
	if e := <-i.Wait(); e.Code != 0 {
		t.Fatalf("%+v", e)
	}
	gone(t, seen)
	s = l.spec("run", "/inmate", "wait")
	r, w := io.Pipe()
	s.Stdout = w
	go io.Copy(io.Discard, r)
	i = l.start(s)
	seen = descendants(i.(*instance).pid)
	if err := i.Kill(); err != nil {
		t.Fatal(err)
	}
	gone(t, seen)
}

// TestInitKeepsNothing: once the function runs, the init has no capabilities either.
func TestInitKeepsNothing(t *testing.T) {
	l := newLab(t)
	i := l.start(l.spec("wait"))
	defer i.Kill()
	// it gives them up after it has said that the process runs; Stop's answer comes after that
	in := i.(*instance)
	if err := in.holdBySignal(true); err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", in.pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal(tasks, err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"} {
			if !bytes.Contains(b, []byte(want)) {
				t.Errorf("%s has no %q:\n%s", task, want, b)
			}
		}
	}
}

// TestNothingIsLeft starts and ends many, and compares the machine before and after.
func TestNothingIsLeft(t *testing.T) {
	l := newLab(t)
	if out := l.try(l.spec("hello")); out != "hello" {
		t.Fatal(out)
	}
	before := traces(t, l)
	for round := range 20 {
		var all []Instance
		for k := range 10 {
			s := l.spec("wait")
			if k%3 == 0 {
				s = l.spec("leave")
			}
			s.Channel = k%2 == 0
			s.Stdout = io.Discard
			s.Doors = []DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}}
			all = append(all, l.start(s))
		}
		for k, i := range all {
			if k%4 == round%4 {
				if err := i.Freeze(); err != nil && !errors.Is(err, errEnded) {
					t.Fatal(err)
				}
			}
			if err := i.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if after := traces(t, l); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// traces are what instances could leave: descriptors, processes, mounts, cgroups.
func traces(t *testing.T, l *lab) string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	launcherFDs, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", l.ns.launcher.pid))
	if err != nil {
		t.Fatal(err)
	}
	var groups []string
	for _, dir := range l.ns.host.Dirs() {
		entries, err := filepath.Glob(filepath.Join(dir, "t*", "cgroup.procs"))
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, entries...)
	}
	return fmt.Sprintf("%d descriptors, %d of the launcher, %d processes, %d mounts, groups %v", len(fds), len(launcherFDs),
		len(descendants(l.ns.launcher.pid)), bytes.Count(mounts, []byte("\n")), groups)
}

// descendants are the pids of a process and everything below it.
func descendants(pid int) []int {
	all := []int{pid}
	for k := 0; k < len(all); k++ {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[k]))
		for _, list := range lists {
			b, _ := os.ReadFile(list)
			for _, f := range strings.Fields(string(b)) {
				child, _ := strconv.Atoi(f)
				all = append(all, child)
			}
		}
	}
	return all
}

func gone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
}

// victim is a process of this test binary that starts sandboxes and is killed.
const victim = "BASTIDE_SANDBOX_VICTIM"

// TestBastideIsKilled: with SIGKILL for Bastide its sandboxes end, frozen ones too, and the next start
// sweeps the cgroups that they leave.
func TestBastideIsKilled(t *testing.T) {
	dir := kitFolder(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{victim + "=1", kit + "=" + dir}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // whatever happens
	var running, frozen int
	var cgroups string
	if _, err := fmt.Fscanln(out, &running, &frozen, &cgroups); err != nil {
		t.Fatal(err)
	}
	var ends []unix.PollFd
	for _, pid := range []int{running, frozen} {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		ends = append(ends, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for k := range ends {
		if n, err := unix.Poll(ends[k:k+1], 20_000); n != 1 || err != nil {
			t.Errorf("sandbox %d outlived Bastide: %d %v", k, n, err)
		}
	}
	l := newLab(t)
	if len(l.ns.host.Faults) > 0 && l.ns.root {
		t.Error(l.ns.host.Faults)
	}
	for dir := range strings.SplitSeq(cgroups, ",") {
		if _, err := os.Stat(dir); dir != "-" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was not swept: %v", dir, err)
		}
	}
}

// beVictim starts one sandbox and another that it freezes, tells, and waits.
func beVictim() {
	program, err := os.ReadFile(filepath.Join(os.Getenv(kit), "init"))
	if err != nil {
		panic(err)
	}
	ns, err := New(Config{Init: program})
	if err != nil {
		panic(err)
	}
	l := &lab{ns: ns, kit: os.Getenv(kit)}
	var pids [2]int
	for k := range pids {
		i, err := ns.Start(context.Background(), l.spec("wait"))
		if err != nil {
			panic(err)
		}
		pids[k] = i.(*instance).pid
		if k == 1 {
			if err := i.Freeze(); err != nil {
				panic(err)
			}
		}
	}
	fmt.Println(pids[0], pids[1], strings.Join(append(ns.host.Dirs(), "-"), ","))
	select {}
}
