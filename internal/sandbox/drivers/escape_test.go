package drivers

import (
	"bufio"
	"maps"
	"slices"
	"strings"
	"testing"
)

// refusals are what a function must not be able to do, by the answer that the namespace driver's
// sandboxes give. Package sandbox tries them one process each, with what a function sees besides; here
// one program tries them all, against every driver that isolates.
var refusals = map[string][]string{
	"EPERM": {
		"mount", "umount", "remount", "fsopen", "open_tree", "move_mount", "mount_setattr", "pivot_root",
		"chroot", "ptrace init", "ptrace me", "process_vm_readv", "pidfd_getfd", "kcmp", "unshare user",
		"unshare mount", "unshare net", "unshare time", "setns", "clone user", "clone net", "io_uring",
		"bpf", "userfaultfd", "perf_event_open", "keyctl", "add_key", "request_key", "kexec_load",
		"init_module", "finit_module", "open_by_handle_at", "name_to_handle_at", "syslog", "reboot",
		"swapon", "acct", "settimeofday", "clock_settime", "adjtimex", "sethostname", "quotactl",
		"fanotify_init", "personality", "seccomp", "memfd_secret", "move_pages", "type to terminal",
		"mknod device", "raise nofile", "setgroups",
	},
	"EAFNOSUPPORT": {
		"raw socket", "raw socket 6", "ping socket", "packet socket", "vsock", "crypto socket",
		"bluetooth socket", "netfilter socket", "audit socket", "uevent socket", "sctp socket",
	},
	"ENOSYS": {"clone3", "unknown call"},
	"EINVAL": {"setuid 0", "setgid 0"},
	"ok":     {"route socket", "tcp socket", "udp socket 6", "bounding set"},
}

// otherwise is how gVisor answers where it does not answer so: its kernel has users and groups that a
// function has no right to become, where a namespace's does not have them at all.
var otherwise = map[string]string{"setuid 0": "EPERM", "setgid 0": "EPERM"}

// TestEscapes lets a function of each isolating driver try what it must not be able to do.
func TestEscapes(t *testing.T) {
	names := slices.DeleteFunc(present(), func(n string) bool { return n == Process })
	each(t, names, func(t *testing.T, l *lab) {
		s := l.spec("late")
		s.Channel = true
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
		tried := 0
		for _, want := range slices.Sorted(maps.Keys(refusals)) {
			for _, attempt := range refusals[want] {
				got := ask(attempt)
				expected := want
				if o, ok := otherwise[attempt]; ok && l.name == GVisor {
					expected = o
				}
				if attempt == "mknod device" && l.name == GVisor && got == "ok" {
					// older ones let everybody make the file; no device is behind it
					if got = ask("read\x00/tmp/mem"); got == "ENXIO" || got == "EACCES" {
						got = expected
					}
				}
				if got != expected {
					t.Errorf("%s: %s, want %s", attempt, got, expected)
				}
				tried++
			}
		}
		if tried < 60 {
			t.Errorf("only %d attempts", tried)
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
