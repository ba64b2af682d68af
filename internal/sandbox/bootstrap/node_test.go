package bootstrap_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

type starter func(handler string, files map[string]string, env ...string) *guest

func node(t *testing.T, test func(t *testing.T, in interpreter, start starter)) {
	every(t, bootstrap.Node, func(t *testing.T, in interpreter) {
		test(t, in, func(handler string, files map[string]string, env ...string) *guest {
			return start(t, in, options{handler, files, env})
		})
	})
}

func (in interpreter) callbacks() bool { return in.name != "node24" }

func TestNodeHandlerStyles(t *testing.T) {
	files := map[string]string{
		"async.js":            `exports.handler = async (event) => ({ n: event.n + 1 })`,
		"promise.js":          `exports.handler = (event) => new Promise((ok) => setTimeout(ok, 5, { n: event.n + 1 }))`,
		"a/b/nested.js":       `exports.api = { v1: { get: async (event) => ({ n: event.n + 1 }) } }`,
		"esm.mjs":             `const one = await Promise.resolve(1); export const handler = async (event) => ({ n: event.n + one })`,
		"common.cjs":          `module.exports = { handler: async (event) => ({ n: event.n + 1 }) }`,
		"module/package.json": `{"type":"module"}`,
		"module/app.js":       `import { one } from './one.js'; export async function handler(event) { return { n: event.n + one } }`,
		"module/one.js":       `export const one = 1`,
	}
	node(t, func(t *testing.T, in interpreter, start starter) {
		for _, handler := range []string{"async.handler", "promise.handler", "a/b/nested.api.v1.get", "esm.handler", "common.handler", "module/app.handler"} {
			g := start(handler, files).ready()
			wantResult(t, g.invoke(`{"n":41}`), `{"n":42}`)
			wantResult(t, g.invoke(`{"n":1}`), `{"n":2}`)
		}
	})
}

func TestNodeCallbacks(t *testing.T) {
	files := map[string]string{"app.js": `
let late = 0;
exports.callback = (event, context, callback) => { setTimeout(() => { late++ }, 20); callback(null, { late }) };
exports.early = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false; setTimeout(() => {}, 60000); callback(null, 'early') };
exports.fails = (event, context, callback) => callback(new TypeError('no'));
exports.says = (event, context, callback) => callback('text');
exports.succeed = (event, context) => context.succeed({ ok: 1 });
exports.done = (event, context) => context.done(null, 'done');
exports.fail = (event, context) => context.fail(new Error('failed'));
exports.silent = (event, context, callback) => {};
exports.twice = (event, context, callback) => { callback(null, 1); callback(null, 2) };
exports.both = async (event, context, callback) => { callback(null, 'callback'); return 'promise' };
exports.router = (event, context) => {
  context.callbackWaitsForEmptyEventLoop = false;
  return Promise.resolve().then(() => context.done(null, 'context')) };
exports.now = (event, context) => { setTimeout(() => {}, 60000); context.succeed('now') };
exports.error = (event, context, callback) => { setTimeout(() => {}, 60000); callback(new Error('at once')) };
`}
	node(t, func(t *testing.T, in interpreter, start starter) {
		if !in.callbacks() {
			err := start("app.callback", files).Ready(limit(t))
			if e, ok := errors.AsType[*runtimeapi.InitError](err); !ok || e.Type != "Runtime.CallbackHandlerDeprecated" {
				t.Fatalf("got %v", err)
			}
			return
		}
		g := start("app.callback", files).ready()
		wantResult(t, g.invoke(`{}`), `{"late":0}`)
		wantResult(t, g.invoke(`{}`), `{"late":1}`) // the answer waited for the timer
		wantResult(t, start("app.early", files).ready().invoke(`{}`), `"early"`)
		wantResult(t, start("app.succeed", files).ready().invoke(`{}`), `{"ok":1}`)
		wantResult(t, start("app.done", files).ready().invoke(`{}`), `"done"`)
		wantResult(t, start("app.silent", files).ready().invoke(`{}`), `null`)
		g = start("app.fails", files).ready()
		wantFailure(t, g.invoke(`{}`), "TypeError", `"errorMessage":"no"`, `"trace":["TypeError: no","    at `)
		wantFailure(t, start("app.fail", files).ready().invoke(`{}`), "Error", `"errorMessage":"failed"`)
		wantFailure(t, start("app.says", files).ready().invoke(`{}`), "string", `"errorMessage":"text"`, `"trace":[]`)
		g = start("app.twice", files).ready()
		for range 3 {
			wantResult(t, g.invoke(`{}`), `1`)
		}
		// Whatever answers first counts, though a promise follows; only a callback's result waits.
		wantResult(t, start("app.both", files).ready().invoke(`{}`), `"callback"`)
		wantResult(t, start("app.router", files).ready().invoke(`{}`), `"context"`)
		wantResult(t, start("app.now", files).ready().invoke(`{}`), `"now"`)
		wantFailure(t, start("app.error", files).ready().invoke(`{}`), "Error", `"errorMessage":"at once"`)
	})
}

