package fleet

import (
	"strings"
	"testing"
)

// once is a custom runtime that answers one event and ends at once: it reads neither the whole of the
// event nor what it is told of its answer.
const once = `#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/9001
printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n' >&3
while IFS= read -r line <&3; do
  line=${line%$'\r'}
  case ${line,,} in lambda-runtime-aws-request-id:*) id=${line#*: };; esac
  [ -z "$line" ] && break
done
exec 4<>/dev/tcp/127.0.0.1/9001
printf 'POST /2018-06-01/runtime/invocation/%s/WHAT HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nContent-Length: 4\r\n\r\n"ok"' $id >&4
exit 0
`

// TestLastAnswer: a runtime's end does not overtake its answer, and is no fault of the next event.
func TestLastAnswer(t *testing.T) {
	l := newLab(t)
	fn := l.function("provided.al2023", "once", strings.Replace(once, "WHAT", "response", 1))
	for range 200 {
		out, err := l.Invoke(t.Context(), fn, event1(`{"x":1}`))
		if err != nil || out.FunctionError != "" || string(out.Payload) != `"ok"` {
			t.Fatalf("%+v %s %v\n%s", out, out.Payload, err, strings.Join(l.logs(), ""))
		}
	}
	fn = l.function("provided.al2023", "mute", strings.Split(once, "exec 4")[0]+"exit 3\n")
	for range 20 {
		l.want(l.invoke(fn, `1`), "Unhandled", `.*"Runtime.ExitError".*exit status 3.*`)
	}
}
