package fleet

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// tap is a caller of a streamed answer.
type tap struct {
	taken func(all string) // after each chunk
	stop  <-chan struct{}  // takes nothing until it is closed

	mu   sync.Mutex
	kind string
	all  []byte
	most int // bytes of one chunk
}

func (s *tap) Begin(contentType string) { s.kind = contentType }

func (s *tap) Write(ctx context.Context, chunk []byte) error {
	if s.stop != nil {
		select {
		case <-s.stop:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	s.all = append(s.all, chunk...)
	s.most = max(s.most, len(chunk))
	all := string(s.all)
	s.mu.Unlock()
	if s.taken != nil {
		s.taken(all)
	}
	return nil
}

func (l *lab) stream(fn Function, event string, s *tap) Outcome {
	l.t.Helper()
	ev := event1(event)
	ev.Sink = s
	out, err := l.Invoke(l.t.Context(), fn, ev)
	if err != nil {
		l.t.Fatalf("%v\n%s", err, strings.Join(l.logs(), ""))
	}
	return out
}

const streamer = `
const { setTimeout: sleep } = require('timers/promises');
let n = 0;
exports.handler = awslambda.streamifyResponse(async (e, out) => {
  n++;
  out.setContentType('text/plain');
  if (e.do !== 'before') out.write('first ' + n);
  if (e.do === 'before' || e.do === 'fail') throw new TypeError('failed');
  if (e.do === 'exit') setTimeout(() => process.exit(3), 20);
  if (e.do) await sleep(60000);
  out.end(' last');
})`

func TestStreamReachesItsCaller(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.node, "streams", streamer)
	for n := 1; n <= 3; n++ { // one instance, as for any events
		s := &tap{}
		out := l.stream(fn, `{}`, s)
		if want := "first " + strconv.Itoa(n) + " last"; out.FunctionError != "" || len(out.Payload) != 0 || s.kind != "text/plain" || string(s.all) != want {
			t.Fatalf("%+v, of type %q: %q", out, s.kind, s.all)
		}
		if out.Cold != (n == 1) || out.Duration <= 0 || !strings.Contains(string(out.LogTail), "REPORT RequestId: "+id) {
			t.Errorf("%+v\n%s", out, out.LogTail)
		}
	}
	l.want(l.invoke(fn, `{}`), "", "first 4 last")
	s := &tap{}
	out := l.stream(l.function(l.py, "plain", "def handler(e, c):\n    return e\n"), `{"a": 1}`, s)
	if out.FunctionError != "" || s.kind != "application/json" || string(s.all) != `{"a": 1}` {
		t.Errorf("one that does not stream: %+v, of type %q: %q", out, s.kind, s.all)
	}
}

func TestStreamFailures(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.node, "streams", streamer)
	fn.Timeout = 2 * time.Second
	for _, c := range []struct {
		do, taken, payload, log string
		reused                  bool
	}{
		{"before", "", `\{"errorType":"TypeError","errorMessage":"failed".*`, "Status: error\tError Type: TypeError", true},
		{"fail", "first 2", `\{"errorType":"TypeError","errorMessage":"failed".*`, "Status: error\tError Type: TypeError", true},
		{"hang", "first 3", `\{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ` + id + ` Error: Task timed out after 2.00 seconds"\}`, "Status: timeout", false},
		{"exit", "first 1", `\{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + id + ` Error: Runtime exited with error: exit status 3"\}`, "Status: error\tError Type: Runtime.ExitError", false},
	} {
		s := &tap{}
		out := l.stream(fn, `{"do":"`+c.do+`"}`, s)
		l.want(out, "Unhandled", c.payload)
		if string(s.all) != c.taken || !strings.Contains(string(out.LogTail), c.log) {
			t.Errorf("%s: %q\n%s", c.do, s.all, out.LogTail)
		}
		if living, _ := l.Count(); (living == 1) != c.reused {
			t.Errorf("%s: %d instances live", c.do, living)
		}
	}
}

// A caller who does not take holds the function up, and what waits in between is bounded by its pipes.
func TestSlowCallerHoldsTheFunctionUp(t *testing.T) {
	l := newLab(t, func(d *Deps) { d.StreamRate = -1 })
	stop := make(chan struct{})
	fn := l.function(l.node, "endless", `
exports.handler = awslambda.streamifyResponse(async (e, out) => {
  let n = 0;
  const big = 'x'.repeat(65536);
  for (; n < 400; n++) {
    if (!out.write(big)) { console.log('held at ' + n); await new Promise((ok) => out.once('drain', ok)) }
  }
  out.end();
})`)
	done := make(chan Outcome)
	s := &tap{stop: stop}
	go func() { done <- l.stream(fn, `{}`, s) }()
	eventually(t, "the function is held up", func() bool { return strings.Contains(strings.Join(l.logs(), ""), "held at") })
	close(stop)
	if out := <-done; out.FunctionError != "" || len(s.all) != 400*65536 || s.most > 64<<10 {
		t.Errorf("%+v, %d bytes, %d at once", out, len(s.all), s.most)
	}

	// one who never takes is held to the function's time
	fn.Timeout = time.Second
	fn.Revision = "2"
	out := l.stream(fn, `{}`, &tap{stop: make(chan struct{})})
	l.want(out, "Unhandled", `\{"errorType":"Sandbox.Timedout".*`)
}

// customStreamer speaks the Runtime API's streaming mode: chunks, and an error in the trailers.
const customStreamer = `#!/bin/bash
set -e
while true; do
  curl -sS -D /tmp/headers -o /tmp/event "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  id=$(tr -d '\r' < /tmp/headers | grep -i '^lambda-runtime-aws-request-id:' | cut -d' ' -f2)
  exec 5<>/dev/tcp/127.0.0.1/9001
  {
    printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n' "$id"
    printf 'Content-Type: text/event-stream\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n'
    printf 'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n'
    printf '6\r\ndata: \r\n%x\r\n%s\n\r\n' $(($(wc -c < /tmp/event) + 1)) "$(cat /tmp/event)"
  } >&5
  case $(cat /tmp/event) in
  *exit*) sleep 0.3; exit 7 ;;
  *fail*) printf '0\r\nLambda-Runtime-Function-Error-Type: Custom.Failure\r\nLambda-Runtime-Function-Error-Body: %s\r\n\r\n' \
    "$(printf '{"errorType":"Custom.Failure","errorMessage":"in the middle"}' | base64 -w 0)" >&5 ;;
  *) printf '0\r\n\r\n' >&5 ;;
  esac
  cat <&5 > /tmp/answer
  grep -q '^HTTP/1.1 202 ' /tmp/answer
  exec 5>&-
done
`

func TestCustomRuntimeStreams(t *testing.T) {
	l := newLab(t)
	fn := l.function("provided.al2023", "custom", customStreamer)
	for range 2 {
		s := &tap{}
		out := l.stream(fn, `"fine"`, s)
		if out.FunctionError != "" || s.kind != "text/event-stream" || string(s.all) != `data: "fine"`+"\n" {
			t.Fatalf("%+v, of type %q: %q\n%s", out, s.kind, s.all, strings.Join(l.logs(), ""))
		}
		l.want(l.invoke(fn, `"whole"`), "", "data: \"whole\"\n")
		s = &tap{}
		l.want(l.stream(fn, `"fail"`, s), "Unhandled", `\{"errorType":"Custom.Failure","errorMessage":"in the middle"\}`)
		if string(s.all) != `data: "fail"`+"\n" {
			t.Errorf("before the failure: %q", s.all)
		}
	}
	s := &tap{}
	l.want(l.stream(fn, `"exit"`, s), "Unhandled", `\{"errorType":"Runtime.ExitError".*exit status 7"\}`)
	if string(s.all) != `data: "exit"`+"\n" {
		t.Errorf("before its end: %q", s.all)
	}
}

func TestFlowIsHeldToItsLimits(t *testing.T) {
	c := clock.NewManual(time.Unix(1700000000, 0))
	s := &flow{sink: &tap{}, clock: c, rate: streamRate, room: streamBurst}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	mb := make([]byte, 1<<20)
	for n := range 6 {
		if err := s.Write(ended, mb); err != nil { // nothing waits
			t.Fatalf("MB %d: %v", n, err)
		}
	}
	if err := s.pace(ended, 1<<20); err == nil {
		t.Error("the seventh went at once")
	}
	c.Advance(time.Second) // two more may go, of which one has been asked for
	if err := s.pace(ended, 1<<20); err != nil {
		t.Errorf("a second later: %v", err)
	}
	if err := s.pace(ended, 1<<20); err == nil {
		t.Error("more than two MB a second went")
	}
	c.Advance(time.Hour)
	for n := range 6 {
		if err := s.pace(ended, 1<<20); err != nil {
			t.Errorf("after a rest, MB %d: %v", n, err)
		}
	}
	if err := s.pace(ended, 1<<20); err == nil {
		t.Error("a rest saved up more than the first burst")
	}

	s = &flow{sink: &nothing{}, clock: c, rate: -1}
	for n := range 200 {
		if err := s.Write(ended, mb); err != nil {
			t.Fatalf("MB %d: %v", n, err)
		}
	}
	if err := s.Write(ended, []byte("x")); err != errTooLong {
		t.Errorf("a byte more than 200 MB: %v", err)
	}
}

// nothing takes and forgets.
type nothing struct{}

func (*nothing) Begin(string)                        {}
func (*nothing) Write(context.Context, []byte) error { return nil }

func TestSpansOfAStream(t *testing.T) {
	begun := time.Unix(1700000000, 0)
	c := clock.NewManual(begun)
	s := &flow{sink: &nothing{}, clock: c, rate: -1}
	m := measures{duration: 4 * time.Second, flow: s}
	if n, spans := m.answered(begun, 7); n != 7 || len(spans) != 1 || spans[0].Duration != 4000 {
		t.Errorf("before it began: %d %+v", n, spans)
	}
	c.Advance(time.Second)
	s.Begin("a/b")
	for range 2 {
		c.Advance(time.Second)
		if err := s.Write(t.Context(), []byte("12345")); err != nil {
			t.Fatal(err)
		}
	}
	n, spans := m.answered(begun, 0)
	if n != 10 || len(spans) != 2 || spans[0].Name != "responseLatency" || spans[0].Duration != 1000 || spans[1].Name != "responseDuration" || spans[1].Duration != 2000 {
		t.Errorf("%d %+v", n, spans)
	}
}
