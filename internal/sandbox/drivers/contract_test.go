package drivers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// TestContract holds what every driver promises, one by one.
func TestContract(t *testing.T) {
	each(t, present(), func(t *testing.T, l *lab) {
		for _, c := range []struct {
			name string
			test func(*lab)
		}{
			{"start and end", startAndEnd}, {"refused", refused}, {"output", output}, {"environment", environment}, {"root", root}, {"links", links},
			{"doors", doors}, {"many connections", manyConnections}, {"channel", channel}, {"last words", lastWords}, {"order", order}, {"code and layers", codeAndLayers},
			{"late code", lateCode}, {"late program", lateProgram}, {"memory", memory}, {"processes", processes}, {"files", files}, {"tmp", tmp},
			{"freeze", freeze}, {"kill", kill}, {"outliving", outliving}, {"nothing is left", nothingIsLeft},
		} {
			l.sub(c.name, c.test)
		}
	})
}

// startAndEnd: exit codes, signals, what cannot start, ids, Kill and Wait.
func startAndEnd(l *lab) {
	if out, e := l.run(l.spec("hello", "you")); e.Code != 0 || e.Signal != 0 || e.Err != nil || out != "hello you" {
		l.Errorf("%q %+v", out, e)
	}
	if _, e := l.run(l.spec("exit", "7")); e.Code != 7 || e.Signal != 0 || e.OOMKilled || e.Err != nil {
		l.Errorf("exit 7: %+v", e)
	}
	if _, e := l.run(l.spec("die")); e.Code != -1 || e.Signal != 9 || e.OOMKilled || e.Err != nil {
		l.Errorf("a signal: %+v", e)
	}
	var start *sandbox.StartError
	s := l.spec()
	s.Argv = []string{"/none"}
	if _, err := l.driver.Start(l.Context(), s); !errors.As(err, &start) || !errors.Is(err, unix.ENOENT) {
		l.Errorf("a missing program: %v", err)
	}
	s = l.spec("hello")
	s.Root.Binds = append(s.Root.Binds, sandbox.Bind{Source: "/no/such/folder", Target: "/x"})
	if _, err := l.driver.Start(l.Context(), s); !errors.As(err, &start) || !errors.Is(err, unix.ENOENT) {
		l.Errorf("a missing folder: %v", err)
	}
	if out := l.try(s2(l, s.ID)); out != "hello" {
		l.Errorf("the id of a start that failed: %s", out)
	}
	s = l.spec("wait")
	i := l.start(s)
	if _, err := l.driver.Start(l.Context(), s); !errors.As(err, &start) {
		l.Errorf("an id that lives: %v", err)
	}
	if err := errors.Join(i.Kill(), i.Kill()); err != nil {
		l.Error(err)
	}
	if e, more := <-i.Wait(); !more || e.Signal != 9 || e.Code != -1 || e.OOMKilled {
		l.Errorf("killed: %+v", e)
	}
	if _, more := <-i.Wait(); more {
		l.Error("a second exit")
	}
	if err := i.Freeze(); err == nil {
		l.Error("froze what has ended")
	}
	gone, cancel := context.WithCancel(l.Context())
	cancel()
	if _, err := l.driver.Start(gone, l.spec("wait")); err != nil && !errors.Is(err, context.Canceled) {
		l.Errorf("a start that nobody waits for: %v", err)
	}
}

// s2 is a hello under an id.
func s2(l *lab, id string) sandbox.Spec {
	s := l.spec("hello")
	s.ID = id
	return s
}

// refused holds what cannot be meant, and what a driver cannot give.
func refused(l *lab) {
	for name, change := range map[string]func(*sandbox.Spec){
		"id":      func(s *sandbox.Spec) { s.ID = "../x" },
		"program": func(s *sandbox.Spec) { s.Argv = []string{"inmate"} },
		"target":  func(s *sandbox.Spec) { s.Root.Links = map[string]string{"/a/../b": "c"} },
		"memory":  func(s *sandbox.Spec) { s.MemoryBytes = 10 },
		"door": func(s *sandbox.Spec) {
			s.Doors = []sandbox.DoorSpec{{Name: "x", Network: "ip", Address: "127.0.0.1:1"}}
		},
	} {
		s := l.spec("hello")
		change(&s)
		var start *sandbox.StartError
		if i, err := l.driver.Start(l.Context(), s); !errors.As(err, &start) {
			l.Errorf("%s: %v %v", name, i, err)
		}
	}
	if l.name != Namespace {
		s := l.spec("hello")
		s.Confine = &sandbox.Confinement{}
		if _, err := l.driver.Start(l.Context(), s); !errors.Is(err, errors.ErrUnsupported) {
			l.Errorf("a confinement that nothing holds: %v", err)
		}
	}
}

