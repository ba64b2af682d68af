package bootstrap_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

// reader takes a streamed response; meanwhile is told of it as it grows.
type reader struct {
	kind      string
	chunks    int
	largest   int
	meanwhile func(body string)

	mu   sync.Mutex
	body []byte
}

func (r *reader) Begin(contentType string) { r.kind = contentType }

func (r *reader) Write(_ context.Context, chunk []byte) error {
	r.mu.Lock()
	r.body = append(r.body, chunk...)
	r.chunks, r.largest = r.chunks+1, max(r.largest, len(chunk))
	body := string(r.body)
	r.mu.Unlock()
	if r.meanwhile != nil {
		r.meanwhile(body)
	}
	return nil
}

func (g *guest) stream(event string) (*reader, runtimeapi.Result) {
	g.t.Helper()
	s := &reader{}
	r, err := g.Stream(limit(g.t), invocation(event), s)
	if err != nil {
		g.t.Fatalf("Stream: %v\n%s", err, strings.Join(g.take(), "\n"))
	}
	return s, r
}

const streams = `
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');
const { setTimeout: sleep } = require('timers/promises');
const S = awslambda.streamifyResponse;
exports.text = S(async (event, out) => { out.setContentType('text/plain'); out.write('a'); out.write(Buffer.from('b')); out.end('c') });
exports.quiet = S(async (event, out, context) => { out.end() });
exports.json = S(async (event, out) => { out.write({ n: event.n }); out.end() });
exports.context = S(async (event, out, context) => {
  out.end(JSON.stringify({ id: context.awsRequestId, left: context.getRemainingTimeInMillis() > 0, callback: typeof context.done, args: event })) });
exports.pipe = S(async (event, out) => { await pipeline(Readable.from(['x'.repeat(100000), 'y'.repeat(100000)]), out) });
exports.http = S(async (event, out) => {
  out = awslambda.HttpResponseStream.from(out, { statusCode: 201, headers: { 'x-a': 'b' }, cookies: ['c=d'] });
  out.write('body'); out.end() });
exports.httpEmpty = S(async (event, out) => { awslambda.HttpResponseStream.from(out, { statusCode: 204 }).end() });
exports.before = S(async (event, out) => { throw new TypeError('before') });
exports.middle = S(async (event, out) => { out.write('some'); throw new TypeError('middle') });
exports.pipeFails = S(async (event, out) => {
  await pipeline(Readable.from((function* () { yield 'some'; throw new RangeError('source') })()), out) });
exports.late = S(async (event, out) => { out.write('a'); try { out.setContentType('text/html') } catch (e) { out.end(e.name) } });
exports.sync = S((event, out) => { out.end('x') });
exports.returns = S(async (event, out) => { out.end('x'); return 1 });
exports.after = S(async (event, out) => { out.end('x'); await sleep(20); console.log('after') });
exports.destroys = S(async (event, out) => { out.write('a'); await sleep(5); out.destroy() });
exports.crash = S(async (event, out) => { out.write('a'); setTimeout(() => { throw new Error('loose') }, 5); await sleep(60000) });
exports.stray = S(async (event, out) => { out.write('a'); setTimeout(() => out.write('stray'), 1); throw new Error('x') });
exports.drain = S(async (event, out) => {
  let waited = 0;
  for (let i = 0; i < 64; i++) if (!out.write('z'.repeat(65536))) { waited++; await new Promise((ok) => out.once('drain', ok)) }
  out.end(String(waited)) });
exports.plain = async (event) => ({ n: event.n });
exports.plainFails = async () => { throw new TypeError('plain') };
exports.watermark = S(async (event, out) => { out.end(String(out.writableHighWaterMark)) }, { highWaterMark: 7 });
`

func TestNodeStreams(t *testing.T) {
	files := map[string]string{"app.js": streams}
	const octets = "application/octet-stream"
	node(t, func(t *testing.T, in interpreter, start starter) {
		for handler, want := range map[string][2]string{
			"text": {"text/plain", "abc"}, "quiet": {octets, ""}, "json": {octets, `{"n":1}`},
			"context":   {octets, `{"id":"8f507cfc-xmpl-4697-b07a-ac58fc914c95","left":true,"callback":"undefined","args":{"n":1}}`},
			"pipe":      {octets, strings.Repeat("x", 100000) + strings.Repeat("y", 100000)},
			"http":      {"application/vnd.awslambda.http-integration-response", `{"statusCode":201,"headers":{"x-a":"b"},"cookies":["c=d"]}` + strings.Repeat("\x00", 8) + "body"},
			"httpEmpty": {"application/vnd.awslambda.http-integration-response", `{"statusCode":204}` + strings.Repeat("\x00", 8)},
			"late":      {octets, "aRuntime.InvalidStreamingOperation"}, "returns": {octets, "x"}, "after": {octets, "x"}, "watermark": {octets, "7"},
			"plain": {"application/json", `{"n":1}`},
		} {
			t.Run(handler, func(t *testing.T) {
				g := start("app."+handler, files).ready()
				for range 2 { // the same instance serves on
					s, r := g.stream(`{"n":1}`)
					if r.Failed || !r.Streamed || s.kind != want[0] || string(s.body) != want[1] {
						t.Fatalf("%+v, of type %q: %q", r, s.kind, s.body)
					}
				}
				r := g.invoke(`{"n":1}`) // and is answered as a whole
				wantResult(t, r, want[1])
			})
		}
	})
}

