package extension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lab is a Set that is asked as a guest would.
type lab struct {
	*Set
	t      testing.TB
	server *httptest.Server

	mu   sync.Mutex
	told []string
	ids  int
}

func newLab(t testing.TB, external ...string) *lab {
	l := &lab{t: t}
	l.Set = New(Config{
		FunctionName: "f", FunctionVersion: "3", Handler: "app.handler", AccountID: "123456789012", External: external,
		Now: func() time.Time { return time.Unix(1700000000, 0) },
		NewID: func() string {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.ids++
			return fmt.Sprintf("00000000-0000-4000-8000-%012d", l.ids)
		},
		Dial: func(ctx context.Context, port uint16) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		},
		Reach: func() bool { return true },
		Told: func(kind string, record any) {
			l.mu.Lock()
			l.told = append(l.told, fmt.Sprint(record))
			l.mu.Unlock()
			l.Telemetry().Platform(kind, record)
		},
	})
	l.server = httptest.NewServer(l.Set)
	t.Cleanup(func() { l.Set.Close(); l.server.Close() })
	return l
}

// ask makes a request; header are pairs. It gives the status, the identifier and the body.
func (l *lab) ask(method, path, body string, header ...string) (int, string, string) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.server.URL+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get(headID), string(b)
}

func (l *lab) want(status int, has string, method, path, body string, header ...string) string {
	l.t.Helper()
	got, id, text := l.ask(method, path, body, header...)
	if got != status || !strings.Contains(text, has) {
		l.t.Errorf("%s %s %s %v: %d %s, want %d %s", method, path, body, header, got, text, status, has)
	}
	return id
}

const (
	register = "/2020-01-01/extension/register"
	next     = "/2020-01-01/extension/event/next"
	initErr  = "/2020-01-01/extension/init/error"
	exitErr  = "/2020-01-01/extension/exit/error"
)

func (l *lab) register(name, events string) string {
	l.t.Helper()
	return l.want(200, `"functionName":"f"`, "POST", register, `{"events":[`+events+`]}`, headName, name)
}

