package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// What this test binary is told when it is run as something else than the tests.
const (
	granted  = "BASTIDE_SANDBOX_SUBIDS"   // a line of /etc/subuid to have, as nobody
	grantee  = "BASTIDE_SANDBOX_GRANTEE"  // that it has them
	stranger = "BASTIDE_SANDBOX_STRANGER" // processes to meddle with, as another user
	mapped   = "BASTIDE_SANDBOX_MAPPED"   // who is root of a user namespace
)

// nobody is the ordinary user that the tests run as.
const nobody = 65534

// granting is the line that grants nobody ids.
const granting = "nobody:1900000000:65536\n"

// TestSubordinateIDs runs the suite again as an ordinary user to whom subordinate ids are granted.
func TestSubordinateIDs(t *testing.T) {
	if os.Geteuid() == 0 {
		again(t, granting, "-test.skip=^(TestGivesWay|TestNothingIsLeft|TestLateRaces|TestDisks|TestHeld|FuzzWalk)$")
	}
}

// ownUsers tells whether sandboxes must have users of their own.
func ownUsers() bool {
	_, err := findSubordinate()
	return privileged() || os.Getenv(grantee) != "" || err == nil
}

// beGranted gives this process, whose mounts are its own, files that grant it ids, and runs the tests.
func beGranted() {
	dir, line := os.Getenv(kit), os.Getenv(granted)
	os.Unsetenv(granted)
	os.Setenv(grantee, "1")
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	for _, file := range []string{subuidFile, subgidFile} {
		mine := filepath.Join(dir, filepath.Base(file))
		if err == nil {
			err = os.WriteFile(mine, []byte(line), 0o644)
		}
		if err == nil {
			err = unix.Mount(mine, file, "", unix.MS_BIND, "")
		}
	}
	if err == nil {
		err = syscall.Setgroups(nil)
	}
	if err == nil {
		err = syscall.Setresgid(nobody, nobody, nobody)
	}
	if err == nil {
		err = syscall.Setresuid(nobody, nobody, nobody)
	}
	if err == nil {
		err = syscall.Exec(filepath.Join(dir, "suite"), os.Args, os.Environ())
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestUsersRunOut: ids are never given twice, and when all are in use that is an error.
func TestUsersRunOut(t *testing.T) {
	u := users{first: 1000, count: fewestUsers, groups: 5000, taken: map[int]bool{}, blocks: map[int]bool{}}
	seen := map[int]bool{}
	for range fewestUsers / 2 {
		id, err := u.one()
		if err != nil || seen[id] || id < 1000 || id >= 1000+fewestUsers/2 || u.group(id) != id+4000 {
			t.Fatalf("%d, group %d, %v", id, u.group(id), err)
		}
		seen[id] = true
	}
	for range fewestUsers / 2 / control.Spares {
		id, err := u.block()
		if err != nil || seen[id] || id < 1000+fewestUsers/2 || id+control.Spares > 1000+fewestUsers {
			t.Fatalf("the block %d, %v", id, err)
		}
		seen[id] = true
	}
	_, err := u.one()
	if _, berr := u.block(); !errors.Is(err, errNoUsers) || !errors.Is(berr, errNoUsers) {
		t.Errorf("%v, %v", err, berr)
	}
	delete(u.taken, 1000)
	if id, err := u.one(); id != 1000 || err != nil {
		t.Errorf("what was given back: %d, %v", id, err)
	}
}

// TestUnused: where nobody asks for subordinate ids, doctor says that they are not used, and promises nothing.
func TestUnused(t *testing.T) {
	program, err := os.ReadFile(filepath.Join(kitFolder(t), "init"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(Config{Init: program})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if says := n.userLayer(); (says.State == Full) != privileged() || !privileged() && (strings.Contains(says.Fix, "subuid") || !strings.Contains(says.Detail, errUnused.Error())) {
		t.Errorf("%+v", says)
	}
}

// TestNoMapping: where newuidmap is there and refuses, sandboxes start as Bastide's user, and doctor says what
// it said.
func TestNoMapping(t *testing.T) {
	if privileged() || !ownUsers() {
		return // nothing is mapped
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "newuidmap"), []byte("#!/bin/sh\necho not today >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	l := newLab(t)
	if i, says := l.begun(), l.ns.userLayer(); i.hostUID != os.Geteuid() || says.State != Weaker || !strings.Contains(says.Detail, "not today") {
		t.Errorf("the user %d, and doctor says %+v", i.hostUID, says)
	}
}

// TestApart: a sandbox's user, who is outside of every pid namespace here, can signal and read its own
// sandbox's processes only. Where all have one user there is no such wall, and doctor says so.
func TestApart(t *testing.T) {
	l := newLab(t)
	one, other := l.begun(), l.begun()
	if l.ns.users.own() != ownUsers() || l.ns.users.own() != (one.hostUID != other.hostUID) || l.ns.users.own() != (l.ns.userLayer().State == Full) {
		t.Fatalf("users %d and %d, and doctor says %+v", one.hostUID, other.hostUID, l.ns.userLayer())
	}
	if !l.ns.users.own() {
		if says := l.ns.userLayer(); one.hostUID != os.Geteuid() || says.State != Weaker || !strings.Contains(says.Detail, subuidFile) && !strings.Contains(says.Detail, subgidFile) || !strings.Contains(says.Fix, "install uidmap") {
			t.Errorf("the user %d, and doctor says %+v", one.hostUID, says)
		}
		return
	}
	mine, theirs := descendants(one.pid), descendants(other.pid)
	got := meddle(t, one, fmt.Sprint(mine[len(mine)-1], " ", theirs[len(theirs)-1]))
	lines := strings.Split(got, "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "<nil>") || lines[1] != "operation not permitted true" {
		t.Errorf("of its own and of the other sandbox's process: %q", lines)
	}
}

// begun is a sandbox whose process waits.
func (l *lab) begun() *instance {
	l.t.Helper()
	r, w := io.Pipe()
	s := l.spec("wait")
	s.Stdout = w
	i := l.start(s).(*instance)
	l.t.Cleanup(func() { i.Kill(); r.Close() })
	if _, err := io.ReadFull(r, make([]byte, 8)); err != nil {
		l.t.Fatal(err)
	}
	return i
}

// meddle runs this binary as the user of a sandbox.
func meddle(t *testing.T, i *instance, pids string) string {
	t.Helper()
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(shared(t), "meddle")
	if err := os.WriteFile(self, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{stranger + "=" + pids}
	cmd.Dir = "/"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if i.driver.root {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(i.hostUID), Gid: uint32(i.hostGID)}}
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, AmbientCaps: []uintptr{unix.CAP_SETUID}}
		cmd.Env = append(cmd.Env, mapped+"=1")
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !i.driver.root { // root of a namespace in which that user alone is, and which holds nothing else
		if out, err := exec.Command("newuidmap", strconv.Itoa(cmd.Process.Pid), "0", strconv.Itoa(i.hostUID), "1").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	begin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return strings.TrimSpace(out.String())
}

// beStranger tells of two processes whether the user that this one has may signal them and read what they
// were started with.
func beStranger() {
	_, err := io.ReadAll(os.Stdin) // until the user is there
	if err == nil && os.Getenv(mapped) != "" {
		err = syscall.Setresuid(0, 0, 0)
	}
	if err != nil {
		fmt.Println(err)
	}
	for pid := range strings.FieldsSeq(os.Getenv(stranger)) {
		n, _ := strconv.Atoi(pid)
		_, err := os.ReadFile("/proc/" + pid + "/environ")
		fmt.Println(unix.Kill(n, 0), errors.Is(err, unix.EACCES))
	}
}