// plainGo keeps the inmate from opening files of its cgroup.
var plainGo = []string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0"}

// output: both descriptors, each to its writer or both into one file in the order of writing.
func output(l *lab) {
	r, w, err := os.Pipe()
	if err != nil {
		l.Fatal(err)
	}
	s := l.spec("fds")
	s.Env = plainGo
	s.Stdout, s.Stderr = w, w
	i := l.start(s)
	if err := w.Close(); err != nil {
		l.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil || string(b) != "0 1 2\n" {
		l.Errorf("%q %v", b, err)
	}
	if e := <-i.Wait(); e.Err != nil || e.Code != 0 {
		l.Errorf("%+v", e)
	}
	if e := <-l.start(l.spec("hello")).Wait(); e.Code != 0 || e.Err != nil {
		l.Errorf("without writers: %+v", e)
	}
	big := strings.Repeat("x", 100_000)
	if out := l.try(l.spec("hello", big)); out != "hello "+big {
		l.Errorf("%d bytes came of %d", len(out), len(big)+6)
	}
}

// environment: only what was given.
func environment(l *lab) {
	l.Setenv("HOST_SECRET", "hunter2")
	s := l.spec("env")
	s.Env = []string{"A=1", "B=2"}
	out := l.try(s)
	if l.name == Process {
		out, _, _ = strings.Cut(out, " TMPDIR=") // which it adds
	}
	if out != "A=1 B=2" {
		l.Errorf("environment: %s", out)
	}
	if !l.isolates() {
		return
	}
	if out := l.try(l.spec("ids")); out != "993 993 990 true" {
		l.Errorf("ids: %s", out)
	}
	if out := l.try(l.spec("read", "/proc/sys/kernel/hostname")); out != "bastide" {
		l.Errorf("host name: %s", out)
	}
}

// is compares an answer. gVisor asks for the right to write before it asks whether the mount allows it,
// and what it shows belongs to root.
func (l *lab) is(got, want string) bool {
	return got == want || want == "EROFS" && got == "EACCES" && l.name == GVisor
}

// root: generated files, links and folders, and nothing besides.
func root(l *lab) {
	for _, c := range [][3]string{
		{"read", "/etc/motd", "welcome"}, {"read", "/etc/link", "welcome"}, {"list", "/empty/dir", ""}, {"list", "/", "dev empty etc inmate opt proc tmp var"},
		{"list", "/dev", "fd full null random stderr stdin stdout urandom zero"}, {"write", "/etc/motd", "EROFS"}, {"write", "/x", "EROFS"}, {"write", "/opt/x", "EROFS"},
		{"write", "/dev/null", "ok"}, {"write", "/tmp/x", "ok"},
	} {
		s := l.spec(c[0], c[1])
		s.Root.Files = map[string]sandbox.File{"/etc/motd": {Content: "welcome"}}
		s.Root.Links = map[string]string{"/etc/link": "motd"}
		s.Root.Dirs = []string{"/empty/dir"}
		if !l.isolates() && (c[0] == "write" || c[1] == "/" || c[1] == "/dev") {
			continue // these are the host's
		}
		if got := l.try(s); !l.is(got, c[2]) {
			l.Errorf("%v: %s", c, got)
		}
	}
	if !l.isolates() {
		return
	}
	tree := folder(l.T)
	for _, d := range []string{"proc", "dev", "tmp", "app"} {
		if err := os.Mkdir(filepath.Join(tree, d), 0o755); err != nil {
			l.Fatal(err)
		}
	}
	write(l.T, filepath.Join(tree, "inmate"), "")
	write(l.T, filepath.Join(tree, "app/file"), "of the tree")
	s := l.spec("read", "/app/file")
	s.Root.Tree = tree
	if got := l.try(s); got != "of the tree" {
		l.Errorf("a root that was there: %s", got)
	}
}

// links: one deep in what is shown leads to a path inside, such as python's packages to those of the SDK.
func links(l *lab) {
	host := folder(l.T)
	write(l.T, filepath.Join(host, "lang/lib/python3/os.py"), "os")
	write(l.T, filepath.Join(host, "sdk/python/boto3.py"), "boto3")
	if err := os.Symlink("/var/sdk/python", filepath.Join(host, "lang/lib/python3/site-packages")); err != nil {
		l.Fatal(err)
	}
	for name, want := range map[string]string{"site-packages/boto3.py": "boto3", "os.py": "os"} {
		s := l.spec("read", "/var/lang/lib/python3/"+name)
		s.Root.Binds = append(s.Root.Binds, sandbox.Bind{Source: filepath.Join(host, "lang"), Target: "/var/lang"}, sandbox.Bind{Source: filepath.Join(host, "sdk"), Target: "/var/sdk"})
		if got := l.try(s); got != want {
			l.Errorf("%s: %s", name, got)
		}
	}
}

// doors: what connects inside is accepted outside, over TCP and UDP, and says from where.
func doors(l *lab) {
	specs := []sandbox.DoorSpec{
		{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}, {Name: "https", Network: "tcp", Address: "127.0.0.7:443"},
		{Name: "dns", Network: "udp", Address: "127.0.0.1:53"},
	}
	for _, d := range specs {
		var out bytes.Buffer
		s := l.spec("dial", d.Network, d.Address)
		s.Doors, s.Stdout = specs, &out
		i := l.start(s)
		door := i.Doors()[d.Name]
		if d.Network == "udp" {
			b := make([]byte, 100)
			n, from, err := door.Packet.ReadFrom(b)
			if err != nil {
				l.Fatal(err)
			}
			if _, err := door.Packet.WriteTo(append([]byte(d.Name+" "), b[:n]...), from); err != nil {
				l.Fatal(err)
			}
		} else {
			c, err := door.Listener.Accept()
			if err != nil {
				l.Fatal(err)
			}
			if at := c.LocalAddr().String(); l.isolates() && at != d.Address {
				l.Errorf("%s: a connection at %s", d.Name, at)
			}
			b := make([]byte, 100)
			n, err := c.Read(b)
			if err != nil {
				l.Fatal(err)
			}
			fmt.Fprintf(c, "%s %s", d.Name, b[:n])
			c.Close()
		}
		if e := <-i.Wait(); e.Code != 0 || strings.TrimSpace(out.String()) != d.Name+" ping" {
			l.Errorf("%s: %+v %q", d.Name, e, out.String())
		}
		if door.Listener != nil {
			if _, err := door.Listener.Accept(); err == nil {
				l.Errorf("%s outlived its sandbox", d.Name)
			}
		}
	}
}

// manyConnections: connections one after the other leave nothing behind that fills up.
func manyConnections(l *lab) {
	const n = 100
	s := l.spec("dial")
	for range n {
		s.Argv = append(s.Argv, "tcp", "127.0.0.1:9001")
	}
	var out bytes.Buffer
	s.Doors, s.Stdout = []sandbox.DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}}, &out
	i := l.start(s)
	for range n {
		c, err := i.Doors()["runtime"].Listener.Accept()
		if err != nil {
			l.Fatal(err)
		}
		b := make([]byte, 4)
		if _, err := io.ReadFull(c, b); err != nil {
			l.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			l.Fatal(err)
		}
		c.Close()
	}
	if e := <-i.Wait(); e.Code != 0 || strings.Count(out.String(), "x") != n {
		l.Errorf("%+v %q", e, out.String())
	}
}

