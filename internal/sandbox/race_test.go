package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLateRaces: a program that waits for its code and means ill changes nothing of what is delivered,
// nor where: it puts links in the way of every mount while they are made, and holds on to directories of
// before. What it reaches afterwards is its own package.
func TestLateRaces(t *testing.T) {
	l := newLab(t)
	for round := range 8 {
		dir := store(t)
		before := snapshot(t, filepath.Dir(dir))
		w := l.await(dir)
		w.want("ok", "hold", "/opt", "/opt/lib", "/var/task", "/var", "/", "/tmp", "/dev")
		w.want("racing", "race", filepath.Join(dir, "others"))
		d := Delivery{Code: filepath.Join(dir, "code"), Layers: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}, TmpBytes: 1 << 20}
		if round%2 == 1 {
			d.Layers = d.Layers[:1]
		}
		if err := w.Instance.(Receiver).Deliver(d); err != nil {
			t.Fatal(err)
		}
		w.want("true ", "end")
		w.want("code", "read", "/var/task/handler")
		w.want([]string{"b", "a"}[round%2], "read", "/opt/layer")
		w.want("", "held", "secret")
		w.want("", "held", "others")
		w.want("", "find", "secret")
		w.want("EROFS", "write", "/var/task/handler")
		mounts := w.ask("count", "/proc/self/mountinfo")
		other := l.await(dir)
		if err := other.Instance.(Receiver).Deliver(d); err != nil {
			t.Fatal(err)
		}
		if quiet := other.ask("count", "/proc/self/mountinfo"); mounts != quiet {
			t.Errorf("%s mounts, and %s without a race", mounts, quiet)
		}
		if err := w.Kill(); err != nil {
			t.Error(err)
		}
		if after := snapshot(t, filepath.Dir(dir)); after != before {
			t.Errorf("the store was\n%s and is\n%s", before, after)
		}
	}
}

// TestLateLinks: a package of the store that is a link of somebody's to another is not followed out of
// what was named, and links within a package lead nowhere but into the sandbox.
func TestLateLinks(t *testing.T) {
	l := newLab(t)
	dir := store(t)
	link(t, "../others", filepath.Join(dir, "code/up"))
	link(t, filepath.Join(dir, "others"), filepath.Join(dir, "code/absolute"))
	link(t, "/proc/1/root", filepath.Join(dir, "code/init"))
	w := l.await(dir)
	if err := w.Instance.(Receiver).Deliver(Delivery{Code: filepath.Join(dir, "code")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"up/secret", "absolute/secret", "init/etc/hostname"} {
		w.want("ENOENT", "read", "/var/task/"+name)
	}
}

// snapshot are the names, modes, targets and contents of a tree.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := []byte{}
		if info.Mode().IsRegular() {
			content, err = os.ReadFile(p)
		}
		fmt.Fprintf(&b, "%s %v %q\n", p, info.Mode(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
