package extension

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	telemetryPath = "/2022-07-01/telemetry"
	logsPath      = "/2020-08-15/logs"
)

func subscriptionTo(schema, types, destination, buffering string) string {
	return fmt.Sprintf(`{"schemaVersion":%q,"types":[%s],"destination":{%s},"buffering":{%s}}`, schema, types, destination, buffering)
}

// TestSubscriptionsThatAreRefused: what may not be meant, and what comes too late.
func TestSubscriptionsThatAreRefused(t *testing.T) {
	l := newLab(t, "monitor")
	id := l.register("monitor", "")
	const here = `"protocol":"HTTP","URI":"http://sandbox.localdomain:8080"`
	for _, c := range []struct{ path, body, want string }{
		{telemetryPath, `{}`, `schemaVersion is not provided; destination protocol should be HTTP or TCP; types should not be empty","errorType":"ValidationError"`},
		{telemetryPath, `[`, `"ValidationError"`},
		{telemetryPath, subscriptionTo("2020-08-15", `"platform"`, here, ""), `schemaVersion is not one of`},
		{logsPath, subscriptionTo("2022-07-01", `"platform"`, here, ""), `"Logs.ValidationError"`},
		{telemetryPath, subscriptionTo("2022-07-01", ``, `"protocol":"HTTP","URI":"http://sandbox.localdomain"`, ""), `URI port is not provided; types should not be empty`},
		{telemetryPath, subscriptionTo("2022-07-01", `"x"`, here, ""), `types contains an unknown value`},
		{telemetryPath, subscriptionTo("2022-07-01", `"platform"`, `"protocol":"HTTP","URI":"http://169.254.169.254:80"`, ""), `URI is not of the form`},
		{telemetryPath, subscriptionTo("2022-07-01", `"platform"`, `"protocol":"HTTP","URI":"https://sandbox.localdomain:8080"`, ""), `URI is not of the form`},
		{telemetryPath, subscriptionTo("2022-07-01", `"platform"`, `"protocol":"HTTP","URI":"http://sandbox.localdomain:9001"`, ""), `the port 9001 is reserved`},
		{telemetryPath, subscriptionTo("2022-07-01", `"platform"`, `"protocol":"TCP"`, ""), `port is not provided`},
		{telemetryPath, subscriptionTo("2022-07-01", `"platform"`, `"protocol":"TCP","port":70000`, ""), `the port is not valid`},
		{telemetryPath, subscriptionTo("2022-07-01", `"platform"`, here, `"maxItems":999,"maxBytes":1048577,"timeoutMs":24`),
			`maxItems should be between 1000 and 10000; maxBytes should be between 262144 and 1048576; timeoutMs should be between 25 and 30000`},
	} {
		l.want(400, c.want, "PUT", c.path, c.body, headID, id)
	}
	l.want(403, `"Extension.MissingExtensionIdentifier"`, "PUT", telemetryPath, "{}")
	l.want(200, `"OK"`, "PUT", telemetryPath, subscriptionTo("2022-07-01", `"platform","function"`, here, ""), headID, id)
	l.want(200, `"OK"`, "PUT", telemetryPath, subscriptionTo("2022-07-01", `"platform","function"`, here, ""), headID, id)
	l.want(400, `"Logs.ValidationError"`, "PUT", logsPath, subscriptionTo("2020-08-15", `"platform"`, here, ""), headID, id)
	if want := "TELEMETRY\tName: monitor\tState: Subscribed\tTypes: [Platform, Function]"; l.told[0] != want {
		t.Errorf("told %q", l.told)
	}
	if n := len(l.Telemetry().subscribers); n != 1 {
		t.Errorf("%d subscriptions", n)
	}
	l.ready(id)
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.want(403, `"Telemetry API subscription is closed","errorType":"Telemetry.SubscriptionClosed"`, "PUT", telemetryPath, subscriptionTo("2022-07-01", `"platform"`, here, ""), headID, id)
	l.want(403, `"Logs API subscription is closed already","errorType":"Logs.SubscriptionClosed"`, "PUT", logsPath, subscriptionTo("2020-08-15", `"platform"`, here, ""), headID, id)
}

// ear is a listener for telemetry.
func (l *lab) ear(handle func(w http.ResponseWriter, body []byte)) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.URL.RequestURI() != "/to?a=1" {
			l.t.Errorf("%s: %v", r.URL.RequestURI(), err)
		}
		handle(w, b)
	}))
	l.t.Cleanup(func() { l.Telemetry().end(); server.Close() })
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		l.t.Fatal(err)
	}
	return `"protocol":"HTTP","URI":"http://sandbox.localdomain:` + port + `/to?a=1"`
}

