package app

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

// noted is a tally whose records a test keeps.
func noted() (*tally, *[]gate.Happening) {
	var kept []gate.Happening
	return newTally(func(h gate.Happening) error { kept = append(kept, h); return nil }), &kept
}

func countOf(h gate.Happening) any { return h.Detail.(map[string]any)["count"] }

// TestRefusalsAreTallied: the first of a kind is recorded at once, what follows by its number.
func TestRefusalsAreTallied(t *testing.T) {
	tally, kept := noted()
	c := connections{tally, gate.Happening{SourceARN: "arn:f"}, " A hint."}
	refused := egress.Record{Purpose: "function", Host: "203.0.113.1", Port: 80, Refused: "no route is declared"}
	failed := egress.Record{Purpose: "function", Host: "203.0.113.1", Port: 80, Failed: "it was reset"}
	for range 3 {
		for _, r := range []egress.Record{refused, failed} {
			if err := c.Connected(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(*kept) != 2 {
		t.Fatalf("%d records before a second has passed", len(*kept))
	}
	if e := awserr.Wrap((*kept)[0].Err); e.Kind != awserr.AccessDenied || !strings.HasSuffix(e.Message, "is refused: no route is declared. A hint.") {
		t.Errorf("refused as %+v", e)
	}
	if e := awserr.Wrap((*kept)[1].Err); e.Code != "ConnectionFailed" || e.Message != "The connection to 203.0.113.1:80 failed: it was reset." {
		t.Errorf("failed as %+v", e)
	}
	if err := tally.flush(); err != nil || len(*kept) != 4 || countOf((*kept)[2]) != int64(2) || countOf((*kept)[3]) != int64(2) {
		t.Errorf("%v, %+v", err, (*kept)[2:])
	}
	for range 2 { // nothing has come since: it is told again, and forgotten
		if err := tally.flush(); err != nil || len(*kept) != 4 || len(tally.going) != 0 || len(tally.sources) != 0 {
			t.Errorf("%v, %d records, %v, %v", err, len(*kept), tally.going, tally.sources)
		}
	}
	final := refused
	final.Final, final.Refused = true, "it is Bastide itself"
	if err := c.Connected(final); err != nil {
		t.Fatal(err)
	}
	if e := awserr.Wrap((*kept)[4].Err); strings.Contains(e.Message, "hint") {
		t.Errorf("what nothing would change is hinted at: %s", e.Message)
	}
	full := errors.New("disk full")
	tally.note = func(gate.Happening) error { return full }
	if err := c.Connected(failed); !errors.Is(err, full) {
		t.Errorf("a failure that is not recorded: %v", err)
	}
}

// TestAFloodIsTalliedTogether: one source's places are told apart up to a number, all together up to
// another; every one is counted, and another source has its own.
func TestAFloodIsTalliedTogether(t *testing.T) {
	tally, kept := noted()
	add := func(source string, n int) {
		h := gate.Happening{SourceARN: source, Event: eventConnect, Resources: []string{fmt.Sprint(n)}, Detail: map[string]any{"purpose": "function", "host": fmt.Sprint(n)}}
		if err := tally.add(h, "why", 2); err != nil {
			t.Fatal(err)
		}
	}
	const more = 100
	for n := range tallyPerSource + more {
		add("arn:a", n)
	}
	add("arn:b", 0)
	if len(*kept) != tallyPerSource+2 || (*kept)[tallyPerSource].Resources[0] != fleet.Elsewhere || (*kept)[tallyPerSource+1].SourceARN != "arn:b" {
		t.Fatalf("%d records", len(*kept))
	}
	if err := tally.flush(); err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, h := range *kept {
		n, _ := countOf(h).(int64)
		if sum += max(n, 1); h.Resources[0] == fleet.Elsewhere && h.Detail.(map[string]any)["purpose"] != "function" {
			t.Errorf("%+v", h.Detail)
		}
	}
	if sum != 2*(tallyPerSource+more+1) {
		t.Errorf("%d counted", sum)
	}
	for n := range tallyAll + more {
		add(fmt.Sprint("arn:", n), 0)
	}
	if len(tally.going) > tallyAll+more+2 || !strings.Contains((*kept)[len(*kept)-1].Err.Error(), "counted together") {
		t.Errorf("%d kept, the last %+v", len(tally.going), (*kept)[len(*kept)-1])
	}
}

// TestUnseenAttemptsAreShown by `bastide egress` by their number.
func TestUnseenAttemptsAreShown(t *testing.T) {
	var out bytes.Buffer
	r := &Remote{Term: NewTerminal(&out, &out, false)}
	if err := r.showEgress([]*Destination{{Source: "arn:aws:lambda:eu-west-1:1:function:f", Host: fleet.Elsewhere, Refused: 77, Why: "so"}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "77 more refused, places unknown") {
		t.Error(out.String())
	}
}

// TestOwnAddresses: Bastide knows itself by each address that it answers at.
func TestOwnAddresses(t *testing.T) {
	listen := func(at string) (net.Listener, uint16) {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l, l.Addr().(*net.TCPAddr).AddrPort().Port()
	}
	api, one := listen("127.0.0.1:0")
	apps, every := listen("0.0.0.0:0")
	s := &Server{api: api, apps: apps}
	own := map[string]bool{fmt.Sprint("127.0.0.1:", one): true, fmt.Sprint("[::ffff:127.0.0.1]:", one): true, fmt.Sprint("127.0.0.2:", one): false,
		fmt.Sprint("127.0.0.1:", every): true, fmt.Sprint("127.0.0.2:", every): true, fmt.Sprint("[::1]:", every): true,
		fmt.Sprint("203.0.113.9:", every): false, fmt.Sprint("127.0.0.1:", 1): false}
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		own[netip.AddrPortFrom(netip.MustParsePrefix(a.String()).Addr(), every).String()] = true
	}
	for at, want := range own {
		if got := s.own(netip.MustParseAddrPort(at)); got != want {
			t.Errorf("%s: %t", at, got)
		}
	}
	for host, want := range map[string]bool{"127.0.0.1": true, "localhost": true, "LOCALHOST.": true, "api.localhost": true, "::ffff:127.0.0.1": true, "127.0.0.2": false, "example.com": false} {
		if got := s.ownName(host, int(one)); got != want {
			t.Errorf("%s: %t", host, got)
		}
	}
	s.cfg.Integrations = []string{fmt.Sprint("http://localhost:", one)}
	if _, err := s.servers(); err == nil || !strings.Contains(err.Error(), "Bastide itself") {
		t.Errorf("--allow-integration for Bastide itself: %v", err)
	}
	if (&Server{}).own(netip.MustParseAddrPort("127.0.0.1:80")) {
		t.Error("a server that does not answer yet knows itself")
	}
}
