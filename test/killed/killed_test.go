package killed

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/drivers"
	"github.com/bastide-cloud/bastide/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// program has a process of its own beside it, a file in /tmp, and may never answer.
const program = `
import os, subprocess, time
child = subprocess.Popen(["sleep", "4000"])
open("/tmp/mine", "w").write("x" * 100000)

def handler(event, context):
    while event.get("stay"):
        time.sleep(1)
    return "here"
`

// TestNothingOutlivesBastide: SIGKILL comes while one function rests, frozen, one is at work and others
// are made ready.
func TestNothingOutlivesBastide(t *testing.T) {
	for _, driver := range []string{drivers.Namespace, drivers.GVisor, drivers.Process} {
		t.Run(driver, func(t *testing.T) {
			s := harness.Start(t, "--driver", driver)
			create(t, s, "rests", "works")
			rests(t, s)
			cut := make(chan error, 1)
			go func() { cut <- invoke(t, s, "works", `{"stay":true}`, new(string)) }()
			pid := s.PID()
			await(t, "two functions, one of them resting", func() bool { return atWork(t, s) && frozen(t, pid) })
			family := identities(harness.Descendants(pid))
			if len(family) < 3 {
				t.Fatalf("only %d processes: %v", len(family), family)
			}
			mounts := mentions(t, s.Data)
			s.Kill(t)
			await(t, "the end of who is not frozen", func() bool { return len(living(family)) <= len(family)/2 })
			s.Restart(t)
			await(t, "the end of all", func() bool { return len(living(family)) == 0 })
			if groups, err := harness.Cgroups(pid); err != nil || len(groups) > 0 {
				t.Errorf("cgroups are left: %v %v", groups, err)
			}
			if now := mentions(t, s.Data); now != mounts {
				t.Errorf("mounts were:\n%s\nand are:\n%s", mounts, now)
			}
			if files := left(t, filepath.Join(s.Data, "sandboxes", driver)); len(files) > 0 {
				t.Errorf("files are left: %v", files)
			}
			if err := <-cut; err == nil {
				t.Error("the function at work has answered")
			}
			rests(t, s)
			s.Stop(t)
			if groups, err := harness.Cgroups(pid); err != nil || len(groups) > 0 {
				t.Errorf("cgroups are left at the end: %v %v", groups, err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create makes functions of the program.
func create(t *testing.T, s *harness.Server, names ...string) {
	ctx, c := t.Context(), s.Client(t)
	version, err := exec.CommandContext(ctx, "python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])").Output()
	must(t, err)
	must(t, c.Query(ctx, "iam", "2010-05-08", "CreateRole", map[string][]string{"RoleName": {"runs"},
		"AssumeRolePolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}}, nil))
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	w, err := z.Create("app.py")
	must(t, err)
	_, err = w.Write([]byte(program))
	must(t, errors.Join(err, z.Close()))
	for _, name := range names {
		must(t, c.REST(ctx, "lambda", http.MethodPost, "/2015-03-31/functions", map[string]any{"FunctionName": name, "Runtime": strings.TrimSpace(string(version)), "Handler": "app.handler",
			"Role": "arn:aws:iam::" + harness.Account + ":role/runs", "Timeout": 600, "Code": map[string]any{"ZipFile": code.Bytes()}}, nil))
	}
}

func invoke(t *testing.T, s *harness.Server, name, event string, answer *string) error {
	return s.Client(t).REST(t.Context(), "lambda", http.MethodPost, "/2015-03-31/functions/"+name+"/invocations", json.RawMessage(event), answer)
}

// rests has a function answer that then has nothing to do.
func rests(t *testing.T, s *harness.Server) {
	t.Helper()
	answer := ""
	if err := invoke(t, s, "rests", `{}`, &answer); err != nil || answer != "here" {
		t.Fatalf("%q, %v", answer, err)
	}
}

// await waits for something that nobody tells of.
func await(t *testing.T, what string, there func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !there(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

// atWork tells whether there are two instances, one of which has nothing to do.
func atWork(t *testing.T, s *harness.Server) bool {
	var st struct{ Instances, InstancesIdle int }
	must(t, s.Client(t).REST(t.Context(), "bastide", http.MethodGet, "/_bastide/v1/status", nil, &st))
	return st.Instances == 2 && st.InstancesIdle == 1
}

// frozen tells whether something of a server's stands still.
func frozen(t *testing.T, pid int) bool {
	groups, err := harness.Cgroups(pid)
	must(t, err)
	return slices.ContainsFunc(groups, func(dir string) bool {
		one, _ := os.ReadFile(filepath.Join(dir, "freezer.state")) // of either version, or of another controller
		two, _ := os.ReadFile(filepath.Join(dir, "cgroup.freeze"))
		return string(one) == "FROZEN\n" || string(two) == "1\n"
	})
}

// identities are processes with their times of start, so that none is taken for another.
func identities(pids []string) map[string]string {
	all := map[string]string{}
	for _, pid := range pids {
		if at := started(pid); at != "" {
			all[pid] = at
		}
	}
	return all
}

// started is field 22 of /proc/PID/stat; empty for who has ended.
func started(pid string) string {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, ok := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	if err != nil || !ok || len(f) < 20 || f[0] == "Z" {
		return ""
	}
	return f[19]
}

func living(family map[string]string) (all []string) {
	for pid, at := range family {
		if started(pid) == at {
			line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			all = append(all, pid+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return all
}

// mentions are the lines of the mount table, and of the sockets that have names, with a path.
func mentions(t *testing.T, path string) (found string) {
	for _, table := range []string{"/proc/self/mountinfo", "/proc/net/unix"} {
		text, err := os.ReadFile(table)
		must(t, err)
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, path) {
				found += line
			}
		}
	}
	return found
}

// left are the files of a directory but for the agent's program.
func left(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "agent" {
			names = append(names, e.Name())
		}
	}
	return names
}