func TestNodeContext(t *testing.T) {
	node(t, func(t *testing.T, in interpreter, start starter) {
		g := start("app.handler", map[string]string{"app.js": `
exports.handler = async (event, c) => { const left = c.getRemainingTimeInMillis(); return [c.awsRequestId, c.invokedFunctionArn,
  c.functionName, c.functionVersion, c.memoryLimitInMB, c.logGroupName, c.logStreamName, 20000 < left && left <= 30000,
  c.callbackWaitsForEmptyEventLoop, c.clientContext.custom.a, c.identity.cognitoIdentityId, c.tenantId, process.env._X_AMZN_TRACE_ID] }`,
		}).ready()
		inv := invocation(`{}`)
		inv.ClientContext, inv.Identity, inv.TenantID = `{"custom":{"a":"b"}}`, `{"cognitoIdentityId":"id"}`, "blue"
		r, err := g.Invoke(limit(t), inv)
		if err != nil {
			t.Fatal(err)
		}
		wantResult(t, r, `["8f507cfc-xmpl-4697-b07a-ac58fc914c95","arn:aws:lambda:eu-west-1:123456789012:function:hello","hello",`+
			`"$LATEST","128","/aws/lambda/hello","2024/01/01/[$LATEST]abc",true,true,"b","id","blue","Root=1-5759e988-bd862e3fe1be46a994272793"]`)
	})
}

func TestNodeErrors(t *testing.T) {
	files := map[string]string{"app.js": `
exports.handler = async (event) => {
  if (event === 'large') return 'x'.repeat(7 << 20);
  if (event === 'longmessage') throw new RangeError('y'.repeat(1 << 20));
  if (event === 'cycle') { const a = {}; a.a = a; return a }
  if (event === 'bigint') return 1n;
  if (event === 'null') throw null;
  if (event === 'nothing') return;
  if (event === 'hostile') throw { toString() { throw 1 } };
  throw Object.assign(new TypeError('boom'), { code: 'E1', extra: { a: 1 } });
}
exports.sync = () => { throw new Error('sync') };
`}
	node(t, func(t *testing.T, in interpreter, start starter) {
		g := start("app.handler", files).ready()
		wantFailure(t, g.invoke(`{}`), "TypeError", `"errorMessage":"boom"`, `"trace":["TypeError: boom","    at `)
		wantLog(t, g.take(), `\S+Z\t8f507cfc-.*\tERROR\tInvoke Error \t\{"errorType":"TypeError","errorMessage":"boom","code":"E1",.*"extra":\{"a":1\},"stack":\["TypeError: boom",.*\]\}`)
		wantFailure(t, g.invoke(`"large"`), "Function.ResponseSizeTooLarge", "(6291556 bytes)")
		wantFailure(t, g.invoke(`"longmessage"`), "RangeError", "yyyy")
		wantFailure(t, g.invoke(`"cycle"`), "Runtime.UnserializableResponse")
		wantFailure(t, g.invoke(`"bigint"`), "Runtime.UnserializableResponse")
		wantFailure(t, g.invoke(`"null"`), "object", `"errorMessage":"null"`)
		wantFailure(t, g.invoke(`"hostile"`), "handled")
		wantFailure(t, g.invoke(`{"broken"`), "SyntaxError")
		wantResult(t, g.invoke(`"nothing"`), `null`)
		wantFailure(t, start("app.sync", files).ready().invoke(`{}`), "Error", `"errorMessage":"sync"`)
	})
}