// TestDelivery: batches, what happened before the subscription too, and a second try of what fails.
func TestDelivery(t *testing.T) {
	l := newLab(t, "monitor")
	id := l.register("monitor", "")
	l.Telemetry().Platform(KindInitStart, InitStart{Type: "on-demand", Phase: "init", Name: "f", Version: "3"})
	batches, tries := make(chan []byte, 10), 0
	to := l.ear(func(w http.ResponseWriter, b []byte) {
		if tries++; tries == 1 {
			w.WriteHeader(500)
			return
		}
		batches <- b
	})
	l.want(200, `"OK"`, "PUT", telemetryPath, subscriptionTo("2022-12-13", `"platform","function","extension"`, to, `"timeoutMs":30000`), headID, id)
	l.Telemetry().Function("a line\twith \"quotes\" and \x00")
	l.Telemetry().Extension(`{"an":"object"}`)
	l.Telemetry().Flush()
	const want = `[{"time":"2023-11-14T22:13:20.000Z","type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init","functionName":"f","functionVersion":"3"}},` +
		`{"time":"2023-11-14T22:13:20.000Z","type":"platform.telemetrySubscription","record":{"name":"monitor","state":"Subscribed","types":["platform","function","extension"]}},` +
		`{"time":"2023-11-14T22:13:20.000Z","type":"function","record":"a line\twith \"quotes\" and \u0000"},` +
		`{"time":"2023-11-14T22:13:20.000Z","type":"extension","record":"{\"an\":\"object\"}"}]`
	got := ""
	for b := range batches {
		if got = strings.TrimSuffix(got, "]") + strings.Replace(string(b), "[", map[bool]string{true: "[", false: ","}[got == ""], 1); len(got) >= len(want) {
			break
		}
	}
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestObjects: with the log format JSON a newer listener gets lines that are objects as objects.
func TestObjects(t *testing.T) {
	h := happening{at: time.Unix(0, 0), stream: typeFunction, line: `{"level":"INFO"}`}
	for schema, want := range map[string]string{telemetryFirst: `"{\"level\":\"INFO\"}"`, telemetrySecond: `{"level":"INFO"}`, telemetryThird: `{"level":"INFO"}`} {
		got := h.write(&subscription{schema: schema, types: []string{typeFunction}}, true)
		if len(got) != 1 || !strings.HasSuffix(string(got[0]), `"record":`+want+"}") {
			t.Errorf("%s: %s", schema, got)
		}
		if got := h.write(&subscription{schema: schema, types: []string{typeFunction}}, false); !strings.Contains(string(got[0]), `"record":"{`) {
			t.Errorf("%s, text: %s", schema, got)
		}
	}
}

// TestSlowListener: what a listener does not take is dropped and counted; nothing grows.
func TestSlowListener(t *testing.T) {
	l := newLab(t, "monitor")
	id := l.register("monitor", "")
	arrived, proceed, dropped := make(chan bool, 1), make(chan bool), make(chan Dropped, 10)
	to := l.ear(func(_ http.ResponseWriter, b []byte) {
		var events []struct {
			Type   string
			Record json.RawMessage
		}
		if err := json.Unmarshal(b, &events); err != nil {
			t.Error(err)
		}
		for _, e := range events {
			var d Dropped
			if e.Type == "platform.logsDropped" && json.Unmarshal(e.Record, &d) == nil {
				dropped <- d
			}
		}
		select {
		case arrived <- true:
			<-proceed
		default:
		}
	})
	l.want(200, `"OK"`, "PUT", telemetryPath, subscriptionTo("2022-07-01", `"function"`, to, `"timeoutMs":25`), headID, id)
	line := strings.Repeat("x", 10<<10)
	l.Telemetry().Function(line)
	<-arrived
	const sent = 1000 // 10 MB
	for range sent {
		l.Telemetry().Function(line)
	}
	if kept := l.Telemetry().kept.Load(); kept > 3*262144 {
		t.Errorf("%d bytes are kept", kept)
	}
	close(proceed)
	l.Telemetry().Function("the last")
	d := <-dropped
	if d.Records < sent-60 || d.Records > sent || d.Bytes < d.Records*len(line) || d.Reason != behind {
		t.Errorf("%+v", d)
	}
	var all []*subscriber
	for range 30 {
		s := newSubscriber("x", &subscription{types: []string{typeFunction}, maxBytes: 1 << 20, maxItems: 10000, timeout: time.Hour, tcp: true, port: 1}, l.Telemetry())
		defer s.stop()
		all = append(all, s)
	}
	for range 100 {
		for _, s := range all {
			s.add(happening{stream: typeFunction, line: line})
		}
	}
	if kept := l.Telemetry().kept.Load(); kept > maxKept {
		t.Errorf("an environment keeps %d bytes", kept)
	}
}

// TestLines: by TCP an event is a line.
func TestLines(t *testing.T) {
	l := newLab(t, "monitor")
	id := l.register("monitor", "")
	li, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer li.Close()
	to := fmt.Sprintf(`"protocol":"TCP","port":%d`, li.Addr().(*net.TCPAddr).Port)
	l.want(200, `"OK"`, "PUT", logsPath, subscriptionTo("2020-08-15", `"function"`, to, `"timeoutMs":25`), headID, id)
	l.Telemetry().Function("one")
	l.Telemetry().Function("two")
	c, err := li.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, want := range []string{"one", "two"} {
		if line, err := r.ReadString('\n'); err != nil || line != `{"time":"2023-11-14T22:13:20.000Z","type":"function","record":"`+want+"\"}\n" {
			t.Errorf("%q, %v", line, err)
		}
	}
}

// TestBacklogIsBounded: what nobody listens to yet is kept up to a bound.
func TestBacklogIsBounded(t *testing.T) {
	l := newLab(t)
	for range 1000 {
		l.Telemetry().Function(strings.Repeat("x", 1000))
	}
	if tl := l.Telemetry(); tl.bytes > maxBacklog || tl.lost.Records < 700 {
		t.Errorf("%d bytes, %+v", tl.bytes, tl.lost)
	}
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.Telemetry().Listening() || l.Telemetry().backlog != nil {
		t.Error("it is kept although nobody can come any more")
	}
}
