package sandbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// TestDoorsEverywhere: a door at every address of a port takes what goes to any host, and tells where it
// was going; a door at one address of the same port goes before it.
func TestDoorsEverywhere(t *testing.T) {
	l := newLab(t)
	for at, want := range map[string]string{
		"10.1.2.3:443": "all", "127.64.0.9:443": "all", "8.8.8.8:443": "all", "169.254.169.254:443": "all",
		"127.0.0.1:443": "one", "127.0.1.5:443": "two", "[2001:db8::7]:443": "six", "[fd00:ec2::254]:443": "six",
	} {
		var out bytes.Buffer
		s := l.spec("dial", "tcp", at)
		s.Stdout = &out
		s.Doors = []DoorSpec{
			{Name: "one", Network: "tcp", Address: "127.0.0.1:443"}, {Name: "two", Network: "tcp", Address: "127.0.1.5:443"},
			{Name: "all", Network: "tcp", Address: "0.0.0.0:443"}, {Name: "six", Network: "tcp", Address: "[::]:443"},
		}
		i := l.start(s)
		if got := answer(t, i.Doors()[want].Listener, want); got != at {
			t.Errorf("what went to %s arrived as for %s", at, got)
		}
		if e := <-i.Wait(); e.Code != 0 || strings.TrimSpace(out.String()) != want {
			t.Errorf("%s: %+v %q", at, e, out.String())
		}
	}
}

// answer says a word to who comes to a door, and gives where they were going.
func answer(t *testing.T, l net.Listener, word string) string {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, word)
	return c.LocalAddr().String()
}

// TestWatch: what goes to no door is refused at once, and seen.
func TestWatch(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct{ network, at, want string }{
		{"tcp", "169.254.169.254:80", "ECONNREFUSED"}, {"tcp", "[fd00:ec2::254]:80", "ECONNREFUSED"}, {"udp", "8.8.8.8:53", "ECONNREFUSED"},
		{"tcp", "127.64.1.1:5432", "ECONNREFUSED"}, {"udp", "[2001:db8::1]:53", "ECONNREFUSED"},
	} {
		var out bytes.Buffer
		s := l.spec("dial", c.network, c.at, "tcp", "127.0.0.1:9001")
		s.Stdout = &out
		s.Doors = []DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}, {Name: "watch", Network: "watch"}}
		i := l.start(s)
		b := make([]byte, 100)
		n, err := i.Doors()["watch"].Watch.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := destination(b[:n]); got != c.at {
			t.Errorf("%s is seen as %s", c.at, got)
		}
		answer(t, i.Doors()["runtime"].Listener, "there")
		if e := <-i.Wait(); e.Code != 0 || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %+v %q, want %s", c.at, e, out.String(), c.want)
		}
		if _, err := i.Doors()["watch"].Watch.Read(b); err == nil {
			t.Error("the watch outlived its sandbox")
		}
	}
}

// TestWatchIsNarrow: of what stays on 127.0.0.1 and ::1, only that a connection is refused is seen.
func TestWatchIsNarrow(t *testing.T) {
	l := newLab(t)
	var out bytes.Buffer
	s := l.spec("dial", "udp", "127.0.0.1:81", "tcp", "127.0.0.1:9001", "tcp", "127.0.0.1:81", "tcp", "[::1]:81", "tcp", "10.0.0.1:82")
	s.Stdout = &out
	s.Doors = []DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}, {Name: "watch", Network: "watch"}}
	i := l.start(s)
	answer(t, i.Doors()["runtime"].Listener, "there")
	b := make([]byte, 100)
	for _, want := range []string{"127.0.0.1:81 refuses", "[::1]:81 refuses", "10.0.0.1:82"} {
		n, err := i.Doors()["watch"].Watch.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := destination(b[:n]); got != want {
			t.Errorf("%s is seen as %s", want, got)
		}
	}
	<-i.Wait()
}

// destination is where an IP packet without options goes, or of a RST, who refuses.
func destination(b []byte) string {
	head, size := 20, 4
	if len(b) > 0 && b[0]>>4 == 6 {
		head, size = 40, 16
	}
	if len(b) < head+4 {
		return fmt.Sprintf("%x", b)
	}
	from, _ := netip.AddrFromSlice(b[head-2*size : head-size])
	to, _ := netip.AddrFromSlice(b[head-size : head])
	if b[0]>>4 == 4 && b[9] == 6 || b[0]>>4 == 6 && b[6] == 6 {
		if b[head+13]&4 != 0 {
			return netip.AddrPortFrom(from, binary.BigEndian.Uint16(b[head:])).String() + " refuses"
		}
	}
	return netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[head+2:])).String()
}