// ready asks for the next event and returns when that is known; what comes is sent to the channel.
func (l *lab) ready(id string) <-chan string {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), "GET", l.server.URL+next, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set(headID, id)
	got := make(chan string, 1)
	go func() {
		text := "" // of a request that the test leaves behind
		if res, err := http.DefaultClient.Do(req); err == nil {
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			text = string(b)
		}
		got <- text
	}()
	err = l.await(l.t.Context(), func() bool {
		return l.none(func(m *member) bool { return m.id == id && (m.state != stateReady || m.waiting == nil) })
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return got
}

// TestRefusals: what the API refuses, and in which words.
func TestRefusals(t *testing.T) {
	l := newLab(t, "monitor")
	l.want(403, `{"errorMessage":"Empty extension name","errorType":"Extension.InvalidExtensionName"}`, "POST", register, `{}`)
	l.want(403, `"InvalidRequestFormat"`, "POST", register, `{`, headName, "monitor")
	l.want(403, `configurationKeys are deprecated`, "POST", register, `{"configurationKeys":["a"]}`, headName, "monitor")
	l.want(403, `"FOO: ErrorInvalidEventType","errorType":"Extension.InvalidEventType"`, "POST", register, `{"events":["FOO"]}`, headName, "monitor")
	l.want(403, `"SHUTDOWN: ShutdownEventNotSupportedForInternalExtension"`, "POST", register, `{"events":["SHUTDOWN"]}`, headName, "inner")
	l.want(413, `"RequestEntityTooLarge"`, "POST", register, strings.Repeat(" ", maxRegister+1), headName, "monitor")
	l.want(403, `"Missing Lambda-Extension-Identifier header","errorType":"Extension.MissingExtensionIdentifier"`, "GET", next, "")
	l.want(403, `"Extension.InvalidExtensionIdentifier"`, "GET", next, "", headID, "x")
	l.want(403, `"Extension.UnknownExtensionIdentifier"`, "GET", next, "", headID, "10000000-0000-4000-8000-000000000000")
	l.want(403, `"Extension.UnknownExtensionIdentifier"`, "GET", next, "", headID, "00000000-0000-4000-8000-000000000001") // not registered yet
	id := l.register("monitor", `"INVOKE","INVOKE","SHUTDOWN"`)
	if infos := l.Infos(); len(infos[0].Events) != 2 {
		t.Errorf("%+v", infos)
	}
	l.want(403, `"State transition from Registered to Registered failed for extension monitor. Error: State transition is not allowed","errorType":"Extension.InvalidExtensionState"`,
		"POST", register, `{}`, headName, "monitor")
	l.want(403, `"Lambda-Extension-Function-Error-Type not found","errorType":"Extension.MissingHeader"`, "POST", initErr, "", headID, id)
	l.register("inner", "")
	l.want(403, `"Extension with this name already registered"`, "POST", register, `{}`, headName, "inner")
	for n := range MaxExtensions - 2 {
		l.register(fmt.Sprint("more", n), "")
	}
	l.want(403, `"Extension limit (10) reached","errorType":"Extension.TooManyExtensions"`, "POST", register, `{}`, headName, "eleventh")
	l.ready(id)
	l.want(403, `from Ready to Ready`, "GET", next, "", headID, id)
	l.want(403, `from Ready to InitError`, "POST", initErr, "", headID, id, headError, "X.Y")
	l.Seal()
	l.want(403, `"Extension registration closed already","errorType":"Extension.RegistrationClosed"`, "POST", register, `{}`, headName, "late")
	l.want(404, "", "GET", "/2020-01-01/extension/other", "")
	l.want(404, "", "DELETE", register, "")
}

// TestLife: an extension's events, from its registration to the shutdown.
func TestLife(t *testing.T) {
	l := newLab(t, "monitor", "quiet")
	soon, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Registered(soon); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody has registered: %v", err)
	}
	monitor, quiet := l.register("monitor", `"INVOKE","SHUTDOWN"`), l.register("quiet", "")
	if err := l.Registered(t.Context()); err != nil {
		t.Fatal(err)
	}
	event, silence := l.ready(monitor), l.ready(quiet)
	l.Seal()
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Invoke(Invocation{RequestID: "r1", ARN: "arn", TraceID: "Root=1;Parent=2", Deadline: time.Unix(1700000003, 0)})
	const want = `{"eventType":"INVOKE","deadlineMs":1700000003000,"requestId":"r1","invokedFunctionArn":"arn","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1;Parent=2"}}`
	if got := <-event; got != want {
		t.Errorf("got %s", got)
	}
	if err := l.Idle(soon); !errors.Is(err, context.Canceled) {
		t.Errorf("the extension is not done: %v", err)
	}
	event = l.ready(monitor)
	if err := l.Idle(t.Context()); err != nil {
		t.Error(err)
	}
	l.Closing()
	if others := l.Shutdown("spindown", time.Unix(1700000009, 0)); len(others) != 1 || others[0] != "quiet" {
		t.Errorf("without the event: %v", others)
	}
	if got := <-event; got != `{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":1700000009000}` {
		t.Errorf("got %s", got)
	}
	l.Exited("monitor", "exit code 0")
	if f := l.Failure(); f != nil {
		t.Errorf("an end in the shutdown: %v", f)
	}
	l.Set.Close()
	<-silence
	if err := l.await(t.Context(), func() bool { return false }); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
}

// TestGivenUpRequest: whoever gives a request up may ask again, and misses nothing.
func TestGivenUpRequest(t *testing.T) {
	l := newLab(t, "monitor")
	id := l.register("monitor", `"INVOKE"`)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", l.server.URL+next, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(headID, id)
	failed := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req)
		failed <- err
	}()
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := l.settled(id); err != nil {
		t.Fatal(err)
	}
	l.Invoke(Invocation{RequestID: "r1"})
	if _, _, got := l.ask("GET", next, "", headID, id); !strings.Contains(got, `"requestId":"r1"`) {
		t.Errorf("got %s", got)
	}
}

// settled waits until no request of an extension waits.
func (l *lab) settled(id string) error {
	for {
		l.Set.mu.Lock()
		waits := !l.none(func(m *member) bool { return m.id == id && m.waiting != nil })
		l.Set.mu.Unlock()
		if !waits {
			return nil
		}
		select {
		case <-l.t.Context().Done():
			return l.t.Context().Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// TestFailures: the first reason counts, and lets everybody go who waits.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(l *lab, id string)
		want Failure
	}{
		"crash":      {func(l *lab, _ string) { l.Exited("monitor", "exit status 1") }, Failure{"Extension.Crash", "exit status 1"}},
		"init error": {func(l *lab, id string) { l.report1(id, initErr); l.Exited("monitor", "exit status 2") }, Failure{"Extension.InitError", "exit status 2"}},
		"exit error": {func(l *lab, id string) { l.report1(id, exitErr); l.Exited("monitor", "exit code 0") }, Failure{"Extension.ExitError", "exit code 0"}},
		"lingers":    {func(l *lab, id string) { l.report1(id, exitErr) }, Failure{"Extension.ExitError", "X.YZ"}},
		"launch":     {func(l *lab, _ string) { l.LaunchFailed("monitor", "PermissionDenied", "permission denied") }, Failure{"Extension.LaunchError", "permission denied"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "monitor")
			id := l.register("monitor", `"INVOKE"`)
			ctx, release := l.Guard(t.Context())
			defer release()
			c.do(l, id)
			var f *Failure
			if err := l.Ready(t.Context()); !errors.As(err, &f) || *f != c.want {
				t.Errorf("got %v", err)
			}
			<-ctx.Done()
			if context.Cause(ctx) != error(f) {
				t.Errorf("the guard: %v", context.Cause(ctx))
			}
			l.Exited("monitor", "again")
			if *l.Failure() != c.want {
				t.Errorf("then %v", l.Failure())
			}
		})
	}
}

