package bootstrap_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

func py(t *testing.T, test func(t *testing.T, start func(handler string, files map[string]string, env ...string) *guest)) {
	every(t, bootstrap.Python, func(t *testing.T, in interpreter) {
		test(t, func(handler string, files map[string]string, env ...string) *guest {
			return start(t, in, options{handler, files, env})
		})
	})
}

func TestPythonAnswersWithTheHandlersValue(t *testing.T) {
	py(t, func(t *testing.T, start func(string, map[string]string, ...string) *guest) {
		g := start("src/app.handler", map[string]string{"src/app.py": `
from decimal import Decimal
def handler(event, context):
    return {"n": event["n"] + 1, "f": 1.5, "d": Decimal("2.5"), "u": "é\n", "l": [None, True, ()], "event": event}
`}).ready()
		for range 3 {
			var got map[string]any
			r := g.invoke(` {"n": 41, "big": 123456789012345678901234567890, "x": [1e3, "\u00e9"]} `)
			if err := json.Unmarshal(r.Payload, &got); err != nil || r.Failed {
				t.Fatalf("%v in %s", err, r.Payload)
			}
			if got["n"] != 42.0 || got["d"] != 2.5 || got["u"] != "é\n" {
				t.Errorf("got %v", got)
			}
			if !strings.Contains(string(r.Payload), "123456789012345678901234567890") {
				t.Errorf("a large integer lost digits: %s", r.Payload)
			}
		}
	})
}

func TestPythonContext(t *testing.T) {
	py(t, func(t *testing.T, start func(string, map[string]string, ...string) *guest) {
		g := start("app.handler", map[string]string{"app.py": `
import os
def handler(event, c):
    left = c.get_remaining_time_in_millis()
    return [c.aws_request_id, c.invoked_function_arn, c.function_name, c.function_version, c.memory_limit_in_mb,
        c.log_group_name, c.log_stream_name, 20000 < left <= 30000, c.client_context.custom["a"],
        c.client_context.client.app_title, c.identity.cognito_identity_id, c.tenant_id, os.environ.get("_X_AMZN_TRACE_ID"),
        "LambdaContext(" in repr(c)]
`}).ready()
		inv := invocation(`{}`)
		inv.ClientContext = `{"custom":{"a":"b"},"client":{"app_title":"T"}}`
		inv.Identity = `{"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}`
		inv.TenantID = "blue"
		r, err := g.Invoke(limit(t), inv)
		if err != nil {
			t.Fatal(err)
		}
		wantResult(t, r, `["8f507cfc-xmpl-4697-b07a-ac58fc914c95", "arn:aws:lambda:eu-west-1:123456789012:function:hello", `+
			`"hello", "$LATEST", "128", "/aws/lambda/hello", "2024/01/01/[$LATEST]abc", true, "b", "T", "id", "blue", `+
			`"Root=1-5759e988-bd862e3fe1be46a994272793", true]`)
	})
}

func TestPythonErrors(t *testing.T) {
	py(t, func(t *testing.T, start func(string, map[string]string, ...string) *guest) {
		g := start("app.handler", map[string]string{"app.py": `
class Odd(Exception):
    pass
def inner():
    raise Odd("boom")
def handler(event, context):
    if event == "set":
        return {1, 2}
    if event == "large":
        return "x" * (7 << 20)
    if event == "longmessage":
        raise ValueError("y" * (1 << 20))
    inner()
`}).ready()
		r := g.invoke(`{}`)
		wantFailure(t, r, "Odd", `"errorMessage": "boom"`, `"requestId": "8f507cfc-xmpl-4697-b07a-ac58fc914c95"`, `app.py\", line 13, in handler`)
		if strings.Contains(string(r.Payload), "bootstrap.py") || strings.Contains(string(r.Payload), "bastide_runtime") {
			t.Errorf("the runtime's own frames are in the trace: %s", r.Payload)
		}
		wantLog(t, g.take(), `\[ERROR\] Odd: boom\nTraceback \(most recent call last\):\n  File ".*app.py", line 13, in handler\n    inner\(\).*raise Odd\("boom"\).*`)
		wantFailure(t, g.invoke(`"set"`), "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable")
		wantFailure(t, g.invoke(`"large"`), "Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).")
		wantFailure(t, g.invoke(`"longmessage"`), "ValueError", "yyyy")
		wantFailure(t, g.invoke(`{"broken"`), "Runtime.UnmarshalError", "Unable to unmarshal input: ")
		wantFailure(t, g.invoke(`{}`), "Odd")
	})
}