func TestNodeStreamErrors(t *testing.T) {
	files := map[string]string{"app.js": streams}
	node(t, func(t *testing.T, in interpreter, start starter) {
		for handler, want := range map[string]struct {
			body, kind, part string
			begun            bool
		}{
			"before": {"", "TypeError", "before", false}, "middle": {"some", "TypeError", "middle", true},
			"pipeFails": {"", "RangeError", "source", false}, "destroys": {"a", "Error", "Response stream is not finished.", true},
			"sync": {"x", "Error", "Streaming does not support non-async handlers.", true}, "plainFails": {"", "TypeError", "plain", false},
			"stray": {"a", "Error", "x", true},
		} {
			t.Run(handler, func(t *testing.T) {
				g := start("app."+handler, files).ready()
				for range 3 {
					s, r := g.stream(`{}`)
					wantFailure(t, r, want.kind, want.part)
					// what a pipeline had written when its source failed may have gone out or not
					if body := string(s.body); body != want.body && (handler != "pipeFails" || body != "some") || r.Spent {
						t.Errorf("body %q, %+v", s.body, r)
					}
					if handler != "pipeFails" && r.Streamed != want.begun {
						t.Errorf("begun %v", r.Streamed)
					}
				}
				wantFailure(t, g.invoke(`{}`), want.kind, want.part)
				if logs := strings.Join(g.take(), "\n"); !strings.Contains(logs, "Invoke Error") {
					t.Errorf("logs %s", logs)
				}
			})
		}
		g := start("app.crash", files).ready()
		s, r := g.stream(`{}`)
		wantFailure(t, r, "Error", "loose")
		if string(s.body) != "a" || !r.Spent {
			t.Errorf("crash: %q %+v", s.body, r)
		}
	})
}

// A chunk is with the reader while the handler waits, and the handler's writes wait for the reader.
func TestNodeStreamFlow(t *testing.T) {
	files := map[string]string{"app.js": streams + `
const fs = require('fs');
exports.waits = S(async (event, out) => {
  out.write('first');
  while (!fs.existsSync(event.signal)) await sleep(2);
  out.end('second') });`}
	node(t, func(t *testing.T, in interpreter, start starter) {
		g := start("app.waits", files).ready()
		signal := t.TempDir() + "/go"
		s := &reader{meanwhile: func(body string) {
			if body == "first" {
				if err := os.WriteFile(signal, nil, 0o600); err != nil {
					t.Error(err)
				}
			}
		}}
		event, err := json.Marshal(map[string]string{"signal": signal})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := g.Stream(limit(t), invocation(string(event)), s); err != nil || r.Failed || string(s.body) != "firstsecond" {
			t.Errorf("%+v %v %q", r, err, s.body)
		}
		s, r := start("app.drain", files).ready().stream(`{}`)
		waited, err := strconv.Atoi(strings.Trim(string(s.body), "z"))
		if r.Failed || err != nil || waited == 0 || len(s.body) < 64*65536 || s.largest > 64<<10 {
			t.Errorf("%+v: waited %d times for %d bytes, at most %d at once (%v)", r, waited, len(s.body), s.largest, err)
		}
	})
}

func TestNodeStreamSetUp(t *testing.T) {
	files := map[string]string{
		"bad.js":  `exports.handler = async () => {}; exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request'`,
		"none.js": `exports.handler = async () => typeof awslambda`,
	}
	node(t, func(t *testing.T, in interpreter, start starter) {
		err := start("bad.handler", files).Ready(limit(t))
		if e, ok := errors.AsType[*runtimeapi.InitError](err); !ok || e.Type != "Runtime.MalformedStreamingHandler" {
			t.Errorf("another kind of streaming: %v", err)
		}
		wantResult(t, start("none.handler", files, "AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA=1").ready().invoke(`{}`), `"undefined"`)
		wantResult(t, start("none.handler", files).ready().invoke(`{}`), `"object"`)
	})
}

// Lambda's python has no streaming: an answer is one chunk.
func TestPythonAnswersInOneChunk(t *testing.T) {
	py(t, func(t *testing.T, start func(string, map[string]string, ...string) *guest) {
		g := start("app.handler", map[string]string{"app.py": "def handler(event, context):\n    return {'n': event['n']}\n"}).ready()
		s, r := g.stream(`{"n":1}`)
		if r.Failed || s.chunks != 1 || s.kind != "application/json" || string(s.body) != `{"n": 1}` {
			t.Errorf("%+v, of type %q: %q in %d chunks", r, s.kind, s.body, s.chunks)
		}
	})
}