func (l *lab) report1(id, path string) {
	l.t.Helper()
	l.want(202, "OK", "POST", path, `{"errorMessage":"m"}`, headID, id, headError, "X.Y\tZ")
	l.want(202, "OK", "POST", path, ``, headID, id, headError, "Another")
	l.want(403, "not allowed", "GET", next, "", headID, id)
	if e := l.Infos()[0].ErrorType; e != "X.YZ" {
		l.t.Errorf("the type is %q", e)
	}
}

// TestNamesStayOnTheirLine: a file's name may hold what would look like another event of the log.
func TestNamesStayOnTheirLine(t *testing.T) {
	got := Info{Name: "a\nSTART RequestId: x\x1e", State: "Ready", Events: []string{"INVOKE"}}.String()
	if want := "EXTENSION\tName: aSTART RequestId: x\tState: Ready\tEvents: [INVOKE]"; got != want {
		t.Errorf("got %q", got)
	}
	if got := (Subscription{Name: "a\nb", State: "Subscribed", Types: []string{"function"}, logs: true}).String(); got != "LOGS\tName: ab\tState: Subscribed\tTypes: [Function]" {
		t.Errorf("got %q", got)
	}
}

// TestFind: programs of merged layers; nothing is followed.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	make := func(layer string, files ...string) string {
		for _, f := range files {
			at := filepath.Join(dir, layer, f)
			if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, nil, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		return filepath.Join(dir, layer)
	}
	one := make("one", "extensions/b", "extensions/a", "extensions/folder/x", "bin/c")
	two := make("two", "extensions/b", "extensions/a/inner")
	if got := fmt.Sprint(Find([]string{one}), Find([]string{one, two}), Find([]string{two, one}), Find(nil)); got != "[a b] [b] [a b] []" {
		t.Errorf("got %s", got)
	}
	link := make("link", "other")
	if err := errors.Join(os.Symlink(filepath.Join(one, "extensions"), filepath.Join(link, "extensions")), os.Symlink(one, filepath.Join(dir, "whole"))); err != nil {
		t.Fatal(err)
	}
	if got := Find([]string{link, filepath.Join(dir, "whole")}); len(got) != 0 {
		t.Errorf("followed: %v", got)
	}
}

// FuzzRegister: no body of a registration harms.
func FuzzRegister(f *testing.F) {
	f.Add([]byte(`{"events":["INVOKE","SHUTDOWN"]}`))
	f.Add([]byte(`{"events":[{}],"configurationKeys":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := parseRegister(body)
		if err == nil && len(events) > 2 {
			t.Errorf("%q", events)
		}
		if _, ok := errors.AsType[*refusal](err); err != nil && !ok {
			t.Error(err)
		}
	})
}

// FuzzSubscription: no body of a subscription harms, and what is taken is within its limits.
func FuzzSubscription(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":"2022-12-13","types":["platform"],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080/p?q"},"buffering":{"maxItems":1000}}`), true)
	f.Add([]byte(`{"types":["function"],"destination":{"protocol":"TCP","port":1}}`), false)
	f.Fuzz(func(t *testing.T, body []byte, new bool) {
		through := logsAPI
		if new {
			through = telemetryAPI
		}
		s, err := parseSubscription(body, through)
		if err != nil {
			if _, ok := errors.AsType[*refusal](err); !ok {
				t.Error(err)
			}
			return
		}
		if s.port == 0 || s.port == 9001 || s.maxBytes > 1<<20 || s.maxItems > 10000 || s.timeout > 30*time.Second || s.timeout < 25*time.Millisecond || len(s.types) == 0 || len(s.types) > 3 {
			t.Errorf("%+v", s)
		}
		if !s.tcp {
			if _, err := http.NewRequest(s.method, "http://sandbox.localdomain:1"+s.path, nil); err != nil {
				t.Errorf("%q: %v", s.path, err)
			}
		}
		if !json.Valid(body) {
			t.Error("it was no JSON")
		}
	})
}
