package drivers

import (
	"bufio"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// otherwise is how gVisor answers where it does not answer as Linux does. Its kernel is the sandbox's own:
// it has users and groups that a function has no right to become, lacks some things altogether, and what
// it grants of its own priorities, packets and ports is worth nothing outside. A 64-bit number is all that
// it sees of a 32-bit call, which the filter then judges. Older ones show the numbers of the agent's
// descriptors, though not what they are, and its environment, which holds no secret.
var otherwise = map[string]string{
	"setuid 0": "EPERM", "setgid 0": "EPERM", "setresuid 0": "EPERM",
	"ambient": "EINVAL", "securebits": "EINVAL", "file capabilities": "ENOTSUP", "trusted attribute": "ENOTSUP",
	"outer namespace": "ENOTTY", "outer processes": "ENOTTY", "another's interface": "ENOTTY", "new address": "EACCES",
	"real time": "EINVAL", "negative nice": "ok", "wake the machine": "EINVAL", "run|/inmate|int80": "-22",
	"mark packets": "ok", "foreign source": "ok", "privileged port": "ok",
	"list|/proc/1/fd": "0 1 2 3 4 5 7", "read|/proc/1/environ": "GOMAXPROCS=1\x00GODEBUG=containermaxprocs=0,updatemaxprocs=0\x00HOME=/\x00",
}

// TestEscapes lets a function of each isolating driver try what it must not be able to do. Package
// sandbox tries the same in one sandbox each, with what a function sees besides; here one program tries
// all.
func TestEscapes(t *testing.T) {
	names := slices.DeleteFunc(present(), func(n string) bool { return n == Process })
	each(t, names, func(t *testing.T, l *lab) {
		s := l.spec("late")
		s.Channel = true
		for _, program := range []string{"/su", "/open"} {
			s.Root.Binds = append(s.Root.Binds, sandbox.Bind{Source: filepath.Join(l.kit, "inmate"), Target: program})
		}
		i := l.start(s)
		answers := bufio.NewReader(i.Channel())
		ask := func(words string) string {
			if _, err := i.Channel().Write([]byte(words)); err != nil {
				t.Fatal(err)
			}
			got, err := answers.ReadString('\n')
			if err != nil {
				t.Fatalf("%q: %v", words, err)
			}
			return strings.TrimSpace(got)
		}
		techniques := 0
		for _, e := range sandboxtest.Escapes() {
			for _, try := range e.Tries {
				got := ask(strings.Join(try.Words(), "\x00"))
				if l.name == GVisor {
					try.Want = try.Want + "|" + otherwise[try.Do]
				}
				if strings.HasPrefix(try.Do, "mknod ") && l.name == GVisor && got == "ok" {
					// older ones let everybody make the file; no device is behind it
					if got = ask("read\x00/tmp/" + map[string]string{"mknod device": "mem", "mknod block": "vda"}[try.Do]); got == "ENXIO" || got == "EACCES" {
						got = try.Want
					}
				}
				if got != try.Want && !try.Holds(got) {
					t.Errorf("%s: %s: %q, want %s", e.Technique, try.Do, got, try.Want)
				}
			}
			techniques++
		}
		for _, given := range sandboxtest.Given() {
			if got := ask(strings.Join(given.Words(), "\x00")); !given.Holds(got) {
				t.Errorf("%s: %q", given.Do, got)
			}
		}
		if techniques < sandboxtest.Least {
			t.Errorf("only %d techniques", techniques)
		}
		if err := i.Kill(); err != nil {
			t.Error(err)
		}
	})
}

// TestSecrets: what one function knows, the next does not find: in files, memory files, its environment,
// or the descriptors that it was started with.
func TestSecrets(t *testing.T) {
	names := slices.DeleteFunc(present(), func(n string) bool { return n == Process })
	each(t, names, func(t *testing.T, l *lab) {
		first := l.spec("write", "/tmp/secret")
		first.Env = []string{"SECRET=hunter2"}
		if out := l.try(first); out != "ok" {
			t.Fatal(out)
		}
		for _, c := range [][3]string{
			{"list", "/tmp", ""}, {"env", "", ""}, {"list", "/dev/shm", "ENOENT"}, {"read", "/proc/1/environ", ""}, {"read", "/proc/1/fd/0", ""}, {"list", "/proc/1/root", ""}, {"list", "/proc/1/cwd", ""}, {"read", "/proc/1/mem", ""}, {"write", "/proc/1/mem", ""}, {"list", "/sys", "ENOENT"},
			{"read", "/etc/shadow", "ENOENT"}, {"stat", "/dev/mem", "ENOENT"}, {"stat", "/dev/kmsg", "ENOENT"}, {"stat", "/hole", "ENOENT"}, {"stat", "/agent", "ENOENT"},
			{"signal", "", "still here"},
		} {
			got := l.try(l.spec(c[0], c[1]))
			if strings.HasPrefix(c[1], "/proc/1/") { // another user's, or not to be seen at all
				own := l.name == GVisor && c[1] == "/proc/1/environ" && strings.Contains(got, "GOMAXPROCS=1") && !strings.Contains(got, "SECRET") // the agent's, whom older ones show
				if !own && !slices.Contains([]string{"ENOENT", "EACCES", "EPERM", "EIO", "ENXIO"}, got) {
					t.Errorf("%v: %q", c, got)
				}
			} else if got != c[2] {
				t.Errorf("%v: %s", c, got)
			}
		}
	})
}

// TestNothingIsShared: one function hides a secret in memory, files, IPC and sockets, wherever its driver
// lets it; one beside it, and one after its end, look for it in all that they can read.
func TestNothingIsShared(t *testing.T) {
	names := slices.DeleteFunc(present(), func(n string) bool { return n == Process })
	each(t, names, func(t *testing.T, l *lab) {
		const a, z = "a-secret-of-", "one-function-alone"
		s := l.spec("late")
		s.Channel, s.MemoryBytes = true, 512*megabyte
		first := l.start(s)
		answers := bufio.NewReader(first.Channel())
		ask := func(words ...string) string {
			if _, err := first.Channel().Write([]byte(strings.Join(words, "\x00"))); err != nil {
				t.Fatal(err)
			}
			got, err := answers.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(got)
		}
		hidden := ask("hide", a+z)
		if hidden != "/tmp ipc memory sockets" {
			t.Fatalf("hidden in %s", hidden)
		}
		found := ask("seek", a, z)
		for place := range strings.FieldsSeq("/tmp ipc memory") { // else the search proves nothing
			if !strings.Contains(found, place) {
				t.Errorf("the one that hid it finds it in %q", found)
			}
		}
		for _, when := range []string{"beside it", "after it"} {
			next := l.spec("seek", a, z)
			next.MemoryBytes = 512 * megabyte
			if found := l.try(next); found != "" {
				t.Errorf("%s, another finds it in %s", when, found)
			}
			if when == "beside it" {
				if err := first.Kill(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
