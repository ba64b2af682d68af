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

// TestWatchIsNarrow: what stays on 127.0.0.1 and ::1 is not seen.
func TestWatchIsNarrow(t *testing.T) {
	l := newLab(t)
	var out bytes.Buffer
	s := l.spec("dial", "tcp", "127.0.0.1:81", "tcp", "[::1]:81", "udp", "127.0.0.1:81", "tcp", "10.0.0.1:82", "tcp", "127.0.0.1:9001")
	s.Stdout = &out
	s.Doors = []DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}, {Name: "watch", Network: "watch"}}
	i := l.start(s)
	b := make([]byte, 100)
	n, err := i.Doors()["watch"].Watch.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := destination(b[:n]); got != "10.0.0.1:82" {
		t.Errorf("the first that is seen is %s", got)
	}
	answer(t, i.Doors()["runtime"].Listener, "there")
	<-i.Wait()
}

// destination is where an IP packet without options goes.
func destination(b []byte) string {
	if len(b) >= 24 && b[0]>>4 == 4 {
		a, _ := netip.AddrFromSlice(b[16:20])
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[22:])).String()
	}
	if len(b) >= 44 && b[0]>>4 == 6 {
		a, _ := netip.AddrFromSlice(b[24:40])
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[42:])).String()
	}
	return fmt.Sprintf("%x", b)
}
