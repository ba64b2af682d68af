package fleet

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// seenPackets is a sight of packets that a test makes.
type seenPackets struct {
	packets chan []byte

	mu   sync.Mutex
	lost int64
}

func (s *seenPackets) Read(b []byte) (int, error) {
	p, ok := <-s.packets
	if !ok {
		return 0, io.EOF
	}
	return copy(b, p), nil
}

func (s *seenPackets) Close() error { return nil }

func (s *seenPackets) Unseen() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.lost
	s.lost = 0
	return n, nil
}

// begins is the head of a packet that begins a TCP connection.
func begins(to string) []byte {
	at := netip.MustParseAddrPort(to)
	ip := at.Addr().As4()
	b := make([]byte, 64)
	b[0], b[9] = 0x45, 6
	copy(b[16:], ip[:])
	b[22], b[23] = byte(at.Port()>>8), byte(at.Port())
	return b
}

// looking is a watch of what a test sends; told counts what was told, by place.
func looking(t *testing.T) (sight *seenPackets, told func() map[string]int64, records func() int) {
	t.Helper()
	o, err := newOutside(nil)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	sum, n := map[string]int64{}, 0
	i := &instance{fleet: &Fleet{deps: Deps{Clock: clock.System{}, Refused: func(_ Function, r Refusal) {
		mu.Lock()
		defer mu.Unlock()
		sum[fmt.Sprintf("%s:%d", r.Host, r.Port)] += r.Count
		n++
	}}}, fn: &Function{}, outside: o, ended: make(chan struct{})}
	sight = &seenPackets{packets: make(chan []byte)}
	go i.watch(sight)
	return sight, func() map[string]int64 { mu.Lock(); defer mu.Unlock(); return sum }, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// TestAFloodHidesNothing: however often one place is tried, the first attempt at another is told at once,
// each attempt is counted, and what the kernel let fall is, too.
func TestAFloodHidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sight, told, records := looking(t)
		for range 5000 {
			sight.packets <- begins("203.0.113.1:80")
		}
		sight.packets <- begins("203.0.113.2:443")
		synctest.Wait()
		if got := told(); got["203.0.113.1:80"] != 1 || got["203.0.113.2:443"] != 1 {
			t.Errorf("told at once: %v", got)
		}
		sight.mu.Lock()
		sight.lost = 77
		sight.mu.Unlock()
		time.Sleep(watchTurn + 1)
		synctest.Wait()
		got := told()
		if got["203.0.113.1:80"] != 5000 || got["203.0.113.2:443"] != 1 || got["*:0"] != 77 || records() != 4 {
			t.Errorf("%v in %d records", got, records())
		}
		sight.packets <- begins("203.0.113.3:80")
		sight.packets <- begins("203.0.113.3:80")
		sight.lost = 5
		close(sight.packets) // the sandbox ends before the second does
		synctest.Wait()
		if got := told(); got["203.0.113.3:80"] != 2 || got["*:0"] != 82 {
			t.Errorf("at the end: %v", got)
		}
	})
}

// TestPlacesAreBounded: more places than are told apart are told by their number, and there is room again
// once they are left alone.
func TestPlacesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sight, told, _ := looking(t)
		for n := range watchPlaces + 100 {
			sight.packets <- begins(fmt.Sprintf("203.0.%d.%d:80", n>>8, n&0xff))
		}
		time.Sleep(watchTurn + 1)
		synctest.Wait()
		if got := told(); len(got) != watchPlaces+1 || got["*:0"] != 100 {
			t.Errorf("%d places, %d elsewhere", len(got), got["*:0"])
		}
		time.Sleep(watchTurn)
		sight.packets <- begins("198.51.100.1:80")
		synctest.Wait()
		if got := told(); got["198.51.100.1:80"] != 1 {
			t.Error("there was no room again")
		}
		close(sight.packets)
	})
}

// TestEveryAttemptIsCounted in a real sandbox, which ends right after the last.
func TestEveryAttemptIsCounted(t *testing.T) {
	var mu sync.Mutex
	told := map[string]int64{}
	var all int64
	l := newLab(t, func(d *Deps) {
		d.Refused = func(_ Function, r Refusal) {
			mu.Lock()
			defer mu.Unlock()
			told[fmt.Sprintf("%s:%d", r.Host, r.Port)] += r.Count
			all += r.Count
		}
	})
	fn := l.function(l.py, "flood", `
import socket
def attempt(host, port):
    s = socket.socket()
    try: s.connect((host, port))
    except OSError: return 1
    finally: s.close()
def handler(e, c):
    return sum(attempt("203.0.113.1", 80) for _ in range(5000)) + attempt("203.0.113.2", 443)
`)
	out := l.invoke(fn, `1`)
	var n int64
	if err := json.Unmarshal(out.Payload, &n); err != nil || n != 5001 {
		t.Fatalf("%s %v", out.Payload, err)
	}
	eventually(t, "each attempt is told, or counted as unknown", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return all == 5001 && told["203.0.113.1:80"] > 0 && (told["203.0.113.2:443"] == 1 || told["*:0"] > 0)
	})
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%v", told)
}

// TestLoopbackIsTold: a function that has a way to this machine's own address is told of when it tries the
// other ports there, and not when it opens, and resets, what is its own, or what the way opens. Of one
// that has no such way, what it does there is its own.
func TestLoopbackIsTold(t *testing.T) {
	var mu sync.Mutex
	told := map[string]int64{}
	o := &outer{server: echo(t)}
	l := newLab(t, o.bind, func(d *Deps) {
		d.Refused = func(fn Function, r Refusal) {
			mu.Lock()
			defer mu.Unlock()
			told[fmt.Sprintf("%s: %s %s:%d", fn.Name, r.Network, r.Host, r.Port)] += r.Count
		}
	})
	want := map[string]int64{"shares: tcp 127.0.0.1:22": 2, "shares: tcp 127.0.0.1:6379": 1, "shares: tcp ::1:25": 1, "shares: tcp 203.0.113.9:80": 1, "alone: tcp 203.0.113.9:80": 1}
	for name, to := range map[string]string{"shares": "127.0.0.1:5432", "alone": "db.example.org:5432"} {
		fn := l.function(l.py, name, `
import socket, struct
def attempt(family, host, port):
    s = socket.socket(family)
    try: return s.connect((host, port))
    except OSError as e: return type(e).__name__
    finally: s.close()
def handler(e, c):
    own = socket.create_server(("127.0.0.1", 7777))
    a = socket.create_connection(("127.0.0.1", 7777))
    b = own.accept()[0]
    b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for s in b, a, own: s.close()
    at = [("127.0.0.1", 5432), ("127.0.0.1", 22), ("127.0.0.1", 6379), ("127.0.0.1", 22), ("::1", 5432), ("::1", 25), ("203.0.113.9", 80)]
    return [attempt(socket.AF_INET6 if ":" in h else socket.AF_INET, h, p) for h, p in at].count("ConnectionRefusedError")
`)
		fn.Ways = waysOf(t, to)
		refused := map[string]string{"shares": "6", "alone": "7"}
		if out := l.invoke(fn, `1`); string(out.Payload) != refused[name] {
			t.Errorf("%s: %s", name, out.Payload)
		}
	}
	eventually(t, "every attempt is told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return maps.Equal(told, want)
	})
	mu.Lock()
	defer mu.Unlock()
	if !maps.Equal(told, want) {
		t.Errorf("%v", told)
	}
}
