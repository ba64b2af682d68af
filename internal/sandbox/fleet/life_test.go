package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// eventually waits for a state that comes about by itself, and fails after a long time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("it did not happen: %s", what)
		}
		runtime.Gosched()
	}
}

const counter = `let n = 0; exports.handler = async (e) => ++n`

// gate is a handler that waits until a file appears, so that a test decides when it ends.
const waiter = `
import os, time
def handler(e, c):
    print("waiting", flush=True)
    while not os.path.exists("/tmp/never"):
        time.sleep(0.01)
`

func TestConcurrencyOpensInstancesThenThrottles(t *testing.T) {
	l := newLab(t, func(d *Deps) { d.Concurrency = 3 })
	fn := l.function(l.py, "waits", waiter)
	fn.Timeout = 5 * time.Second
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if out, err := l.Invoke(t.Context(), fn, event1(`1`)); err != nil || !strings.Contains(string(out.Payload), "Sandbox.Timedout") {
				t.Errorf("got %s %v", out.Payload, err)
			}
		})
	}
	eventually(t, "three wait", func() bool { return strings.Count(strings.Join(l.logs(), ""), "waiting") == 3 })
	_, err := l.Invoke(t.Context(), fn, event1(`1`))
	if e, ok := errors.AsType[*ThrottledError](err); !ok || e.Reason != ConcurrentExceeded {
		t.Errorf("a fourth: got %v", err)
	}
	zero := 0
	reserved := l.function(l.node, "reserved", counter)
	reserved.Reserved = &zero
	_, err = l.Invoke(t.Context(), reserved, event1(`1`))
	if e, ok := errors.AsType[*ThrottledError](err); !ok || e.Reason != ReservedExceeded {
		t.Errorf("no reserved concurrency: got %v", err)
	}
	one := 1
	reserved.Reserved = &one
	l.want(l.invoke(reserved, `1`), "", "1") // its own share is free
	wg.Wait()
	held := l.function(l.node, "held", counter)
	held.HeldBack = 3 // others have reserved all there is
	_, err = l.Invoke(t.Context(), held, event1(`1`))
	if e, ok := errors.AsType[*ThrottledError](err); !ok || e.Reason != ConcurrentExceeded {
		t.Errorf("beside reservations of everything: got %v", err)
	}
	held.HeldBack = 2
	l.want(l.invoke(held, `1`), "", "1")
	l.want(l.invoke(l.function(l.node, "after", counter), `1`), "", "1")
}

// TestDoorsOfOthers: a function that runs beside another reaches neither its sockets nor its doors,
// and sees none of them.
func TestDoorsOfOthers(t *testing.T) {
	l := newLab(t)
	victim := l.function(l.py, "victim", `
import socket, time
tcp = socket.create_server(("127.0.0.1", 7777))
named = socket.socket(socket.AF_UNIX); named.bind("\0victim"); named.listen()
def handler(e, c):
    print("waiting", flush=True)
    time.sleep(60)
`)
	victim.Timeout = 10 * time.Second
	victim.Ways = waysOf(t, "db.internal:5432")
	var wg sync.WaitGroup
	wg.Go(func() {
		if out, err := l.Invoke(t.Context(), victim, event1(`1`)); err != nil || !strings.Contains(string(out.Payload), "Sandbox.Timedout") {
			t.Errorf("the victim: %s %v", out.Payload, err)
		}
	})
	defer wg.Wait()
	eventually(t, "the victim waits", func() bool { return strings.Contains(strings.Join(l.logs(), ""), "waiting") })
	out := l.invoke(l.function(l.py, "prober", `
import os, socket, urllib.request
def reach(family, address):
    s = socket.socket(family)
    s.settimeout(2)
    try:
        s.connect(address)
        return "connected"
    except OSError as e:
        return type(e).__name__
    finally:
        s.close()
def listening(path):
    return sorted(int(line.split()[1].split(":")[1], 16) for line in open(path).readlines()[1:] if line.split()[3] == "0A")
def handler(e, c):
    doors = set(reach(socket.AF_INET, ("127.0.0.%d" % n, port)) for n in range(1, 16) for port in (5432, 7777))
    return [sorted(doors), reach(socket.AF_UNIX, "\0victim"), "victim" in open("/proc/net/unix").read(), listening("/proc/net/tcp"),
        urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/x", timeout=5).read().decode().split()[0]]
`), `1`)
	var got [5]any
	if err := json.Unmarshal(out.Payload, &got); err != nil {
		t.Fatalf("%v %s", err, out.Payload)
	}
	own := fmt.Sprint(got[3])
	if fmt.Sprint(got[0]) != "[ConnectionRefusedError]" || got[1] != "ConnectionRefusedError" || got[2] != false || got[4] != "prober" ||
		strings.Contains(own, "7777") || strings.Contains(own, "5432") {
		t.Errorf("beside another function: %v", got)
	}
}