func TestNodeInitErrors(t *testing.T) {
	files := map[string]string{
		"app.js": `exports.x = 1`, "bad.js": `exports.handler = )`, "needs.js": `require('no-such-module')`,
		"needs.mjs": `import 'no-such-module'`, "raises.js": `throw new TypeError('at start')`,
		"rejects.mjs": `await Promise.reject(new RangeError('awaited'))`,
	}
	cases := []struct{ handler, errorType, message string }{
		{"gone.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'gone'"},
		{"needs.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'no-such-module'\nRequire stack:"},
		{"app.handler", "Runtime.HandlerNotFound", "app.handler is undefined or not exported"},
		{"app.x", "Runtime.HandlerNotFound", "app.x is not a function"},
		{"app", "Runtime.MalformedHandlerName", "Bad handler"},
		{"../app.handler", "Runtime.MalformedHandlerName", "'../app.handler' is not a valid handler name."},
		{"bad.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token"},
		{"raises.handler", "TypeError", "at start"},
		{"rejects.handler", "RangeError", "awaited"},
	}
	node(t, func(t *testing.T, in interpreter, start starter) {
		for _, c := range cases {
			g := start(c.handler, files)
			err := g.Ready(limit(t))
			e, ok := errors.AsType[*runtimeapi.InitError](err)
			if !ok {
				t.Fatalf("%s: got %v, want an init error", c.handler, err)
			}
			var doc struct {
				ErrorMessage string   `json:"errorMessage"`
				Trace        []string `json:"trace"`
			}
			if err := json.Unmarshal(e.Payload, &doc); err != nil {
				t.Fatal(err)
			}
			if e.Type != c.errorType || !strings.HasPrefix(doc.ErrorMessage, c.message) || len(doc.Trace) == 0 {
				t.Errorf("%s: got %s %s, want %s", c.handler, e.Type, e.Payload, c.errorType)
			}
			wantLog(t, g.take(), `\S+Z\tundefined\tERROR\tUncaught Exception \t\{"errorType":.*\}`)
		}
		err := start("needs.handler", map[string]string{"needs.mjs": files["needs.mjs"]}).Ready(limit(t))
		if e, ok := errors.AsType[*runtimeapi.InitError](err); !ok || e.Type != "Runtime.ImportModuleError" {
			t.Errorf("a missing import of an ECMAScript module: got %v", err)
		}
	})
}

func TestNodeRejectionThatNobodyHandlesEndsTheProcess(t *testing.T) {
	node(t, func(t *testing.T, in interpreter, start starter) {
		files := map[string]string{"app.js": `
exports.rejects = () => { Promise.reject(new Error('lost')); return new Promise(() => {}) };
exports.throws = () => new Promise(() => { setTimeout(() => { throw new TypeError('later') }, 1) });`}
		g := start("app.rejects", files).ready()
		wantFailure(t, g.invoke(`{}`), "Runtime.UnhandledPromiseRejection", `"errorMessage":"Error: lost"`)
		exit, ok := errors.AsType[*exec.ExitError](<-g.exit)
		if !ok || exit.ExitCode() != 129 {
			t.Errorf("got exit %v, want status 129", exit)
		}
		wantLog(t, g.take(), `.*\tERROR\tUnhandled Promise Rejection \t\{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"Error: lost".*`)
		g = start("app.throws", files).ready()
		wantFailure(t, g.invoke(`{}`), "TypeError", `"errorMessage":"later"`)
		if _, err := g.Invoke(limit(t), invocation(`{}`)); !errors.Is(err, runtimeapi.ErrGone) {
			t.Errorf("got %v, want ErrGone", err)
		}
	})
}

func TestNodeThatExitsIsGone(t *testing.T) {
	node(t, func(t *testing.T, in interpreter, start starter) {
		g := start("app.handler", map[string]string{"app.js": `exports.handler = async () => { console.log('last words'); process.exit(3) }`}).ready()
		if _, err := g.Invoke(limit(t), invocation(`{}`)); !errors.Is(err, runtimeapi.ErrGone) {
			t.Fatalf("got %v, want ErrGone", err)
		}
		exit, ok := errors.AsType[*exec.ExitError](<-g.exit)
		if !ok || exit.ExitCode() != 3 {
			t.Errorf("got exit %v, want status 3", exit)
		}
		wantLog(t, g.take(), `.*\tINFO\tlast words`)
	})
}

