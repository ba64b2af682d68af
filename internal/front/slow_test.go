package front

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// limited serves with other limits than the default ones.
func (r *rig) limited(l Limits, c clock.Clock) (address string) {
	r.Helper()
	d := r.front.Deps
	d.Limits, d.Clock = l, c
	r.front = New(d)
	address, _ = r.serve((*Front).Serve)
	return address
}

// dial speaks to the server; a server that never answers fails the test rather than hanging it.
func (r *rig) dial(address, say string) net.Conn {
	r.Helper()
	c, err := net.Dial("tcp", address)
	r.check(err)
	r.Cleanup(func() { c.Close() })
	r.check(c.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(c, say)
	r.check(err)
	return c
}

// rest is what the server says until it hangs up.
func (r *rig) rest(c net.Conn) string {
	r.Helper()
	b, err := io.ReadAll(c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		r.Fatalf("the server holds the connection, having said %q", b)
	}
	return string(b)
}

func head(length int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: Say.Say\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n\r\n", length)
}

// post sends a signed call that is as large as asked for.
func (r *rig) post(address string, size int) (status int, body string) {
	r.Helper()
	doc := `{"Name":"x","Text":"` + strings.Repeat("a", size) + `"}`
	req, err := http.NewRequest(http.MethodPost, "http://"+address+"/", strings.NewReader(doc))
	r.check(err)
	req.Header = r.sign(request("Say", doc), doc).Header
	req.Host = "localhost:4566"
	res, err := http.DefaultClient.Do(req)
	r.check(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	r.check(err)
	return res.StatusCode, string(b)
}

// TestRoomForStrangers: bodies of senders who are not yet known fill the room that there is and no
// more; small calls go on, and the room comes back with the connection.
func TestRoomForStrangers(t *testing.T) {
	const room, large = 512 << 10, 300 << 10
	r := newRig(t)
	address := r.limited(Limits{Held: room, Patience: time.Millisecond}, nil)
	stranger := r.dial(address, head(900<<10)+strings.Repeat("x", freeBytes+room))
	for { // until what the stranger sent has been read
		status, body := r.post(address, large)
		if status == 200 {
			continue
		}
		if status != 400 || !strings.Contains(body, "ThrottlingException") {
			t.Fatalf("a large call beside a full room answered %d %s", status, body)
		}
		break
	}
	if status, body := r.post(address, 1000); status != 200 {
		t.Errorf("a small call beside a full room answered %d %s", status, body)
	}
	stranger.Close()
	for { // until the server has noticed
		if status, _ := r.post(address, large); status == 200 {
			break
		}
	}
	for range 5 { // nothing of the room is lost; a call gives its part back a moment after its answer
		status, body, tries := 0, "", 0
		for ; status != 200 && tries < 1000; tries++ {
			status, body = r.post(address, large)
		}
		if status != 200 {
			t.Fatalf("a large call in an empty room answered %d %s", status, body)
		}
	}
}

// TestVerifiedCallersLeaveTheRoom: while the operation of a caller who is known runs, however long,
// all of the strangers' room is theirs.
func TestVerifiedCallersLeaveTheRoom(t *testing.T) {
	const room = 512 << 10
	r := newRig(t)
	d := r.front.Deps
	d.Limits = Limits{Held: room, Patience: time.Millisecond}
	r.front = New(d)
	free := func() bool {
		if !r.front.calls.room.TryAcquire(room) {
			return false
		}
		r.front.calls.room.Release(room)
		return true
	}
	ran := 0
	r.still = func() {
		if ran++; !free() {
			t.Error("the body of a running operation takes of the strangers' room")
		}
	}
	large := `{"Name":"x","Text":"` + strings.Repeat("a", 300<<10) + `"}`
	if w := r.send(r.sign(request("Say", large), large)); w.Code != 200 || ran == 0 {
		t.Fatalf("answered %d %s, the operation ran %d times", w.Code, w.Body, ran)
	}
	if w := r.send(r.sign(request("Say", large[1:]), large)); w.Code == 200 || !free() {
		t.Errorf("a caller whose signature is wrong was answered %d; the room is free: %v", w.Code, free())
	}
}

// TestBulkyBodiesOfRunningOperations: what verified callers sent is bounded too while their operations
// run, for bodies beyond what most operations take.
func TestBulkyBodiesOfRunningOperations(t *testing.T) {
	const room = 512 << 10
	r := newRig(t)
	d := r.front.Deps
	d.Limits = Limits{Bulky: 200 << 10, Running: room, Patience: time.Millisecond}
	r.front = New(d)
	send := func(text int) int {
		body := `{"Name":"x","Text":"` + strings.Repeat("a", text) + `"}`
		return r.send(r.sign(request("Say", body), body)).Code
	}
	var beside []int
	ran := 0
	r.still = func() {
		if ran++; ran == 1 {
			beside = append(beside, send(300<<10), send(100<<10))
		}
	}
	if status := send(300 << 10); status != 200 || len(beside) != 2 {
		t.Fatalf("answered %d, beside it %d", status, beside)
	}
	if beside[0] == 200 || beside[1] != 200 {
		t.Errorf("beside a bulky body, another was answered %d and a small one %d", beside[0], beside[1])
	}
	for _, size := range []int{300 << 10, 300 << 10, 900 << 10} { // nothing of the room is lost, and one larger than it gets all
		if status := send(size); status != 200 {
			t.Errorf("a body of %d bytes in an empty room was answered %d", size, status)
		}
	}
}

// TestRoomIsWaitedFor: a large call stands in line for room.
func TestRoomIsWaitedFor(t *testing.T) {
	r := newRig(t)
	address := r.limited(Limits{Held: 512 << 10, Patience: time.Hour}, nil)
	stranger := r.dial(address, head(900<<10)+strings.Repeat("x", freeBytes+512<<10))
	for r.front.calls.room.TryAcquire(1) { // until what the stranger sent has been read
		r.front.calls.room.Release(1)
	}
	done := make(chan int)
	go func() {
		status, _ := r.post(address, 300<<10)
		done <- status
	}()
	stranger.Close()
	if status := <-done; status != 200 {
		t.Errorf("who waited was answered %d", status)
	}
}

// TestRoomOfApplications: the applications' bodies are bounded too, apart from the calls'.
func TestRoomOfApplications(t *testing.T) {
	r := newRig(t)
	address := r.limited(Limits{Held: 256 << 10, Patience: time.Millisecond}, nil)
	req, err := http.NewRequest(http.MethodPost, "http://"+address+"/", strings.NewReader(strings.Repeat("x", freeBytes+300<<10)))
	r.check(err)
	req.Host = "app.localhost"
	res, err := http.DefaultClient.Do(req)
	r.check(err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a body larger than the room answered %d", res.StatusCode)
	}
	if status, body := r.post(address, 200<<10); status != 200 {
		t.Errorf("a call answered %d %s", status, body)
	}
}

// TestStalledClients: who stops in the middle of a head or a body is hung up on, also when the body
// is one that nobody reads.
func TestStalledClients(t *testing.T) {
	r := newRig(t)
	address := r.limited(Limits{Head: 50 * time.Millisecond, Stall: 50 * time.Millisecond}, nil)
	foreign := strings.Replace(head(100), "localhost", "evil.example", 1)
	for _, c := range []struct{ name, say, want string }{
		{"before the first byte", "", ""},
		{"in the head", "POST / HTTP/1.1\r\nHost: loc", ""},
		{"in the TLS handshake", "\x16\x03\x01\x00", ""},
		{"before the body", head(100), "RequestTimeout"},
		{"in the body", head(100) + `{"Name":"x"`, "RequestTimeout"},
		{"in a body in chunks", strings.Replace(head(0), "Content-Length: 0", "Transfer-Encoding: chunked", 1) + "5\r\n{\"Na", "RequestTimeout"},
		{"before a body that nobody reads", foreign, "HTTP/1.1 403"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := r.rest(r.dial(address, c.say)); !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("the server said %q, want %q", got, c.want)
			}
		})
	}
	tlsConn := tls.Client(r.dial(address, ""), &tls.Config{InsecureSkipVerify: true})
	r.check(tlsConn.Handshake())
	if b, err := io.ReadAll(tlsConn); len(b) > 0 || err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("in silence after the handshake: %q, %v", b, err)
	}
}