// channel: descriptor 3.
func channel(l *lab) {
	s := l.spec("channel")
	s.Channel = true
	i := l.start(s)
	if _, err := i.Channel().Write([]byte("hello")); err != nil {
		l.Fatal(err)
	}
	b := make([]byte, 10)
	if _, err := io.ReadFull(i.Channel(), b); err != nil || string(b) != "echo hello" {
		l.Errorf("the channel says %q, %v", b, err)
	}
	if e := <-i.Wait(); e.Code != 0 {
		l.Errorf("%+v", e)
	}
	if n, err := i.Channel().Read(b); err == nil {
		l.Errorf("read %d bytes of a channel that has ended", n)
	}
	s = l.spec("fds")
	s.Channel, s.Env = true, plainGo
	if got := l.try(s); got != "0 1 2 3" {
		l.Errorf("descriptors with a channel: %s", got)
	}
}

// order: what was written before an answer can be read when the answer is there.
func order(l *lab) {
	r, w, err := os.Pipe()
	if err != nil {
		l.Fatal(err)
	}
	defer r.Close()
	s := l.spec("ordered", "50")
	s.Channel, s.Stdout, s.Stderr = true, w, w
	i := l.start(s)
	w.Close()
	lines := 0
	for range 50 {
		if _, err := i.Channel().Write([]byte("go")); err != nil {
			l.Fatal(err)
		}
		if _, err := io.ReadFull(i.Channel(), make([]byte, 1)); err != nil {
			l.Fatal(err)
		}
		if err := r.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			l.Fatal(err)
		}
		if err := r.SetReadDeadline(time.Now().Add(time.Nanosecond)); err != nil {
			l.Fatal(err)
		}
		b := make([]byte, 4096)
		n := pending(r, b)
		lines += strings.Count(string(b[:n]), "\n")
	}
	if lines != 50 {
		l.Errorf("%d lines of 50 were there with their answers", lines)
	}
	if e := <-i.Wait(); e.Code != 0 {
		l.Errorf("%+v", e)
	}
}