func TestPythonInitErrors(t *testing.T) {
	files := map[string]string{
		"app.py": "x = 1\n", "bad.py": "def f(:\n", "needs.py": "import no_such_module\n", "raises.py": "raise KeyError('k')\n",
	}
	cases := []struct{ handler, errorType, message string }{
		{"gone.handler", "Runtime.ImportModuleError", "Unable to import module 'gone': No module named 'gone'"},
		{"needs.handler", "Runtime.ImportModuleError", "Unable to import module 'needs': No module named 'no_such_module'"},
		{"app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"},
		{"app", "Runtime.MalformedHandlerName", "Bad handler 'app': not enough values to unpack (expected 2, got 1)"},
		{"bad.f", "Runtime.UserCodeSyntaxError", "Syntax error in module 'bad': invalid syntax (bad.py, line 1)"},
		{"raises.f", "KeyError", "'k'"},
		{"time.sleep", "Runtime.ImportModuleError", "Cannot use built-in module time as a handler module"},
	}
	every(t, bootstrap.Python, func(t *testing.T, in interpreter) {
		for _, c := range cases {
			g := start(t, in, options{handler: c.handler, files: files})
			err := g.Ready(limit(t))
			e, ok := errors.AsType[*runtimeapi.InitError](err)
			if !ok {
				t.Fatalf("%s: got %v, want an init error", c.handler, err)
			}
			var doc struct {
				ErrorMessage string   `json:"errorMessage"`
				RequestID    *string  `json:"requestId"`
				StackTrace   []string `json:"stackTrace"`
			}
			if err := json.Unmarshal(e.Payload, &doc); err != nil {
				t.Fatal(err)
			}
			message := doc.ErrorMessage
			if c.handler == "bad.f" { // later versions word what is wrong with it better
				message = strings.Replace(message, "f (bad", "f (bad", 1)
				if in.minor() > 8 {
					c.message, message = "Syntax error in module 'bad': ", message[:len("Syntax error in module 'bad': ")]
				}
			}
			if e.Type != c.errorType || message != c.message || doc.RequestID == nil || doc.StackTrace == nil {
				t.Errorf("%s: got %s %s", c.handler, e.Type, e.Payload)
			}
		}
	})
}

func TestPythonLogs(t *testing.T) {
	py(t, func(t *testing.T, start func(string, map[string]string, ...string) *guest) {
		g := start("app.handler", map[string]string{"app.py": `
import logging, sys, os
logger = logging.getLogger()
logger.setLevel("INFO")
print("loading")
def handler(event, context):
    print("printed")
    logger.info("two\nlines %s", event)
    logger.debug("not this")
    os.write(1, b"raw\n")
    logging.getLogger("app").warning("careful")
    sys.stdout.write("no newline")
    return None
`}).ready()
		wantLog(t, g.take(), "loading")
		const stamp = `\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t8f507cfc-xmpl-4697-b07a-ac58fc914c95\t`
		for range 2 {
			wantResult(t, g.invoke(`7`), `null`)
			wantLog(t, g.take(), "printed", `\[INFO\]`+stamp+"two\nlines 7", "raw", `\[WARNING\]`+stamp+"careful", "no newline")
		}
	})
}

func TestPythonLogsAsJSON(t *testing.T) {
	py(t, func(t *testing.T, start func(string, map[string]string, ...string) *guest) {
		g := start("app.handler", map[string]string{"app.py": `
import logging
log = logging.getLogger("app")
def handler(event, context):
    log.info("hello", extra={"order": 7})
    log.debug("not this")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("division")
    raise ValueError("bad")
`}, "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO").ready()
		wantFailure(t, g.invoke(`{}`), "ValueError", "bad")
		const stamp = `\{"timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", `
		wantLog(t, g.take(),
			stamp+`"level": "INFO", "message": "hello", "logger": "app", "requestId": "8f507cfc-.*", "order": 7\}`,
			stamp+`"level": "ERROR", "message": "division", .*"stackTrace": \[.*\], "errorType": "ZeroDivisionError", "errorMessage": "division by zero", "location": ".*app.py:handler:8".*\}`,
			`\{"timestamp": .*"log_level": "ERROR", "errorMessage": "bad", "errorType": "ValueError".*\}`)
	})
}

func TestPythonThatExitsIsGone(t *testing.T) {
	py(t, func(t *testing.T, start func(string, map[string]string, ...string) *guest) {
		g := start("app.handler", map[string]string{"app.py": "import os\ndef handler(e, c):\n    print('last words')\n    exit(3)\n"}).ready()
		_, err := g.Invoke(limit(t), invocation(`{}`))
		if !errors.Is(err, runtimeapi.ErrGone) {
			t.Fatalf("got %v, want ErrGone", err)
		}
		exit, ok := errors.AsType[*exec.ExitError](<-g.exit)
		if !ok || exit.ExitCode() != 3 {
			t.Errorf("got exit %v, want status 3", exit)
		}
		wantLog(t, g.take(), "last words")
	})
}

func TestPythonLargeEventAndAnswer(t *testing.T) {
	py(t, func(t *testing.T, start func(string, map[string]string, ...string) *guest) {
		g := start("app.handler", map[string]string{"app.py": "def handler(e, c):\n    return e\n"}).ready()
		big := `"` + strings.Repeat("0123456789abcdef", 6<<16) + `"` // 6 MiB and two quotes
		for _, event := range []string{`"small"`, big, `"small"`, big[:200_000] + `"`} {
			wantResult(t, g.invoke(event), event)
		}
	})
}

func TestPythonStartsWithoutItsHeavyLibraries(t *testing.T) {
	py(t, func(t *testing.T, start func(string, map[string]string, ...string) *guest) {
		g := start("app.handler", map[string]string{"app.py": `
import sys
def handler(event, context):
    return [m for m in ("json", "re", "logging", "traceback", "ssl", "urllib", "socket", "site") if m in sys.modules]
`}).ready()
		wantResult(t, g.invoke(`{"a": [1, "two", null]}`), `[]`)
	})
}