func TestNodeLogs(t *testing.T) {
	node(t, func(t *testing.T, in interpreter, start starter) {
		g := start("app.handler", map[string]string{"app.js": `
console.log('loading');
exports.handler = async (event) => {
  console.log('two\nlines %s', 'x', { a: 1 }); process.stdout.write('raw\n'); console.error(new Error('e').message);
  console.warn('w'); console.debug('d'); console.info('i'); process.stdout.write('no newline') }`}).ready()
		wantLog(t, g.take(), `\S+Z\tundefined\tINFO\tloading`)
		const stamp = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t8f507cfc-xmpl-4697-b07a-ac58fc914c95\t`
		for range 2 {
			wantResult(t, g.invoke(`7`), `null`)
			wantLog(t, g.take(), stamp+"INFO\ttwo\nlines x \\{ a: 1 \\}", "raw", stamp+"ERROR\te", stamp+"WARN\tw", stamp+"DEBUG\td", stamp+"INFO\ti", "no newline")
		}
	})
}

func TestNodeLogsAsJSON(t *testing.T) {
	node(t, func(t *testing.T, in interpreter, start starter) {
		g := start("app.handler", map[string]string{"app.js": `
exports.handler = async (event) => { console.log({ order: 7 }); console.debug('not this'); console.error('it', new TypeError('e')); console.log(new Error('one')) }`},
			"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO").ready()
		wantResult(t, g.invoke(`7`), `null`)
		const stamp = `\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",`
		wantLog(t, g.take(), stamp+`"level":"INFO","requestId":"8f507cfc-xmpl-4697-b07a-ac58fc914c95","message":\{"order":7\}\}`,
			stamp+`"level":"ERROR",.*"message":"it TypeError: e.*","errorType":"TypeError","errorMessage":"e","stackTrace":\[.*\]\}`,
			stamp+`"level":"INFO",.*"message":\{"errorType":"Error","errorMessage":"one","stackTrace":\[.*\]\}\}`)
	})
}

func TestNodeLargeEventAndAnswer(t *testing.T) {
	node(t, func(t *testing.T, in interpreter, start starter) {
		g := start("app.handler", map[string]string{"app.js": `exports.handler = async (e) => e`}).ready()
		big := `"` + strings.Repeat("0123456789abcdef", 6<<16) + `"`
		for _, event := range []string{`"small"`, big, `"small"`, big[:200_000] + `"`} {
			wantResult(t, g.invoke(event), event)
		}
		wantResult(t, g.invoke(`"é😀\ud800"`), `"é😀\ud800"`)
	})
}

// Lots of output in little time must neither block for good nor come short.
func TestNodeOutputLargerThanThePipe(t *testing.T) {
	node(t, func(t *testing.T, in interpreter, start starter) {
		g := start("app.handler", map[string]string{"app.js": `
exports.handler = async () => { process.stdout.write('start\n'); for (let i = 0; i < 3000; i++) console.log('x'.repeat(200)) }`}).ready()
		wantResult(t, g.invoke(`1`), `null`)
		if logs := g.take(); len(logs) != 3001 {
			t.Errorf("got %d log events, want 3001", len(logs))
		}
	})
}

// Node's program is one file, since each more costs every cold start; what a waiting one rehearses with
// is beside it.
func TestNodesProgramIsOneFile(t *testing.T) {
	dir := t.TempDir()
	if err := bootstrap.Write(bootstrap.Node, dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 || entries[0].Name() != "early-module.mjs" || entries[1].Name() != "early.cjs" || entries[2].Name() != bootstrap.Node.Entry() {
		t.Fatalf("got %v", entries)
	}
	body, err := os.ReadFile(filepath.Join(dir, bootstrap.Node.Entry()))
	if err != nil {
		t.Fatal(err)
	}
	if local := regexp.MustCompile(`require\('\.[^)]*`).Find(body); local != nil {
		t.Errorf("it still reads %s", local)
	}
}