// pending reads what a pipe holds now.
func pending(r *os.File, b []byte) (n int) {
	raw, err := r.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { n, _ = unix.Read(int(fd), b) })
	return max(n, 0)
}

// codeAndLayers: code at /var/task, layers merged with a later one above, all of it read-only.
func codeAndLayers(l *lab) {
	host := folder(l.T)
	write(l.T, filepath.Join(host, "code/handler"), "code")
	if err := os.Chmod(filepath.Join(host, "code/handler"), 0o666); err != nil {
		l.Fatal(err)
	}
	for n, files := range []string{"both one", "both two", "both three"} {
		for name := range strings.FieldsSeq(files) {
			write(l.T, filepath.Join(host, fmt.Sprint("layer", n), "d", name), fmt.Sprint("layer", n))
		}
	}
	layers := []string{filepath.Join(host, "layer0"), filepath.Join(host, "layer1"), filepath.Join(host, "layer2")}
	for _, c := range []struct {
		layers        int
		act, at, want string
	}{
		{0, "read", "/var/task/handler", "code"}, {0, "write", "/var/task/handler", "EROFS"}, {0, "write", "/var/task/new", "EROFS"},
		{1, "read", "/opt/d/one", "layer0"}, {3, "read", "/opt/d/both", "layer2"}, {3, "read", "/opt/d/one", "layer0"}, {3, "list", "/opt/d", "both one three two"},
		{3, "write", "/opt/d/new", "EROFS"},
	} {
		s := l.spec(c.act, c.at)
		s.Code, s.Layers = filepath.Join(host, "code"), layers[:c.layers]
		if !l.isolates() && c.act == "write" {
			continue
		}
		if got := l.try(s); !l.is(got, c.want) {
			l.Errorf("%v: %s", c, got)
		}
	}
}

