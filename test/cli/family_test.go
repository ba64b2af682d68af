package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is one of the machine's, told from a later one of the same number by when it began.
type process struct{ id, parent, began string }

// processes are those that run now.
func processes() (out []process) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		id, _, _ := strings.Cut(string(b), " ")
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // proc_pid_stat(5): from the third on
		if len(fields) > 19 && fields[0] != "Z" {
			out = append(out, process{id, fields[1], fields[19]})
		}
	}
	return out
}

// family notes the process whose command line names a data directory, and all that it has started.
func family(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: family DIR")
	}
	all, in := processes(), map[string]bool{}
	var noted []string
	for _, p := range all {
		b, err := os.ReadFile("/proc/" + p.id + "/cmdline")
		if err == nil && bytes.Contains(b, []byte(args[0])) && p.id != strconv.Itoa(os.Getpid()) {
			in[p.id] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if in[p.parent] && !in[p.id] {
				in[p.id], grown = true, true
			}
		}
	}
	for _, p := range all {
		if in[p.id] {
			noted = append(noted, p.id+" "+p.began)
		}
	}
	if len(noted) < 3 {
		ts.Fatalf("a server with a live function has the processes %q", noted)
	}
	ts.Check(os.WriteFile(ts.MkAbs("family"), []byte(strings.Join(noted, "\n")), 0o600))
}

// gone waits until none of the family is there any more, and fails when one stays: the kernel takes
// a sandbox down a moment after the server's end.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: gone")
	}
	noted := strings.Split(ts.ReadFile("family"), "\n")
	left := ""
	for range 200 {
		if left = leftOf(noted); left == "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s, has been left", left)
}

// leftOf names a process that is still there; "" where none is.
func leftOf(noted []string) string {
	for _, p := range processes() {
		if slices.Contains(noted, p.id+" "+p.began) {
			b, err := os.ReadFile("/proc/" + p.id + "/stat")
			if err == nil {
				return "process " + strings.TrimSpace(string(b))
			}
		}
	}
	return ""
}
