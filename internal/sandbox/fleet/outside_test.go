package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// echo is a server that sends back what it gets, and ends when its peer does.
func echo(t *testing.T) string {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return server.Addr().String()
}

// outer notes what a function dials and is refused; everything leads to one server.
type outer struct {
	mu     sync.Mutex
	server string
	dialed []string
	told   []string
}

func (o *outer) bind(d *Deps) {
	d.Dial = func(ctx context.Context, _ Function, address string) (net.Conn, error) {
		o.mu.Lock()
		o.dialed = append(o.dialed, address)
		o.mu.Unlock()
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", o.server)
	}
	d.Refused = func(_ Function, r Refusal) {
		o.mu.Lock()
		o.told = append(o.told, fmt.Sprintf("%s %s:%d", r.Network, r.Host, r.Port))
		o.mu.Unlock()
	}
}

const talker = `
import socket
def talk(host, port, family=0, data=b"ping"):
    try:
        s = socket.create_connection((host, port), 5)
        s.sendall(data); s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            b = s.recv(65536)
            if not b: return len(got) if len(data) > 100 else got.decode()
            got += b
    except Exception as e:
        return type(e).__name__
`

// TestWaysOut: patterns, blocks of either family and ranges lead to where the function wanted to go, and
// what it tries beside them is refused and told.
func TestWaysOut(t *testing.T) {
	o := &outer{server: echo(t)}
	l := newLab(t, o.bind)
	fn := l.function(l.py, "ways", talker+`
def handler(e, c):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        u.connect(("8.8.8.8", 53)); u.send(b"leak"); u.recv(10)
        udp = "sent"
    except OSError as e:
        udp = type(e).__name__
    return [talk("a.example.org", 443), talk("b.example.org", 443), talk("10.1.2.3", 5433), talk("2001:db8::7", 6379), talk("a.example.org", 444),
        talk("example.com", 443), talk("169.254.169.254", 80), talk("fd00:ec2::254", 80), udp]
`)
	fn.Ways = waysOf(t, "*.example.org:443", "10.0.0.0/8:5432-5434", "[2001:db8::/32]:6379")
	out := l.invoke(fn, `1`)
	var got []string
	if err := json.Unmarshal(out.Payload, &got); err != nil {
		t.Fatalf("%v %s", err, out.Payload)
	}
	if want := []string{"ping", "ping", "ping", "ping", "ConnectionRefusedError", "gaierror", "ConnectionRefusedError", "ConnectionRefusedError", "ConnectionRefusedError"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	eventually(t, "all refusals are told", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, want := range []string{"tcp a.example.org:444", "dns example.com:0", "tcp 169.254.169.254:80", "tcp fd00:ec2::254:80", "udp 8.8.8.8:53"} {
			if !slices.Contains(o.told, want) {
				return false
			}
		}
		return true
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if want := []string{"a.example.org:443", "b.example.org:443", "10.1.2.3:5433", "[2001:db8::7]:6379"}; !slices.Equal(o.dialed, want) {
		t.Errorf("dialed %v", o.dialed)
	}
	for _, r := range o.told {
		if strings.Contains(r, "5433") || strings.Contains(r, ":443") && r != "dns example.com:443" {
			t.Errorf("told of what is declared: %v", o.told)
		}
	}
}

// TestConnectionsAreBounded: large transfers in both directions arrive whole, idle connections live, and
// an instance has only so many at once.
func TestConnectionsAreBounded(t *testing.T) {
	o := &outer{server: echo(t)}
	l := newLab(t, o.bind)
	fn := l.function(l.py, "many", talker+`
import threading
def big():
    s = socket.create_connection(("db.internal", 5432), 5)
    data = bytes(8 << 20)
    def send():
        s.sendall(data); s.shutdown(socket.SHUT_WR)
    th = threading.Thread(target=send); th.start()
    n = 0
    while True:
        b = s.recv(1 << 16)
        if not b: break
        n += len(b)
    th.join()
    return n
def handler(e, c):
    n = big()
    idle = [socket.create_connection(("db.internal", 5432), 5) for _ in range(256)]
    for s in idle: s.sendall(b"x")
    alive = sum(s.recv(1) == b"x" for s in idle)
    over = talk("db.internal", 5432)
    for s in idle: s.close()
    for _ in range(100):
        after = talk("db.internal", 5432)
        if after == "ping": break
    return [n, alive, over, after]
`)
	fn.Ways = waysOf(t, "db.internal:5432")
	l.want(l.invoke(fn, `1`), "", `\[8388608, 256, "(ConnectionResetError|BrokenPipeError|OSError)", "ping"\]`)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Contains(o.told, "tcp db.internal:5432") {
		t.Errorf("the one too many was not told: %v", o.told)
	}
}