// lateCode: a process that waits sees its code when that has come.
func lateCode(l *lab) {
	host := folder(l.T)
	write(l.T, filepath.Join(host, "code/handler"), "code")
	write(l.T, filepath.Join(host, "layer/tool"), "layer")
	s := l.spec("late")
	s.Late, s.Channel, s.Store, s.Dir = true, true, host, "/"
	i, err := l.driver.Start(l.Context(), s)
	if !l.isolates() {
		if !errors.Is(err, errors.ErrUnsupported) {
			l.Errorf("late code: %v", err)
		}
		return
	}
	if err != nil {
		l.Fatal(err)
	}
	ask := func(words ...string) string {
		if _, err := i.Channel().Write([]byte(strings.Join(words, "\x00"))); err != nil {
			l.Fatal(err)
		}
		line, err := bufio.NewReader(i.Channel()).ReadString('\n')
		if err != nil {
			l.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	if got := ask("read", "/var/task/handler"); got != "ENOENT" {
		l.Errorf("before: %s", got)
	}
	d := sandbox.Delivery{Code: filepath.Join(host, "code"), Layers: []string{filepath.Join(host, "layer")}, TmpBytes: 4 * megabyte, MemoryBytes: 256 * megabyte,
		Doors: []sandbox.DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}}}
	if err := i.(sandbox.Receiver).Deliver(d); err != nil {
		l.Fatal(err)
	}
	for _, c := range [][3]string{{"read", "/var/task/handler", "code"}, {"read", "/opt/tool", "layer"}, {"write", "/var/task/new", "EROFS"}, {"fill", "", "ENOSPC 4"}} {
		if got := ask(c[0], c[1]); !l.is(got, c[2]) {
			l.Errorf("%v: %s", c, got)
		}
	}
	go func() {
		c, err := i.Doors()["runtime"].Listener.Accept()
		if err == nil {
			_, _ = io.ReadFull(c, make([]byte, 4))
			_, _ = c.Write([]byte("pong"))
			c.Close()
		}
	}()
	if got := ask("dial", "tcp", "127.0.0.1:9001"); got != "pong" {
		l.Errorf("a door that came late: %s", got)
	}
	if err := i.(sandbox.Receiver).Deliver(d); err == nil {
		l.Error("delivered twice")
	}
	if err := i.Kill(); err != nil {
		l.Error(err)
	}
}

// lateProgram: a sandbox that stands, with nothing in it, is told what to execute.
func lateProgram(l *lab) {
	if !l.isolates() {
		return // as lateCode says
	}
	host := folder(l.T)
	write(l.T, filepath.Join(host, "code/handler"), "code")
	for range often(l) { // its end must not overtake the news that it has begun
		var out bytes.Buffer
		s := l.spec()
		s.Argv, s.Late, s.Store, s.Stdout = nil, true, host, &out
		i := l.start(s)
		d := sandbox.Delivery{Code: filepath.Join(host, "code"), Argv: []string{"/inmate", "read", "handler"}, Env: []string{"A=1"}, Dir: "/var/task"}
		if err := i.(sandbox.Receiver).Deliver(d); err != nil {
			l.Fatal(err)
		}
		if e := <-i.Wait(); e.Code != 0 || strings.TrimSpace(out.String()) != "code" {
			l.Fatalf("%+v %q", e, out.String())
		}
	}
}

// often is how many times a race is run: a sandbox of gVisor takes a second.
func often(l *lab) int {
	if l.name == GVisor {
		return 5
	}
	return 200
}

// lastWords: what was said before the end can be heard after it, on the channel and at a door.
func lastWords(l *lab) {
	for range often(l) {
		s := l.spec("last", "tcp", "127.0.0.1:9001")
		s.Channel, s.Doors = true, []sandbox.DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}}
		if !l.isolates() {
			s.Argv, s.Doors = s.Argv[:2], nil // its ports are the host's, and other ones
		}
		i := l.start(s)
		if e := <-i.Wait(); e.Code != 0 || e.Err != nil {
			l.Fatalf("%+v", e)
		}
		if b, err := io.ReadAll(i.Channel()); err != nil || string(b) != "last words" {
			l.Fatalf("the channel has %q, %v", b, err)
		}
		if len(s.Doors) == 0 {
			continue
		}
		door := i.Doors()["runtime"].Listener
		c, err := door.Accept()
		if err != nil {
			l.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || string(b) != "last words" {
			l.Fatalf("the connection has %q, %v", b, err)
		}
		c.Close()
		if _, err := door.Accept(); !errors.Is(err, net.ErrClosed) {
			l.Fatalf("after the last connection: %v", err)
		}
	}
}

