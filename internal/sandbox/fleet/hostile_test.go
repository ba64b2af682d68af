package fleet

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestHostileRuntime: whatever a custom runtime sends to the Runtime API, it answers its own event once
// and nobody else's, and Bastide serves on.
func TestHostileRuntime(t *testing.T) {
	l := newLab(t)
	fn := l.function("provided.al2023", "hostile", string(guestProgram(t)))
	fn.Env = map[string]string{"HOSTILE": "1"}
	before := descriptors(t)
	first, second := l.invoke(fn, `1`), l.invoke(fn, `2`)
	var got, then map[string]string
	if json.Unmarshal(first.Payload, &got) != nil || json.Unmarshal(second.Payload, &then) != nil {
		t.Fatalf("%s\n%s\n%q", first.Payload, second.Payload, l.logs())
	}
	for name, want := range map[string]string{
		"an answer before any event": "400", "another request's answer": "400", "another request's error": "400",
		"an id that climbs": "307", "an id that is encoded": "400", "an id of two megabytes": "431",
		"the next event while one runs": "403", "an initialisation error after it": "403",
		"a foreign host": "421", "a foreign host that looks like ours": "421", "a foreign address": "421", "no host": "400", "two hosts": "400",
		"another's URL": "421", "a proxy": "421", "two lengths": "400", "a negative length": "400", "a coding that nobody knows": "501",
		"a length with a sign": "400", "a chunk without end": "400", "a request within a chunked one": "400 400", "a request behind another": "400 400", "a header above the limit": "431",
		"a line break in a header": "400", "a zero byte in a header": "400", "a header that is folded": "421",
		"another method": "405", "another API": "404", "Bastide's own paths": "404", "no HTTP": "400", "HTTP/2 at once": "421", "TLS": "400",
		"an extension that is none": "403", "connections without end": "true", "still there": "400",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %s", name, got[name], want)
		}
	}
	if len(got) < 30 {
		t.Errorf("only %d attempts", len(got))
	}
	for name, want := range map[string]string{"the answer": "202", "a second answer": "403", "an error after the answer": "403"} {
		if then[name] != want {
			t.Errorf("%s: %q, want %s", name, then[name], want)
		}
	}
	if third := l.invoke(fn, `3`); third.FunctionError == "" || !strings.Contains(string(third.Payload), "Function.ResponseSizeTooLarge") {
		t.Errorf("an answer above the limit: %.200s", third.Payload)
	}
	l.Retire(fn.ARN)
	// a ready sandbox has some too, where there are any
	eventually(t, "its connections are gone", func() bool { return descriptors(t) <= before+2+30*l.Pool().Size })
}

// TestConnectionsOfAnInstanceAreBounded: a function that opens ever more connections to Bastide's API
// holds no more of its descriptors than its bound.
func TestConnectionsOfAnInstanceAreBounded(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "opens", `
import os, socket, threading, time
held = []
def open_many():
    while len(held) < 2000:
        try:
            held.append(socket.create_connection(("127.0.0.1", int(os.environ["AWS_ENDPOINT_URL"].split(":")[-1].strip("/") or 80)), timeout=1))
        except OSError:
            time.sleep(0.05)
def handler(e, c):
    for _ in range(8): os.fork() == 0 and (open_many(), time.sleep(1000))
    time.sleep(2)
    return os.environ["AWS_ENDPOINT_URL"]
`)
	before := descriptors(t)
	out := l.invoke(fn, `1`)
	if out.FunctionError != "" {
		t.Fatalf("%s", out.Payload)
	}
	if most := descriptors(t) - before; most < 100 || most > 2*maxConnections+150 {
		t.Errorf("%d descriptors of Bastide's are taken", most)
	}
	l.want(l.invoke(l.function(l.py, "other", "def handler(e, c): return e\n"), `5`), "", "5")
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}