// minutes is a clock that goes on by a minute each time that somebody looks.
type minutes struct{ clock.Manual }

func (m *minutes) Now() time.Time { m.Advance(time.Minute); return m.Manual.Now() }

// TestDrip: who sends a little now and then is hung up on, however long the body is announced to be.
func TestDrip(t *testing.T) {
	r := newRig(t)
	address := r.limited(Limits{}, &minutes{})
	c := r.dial(address, head(100)+"{")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	r.check(err)
	body, err := io.ReadAll(res.Body)
	r.check(err)
	if res.StatusCode != 400 || !strings.Contains(string(body), "RequestTimeout") || !res.Close {
		t.Errorf("answered %d %s, closing %v", res.StatusCode, body, res.Close)
	}
	if r.count["127.0.0.1 Modelled"] != 1 {
		t.Errorf("counted %v", r.count)
	}
	if rest := r.rest(c); rest != "" {
		t.Errorf("and then said %q", rest)
	}
}

// TestLongBodies: a body whose sender is not known may take no longer than its signature would last.
func TestLongBodies(t *testing.T) {
	c := clock.NewManual(time.Unix(0, 0))
	b := newHeld(256<<20, Limits{}.orDefault(), c).body(t.Context(), io.NopCloser(strings.NewReader(strings.Repeat("x", freeBytes+100))))
	defer b.release()
	if _, err := io.ReadFull(b, make([]byte, freeBytes)); err != nil {
		t.Fatal(err)
	}
	c.Advance(heldTime + 1)
	if _, err := b.Read(make([]byte, 10)); !awserr.Is(err, "RequestTimeout") {
		t.Errorf("a body that takes longer than %s: %v", heldTime, err)
	}
}