// memory: what is granted can be had, and who takes more is killed for it.
func memory(l *lab) {
	s := l.spec("eat", "400")
	s.MemoryBytes, s.TmpBytes = 64*megabyte, 16*megabyte
	if out, e := l.run(s); !e.OOMKilled || e.Signal != 9 || e.Err != nil {
		l.Errorf("ate more than there is: %+v %s", e, out)
	}
	s = l.spec("eat", "150")
	s.MemoryBytes, s.TmpBytes = 64*megabyte, 256*megabyte
	if out, e := l.run(s); !e.OOMKilled || e.Signal != 9 {
		l.Errorf("ate the memory of /tmp: %+v %s", e, out)
	}
	s = l.spec("eat", "30")
	s.MemoryBytes = 64 * megabyte
	if out, e := l.run(s); e.OOMKilled || out != "ate 30" || e.Peak < 28*megabyte || e.Peak > 120*megabyte {
		l.Errorf("ate what was granted: %+v %s", e, out)
	}
	i := l.start(l.spec("wait"))
	if peak, err := i.MemoryPeak(); err != nil || peak < 0 || peak > 200*megabyte {
		l.Errorf("%d bytes: %v", peak, err)
	}
	if err := i.Kill(); err != nil {
		l.Error(err)
	}
	if _, err := i.MemoryPeak(); err == nil {
		l.Error("the memory of what has ended")
	}
}

// processes: a fork bomb runs against its bound, and Kill ends all of it.
func processes(l *lab) {
	if !l.isolates() && os.Geteuid() != 0 {
		return // without a cgroup nothing bounds them, as the package says
	}
	s := l.spec("bomb")
	s.Pids, s.MemoryBytes = 50, 512*megabyte // what gVisor keeps of each process is the function's
	r, w := io.Pipe()
	s.Stdout = w
	i := l.start(s)
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n') // what it has read until the end
		said <- line
		_, _ = io.Copy(io.Discard, r)
	}()
	select {
	case line := <-said:
		if line != "EAGAIN true\n" {
			l.Errorf("%q", line)
		}
	case e := <-i.Wait():
		l.Errorf("it ended: %+v", e)
	}
	if err := i.Kill(); err != nil {
		l.Error(err)
	}
	w.Close()
}

// files: the bound of open files.
func files(l *lab) {
	s := l.spec("limit", fmt.Sprint(unix.RLIMIT_NOFILE))
	s.NoFile = 77
	if out := l.try(s); out != "77 77" {
		l.Errorf("open files: %s", out)
	}
	if out := l.try(l.spec("limit", fmt.Sprint(unix.RLIMIT_CORE))); out != "0 0" {
		l.Errorf("core files: %s", out)
	}
}

// tmp: its bound, beside that of memory; it is empty, and one's own.
func tmp(l *lab) {
	if !l.isolates() {
		return // the host's
	}
	s := l.spec("fill")
	s.TmpBytes = 8 * megabyte
	if out := l.try(s); out != "ENOSPC 8" {
		l.Errorf("filled /tmp: %s", out)
	}
	s = l.spec("fill")
	s.MemoryBytes, s.TmpBytes = 32*megabyte, 200*megabyte
	if out := l.try(s); out != "ENOSPC 200" {
		l.Errorf("a /tmp larger than the memory: %s", out)
	}
	if out := l.try(l.spec("list", "/tmp")); out != "" {
		l.Errorf("/tmp of a new one: %s", out)
	}
}

// freeze: a frozen function does nothing, and goes on when thawed; frozen, it can be killed.
func freeze(l *lab) {
	s := l.spec("tick")
	s.Channel = true
	i := l.start(s)
	one := make([]byte, 1)
	quiet := func(d time.Duration) int64 {
		if err := i.Channel().SetReadDeadline(time.Now().Add(d)); err != nil {
			l.Fatal(err)
		}
		n, err := io.Copy(io.Discard, i.Channel())
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			l.Fatal(err)
		}
		return n
	}
	for range 3 {
		if _, err := io.ReadFull(i.Channel(), one); err != nil {
			l.Fatal(err)
		}
		if err := i.Freeze(); err != nil {
			l.Fatal(err)
		}
		said := quiet(200 * time.Millisecond) // what was under way
		if n := quiet(100 * time.Millisecond); n != 0 {
			l.Fatalf("frozen after %d ticks, it ticks %d times", said, n)
		}
		if err := errors.Join(i.Channel().SetReadDeadline(time.Time{}), i.Thaw()); err != nil {
			l.Fatal(err)
		}
	}
	if _, err := io.ReadFull(i.Channel(), one); err != nil {
		l.Fatal(err)
	}
	if err := errors.Join(i.Freeze(), i.Kill()); err != nil {
		l.Fatal(err)
	}
	if e := <-i.Wait(); e.Signal != 9 {
		l.Errorf("killed while frozen: %+v", e)
	}
}