// TestDoorsKnowTheChain: what a function calls while an event runs carries the event's chain, and nothing
// that the function says changes it.
func TestDoorsKnowTheChain(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "chained", `
import os, urllib.request
def handler(e, c):
    r = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + "/x", headers={"X-Amzn-Trace-Id": "Root=1;Lineage=other:0"})
    return urllib.request.urlopen(r, timeout=5).read().decode().split()[3:]
`)
	for _, chain := range [][]string{{"a=1"}, {"a=2", "b=1"}, nil} {
		out, err := l.Invoke(t.Context(), fn, Event{RequestID: "r", ARN: fn.ARN, Payload: []byte("1"), Lineage: chain})
		var got []string
		if err != nil || json.Unmarshal(out.Payload, &got) != nil || !slices.Equal(got, chain) {
			t.Errorf("%s, %v; want %v", out.Payload, err, chain)
		}
	}
}

func TestMachineBoundEndsTheIdle(t *testing.T) {
	l := newLab(t, func(d *Deps) { d.Instances = 2 })
	for n := range 4 {
		l.want(l.invoke(l.function(l.node, fmt.Sprint("f", n), counter), `1`), "", "1")
	}
	if living, resting := l.Count(); living > 2 || resting > 2 {
		t.Errorf("%d live, %d rest", living, resting)
	}
}

func TestIdleInstancesFreezeAndEnd(t *testing.T) {
	l := newLab(t, func(d *Deps) { d.FreezeAfter = time.Millisecond; d.EndAfter = 2 * time.Second })
	fn := l.function(l.node, "rests", counter)
	l.want(l.invoke(fn, `1`), "", "1")
	eventually(t, "it freezes", func() bool {
		l.Fleet.mu.Lock()
		defer l.Fleet.mu.Unlock()
		for i := range l.living {
			i.mu.Lock()
			defer i.mu.Unlock()
			return i.rest == frozen
		}
		t.Fatal("it ended before it froze")
		return false
	})
	l.want(l.invoke(fn, `1`), "", "2") // thawed
	eventually(t, "it ends", func() bool { living, resting := l.Count(); return living+resting == 0 })
	l.want(l.invoke(fn, `1`), "", "1")
}

func TestInstancesEndBeforeTheirCredentials(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.node, "keys", `let n = 0; exports.handler = async (e) => [++n, process.env.AWS_ACCESS_KEY_ID]`)
	l.want(l.invoke(fn, `1`), "", `\[1,"ASIAkeys"\]`)
	l.clock.move(58 * time.Minute)
	l.want(l.invoke(fn, `1`), "", `\[2,"ASIAkeys"\]`)
	l.clock.move(time.Minute) // now less is left than an invocation may take
	l.want(l.invoke(fn, `1`), "", `\[1,"ASIAkeys"\]`)
}

func TestChangeAndRetireEndInstances(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.node, "changes", counter)
	l.want(l.invoke(fn, `1`), "", "1")
	l.want(l.invoke(fn, `1`), "", "2")
	fn.Revision = "2"
	l.want(l.invoke(fn, `1`), "", "1")
	other := fn
	other.Version = "1"
	l.want(l.invoke(other, `1`), "", "1") // a version is never shared
	l.want(l.invoke(fn, `1`), "", "2")
	eventually(t, "the old one ends", func() bool { living, _ := l.Count(); return living == 2 })
	l.Retire(fn.ARN)
	eventually(t, "all end", func() bool { living, resting := l.Count(); return living+resting == 0 })
}

// A child process that outlives its invocation does not run on while the instance is idle, and its
// output is not the next invocation's loss.
func TestOutputOfManyInvocationsStaysInOrder(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.py, "talks", "def handler(e, c):\n    for i in range(e):\n        print('line', i)\n    return e\n")
	for n := range 30 {
		l.want(l.invoke(fn, fmt.Sprint(n*20)), "", fmt.Sprint(n*20))
	}
	var open bool
	lines := 0
	for _, e := range l.logs() {
		switch {
		case strings.HasPrefix(e, "START"):
			open, lines = true, 0
		case strings.HasPrefix(e, "line"):
			if !open || e != fmt.Sprintf("line %d\n", lines) {
				t.Fatalf("%q outside its invocation, or out of order: want line %d", e, lines)
			}
			lines++
		case strings.HasPrefix(e, "END"):
			open = false
			if lines%20 != 0 {
				t.Fatalf("an invocation ended after %d lines", lines)
			}
		}
	}
}

func TestNothingIsLeft(t *testing.T) {
	descriptors := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	l := newLab(t)
	fn := l.function(l.node, "many", counter)
	custom := l.function("provided.al2", "ends", "#!/bin/sh\nexit 1\n")
	round := func() {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for _, f := range []Function{fn, custom, fn} {
					if _, err := l.Invoke(t.Context(), f, event1(`1`)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		l.Retire(fn.ARN)
		eventually(t, "all end", func() bool { living, resting := l.Count(); return living+resting == 0 })
	}
	round()
	files := descriptors()
	goroutines := runtime.NumGoroutine()
	for range 3 {
		round()
	}
	eventually(t, "descriptors are given back", func() bool { return descriptors() <= files })
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
}