// kill ends every process, those in sessions of their own too.
func kill(l *lab) {
	s := l.spec("run", "/inmate", "wait")
	mark := fmt.Sprintf("mark-%d-%s", os.Getpid(), l.name)
	s.Argv = append(s.Argv, mark)
	i := l.start(s)
	if l.isolates() && l.name != Namespace {
		// gVisor's processes are not the host's: its own host processes are looked for by nothingIsLeft
	} else {
		await(l.T, mark, true)
	}
	if err := i.Kill(); err != nil {
		l.Fatal(err)
	}
	await(l.T, mark, false)
}

// await waits until a process with the mark among its arguments is there, or none is.
func await(t *testing.T, mark string, there bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if found := marked(mark); (len(found) > 0) == there {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("processes %v, want some: %v", found, there)
		}
		time.Sleep(time.Millisecond) // there is no event for another's processes
	}
}

func marked(mark string) (pids []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range all {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(mark)) && !strings.Contains(f, fmt.Sprint("/", os.Getpid(), "/")) {
			pids = append(pids, f)
		}
	}
	return pids
}

// outliving: what a function leaves behind ends with it.
func outliving(l *lab) {
	mark := fmt.Sprintf("left-%d-%s", os.Getpid(), l.name)
	if out := l.try(l.spec("leave", mark, "/inmate")); out != "left" {
		l.Errorf("%s", out)
	}
	await(l.T, mark, false)
}

// nothingIsLeft starts and ends several, and compares the machine before and after.
func nothingIsLeft(l *lab) {
	l.try(l.spec("hello"))
	before := l.traces()
	rounds := 4
	for round := range rounds {
		var all []sandbox.Instance
		for k := range 4 {
			s := l.spec("wait")
			s.Channel, s.Stdout = k%2 == 0, io.Discard
			s.Doors = []sandbox.DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}, {Name: "dns", Network: "udp", Address: "127.0.0.1:53"}}
			all = append(all, l.start(s))
		}
		for k, i := range all {
			if k == round {
				if err := i.Freeze(); err != nil {
					l.Fatal(err)
				}
			}
			if err := i.Kill(); err != nil {
				l.Fatal(err)
			}
		}
	}
	if after := l.traces(); after != before {
		l.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// traces are what instances could leave: descriptors, processes, mounts, cgroups, files. Those of
// gVisor's waiting sandboxes are none, so the pool is full when they are counted.
func (l *lab) traces() string {
	if p, ok := l.driver.(interface{ Ready() (int, int) }); ok {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) { // the pool tells nobody
			if have, want := p.Ready(); have == want {
				break
			} else if time.Now().After(deadline) {
				l.Fatalf("%d of %d sandboxes wait", have, want)
			}
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		l.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		l.Fatal(err)
	}
	groups, _ := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/*/bastide/*-%d-*/*/cgroup.procs", os.Getpid()))
	v2, _ := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/bastide/*-%d-*/*/cgroup.procs", os.Getpid()))
	temporary, _ := filepath.Glob(filepath.Join(os.TempDir(), "bastide-process-*", "t*"))
	return fmt.Sprintf("%d descriptors, %d processes, %d mounts, %d cgroups, %v",
		len(fds), len(children(l.T)), bytes.Count(mounts, []byte("\n")), len(groups)+len(v2), temporary)
}

// children are the processes that this one has.
func children(t *testing.T) (all []string) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tasks {
		b, _ := os.ReadFile(f) // a thread that has ended
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}
