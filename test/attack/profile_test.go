package attack

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

// injected does what its event says, as a function does that was taken over.
const injected = `
import os, socket, subprocess

def attempt(do):
    try:
        return str(do())
    except OSError as e:
        return type(e).__name__

def named():
    with socket.socket(socket.AF_UNIX) as s: s.bind("/tmp/s")

CHANGES = [
    lambda: open("/proc/self/root/tmp/evil", "w").write("x"),
    lambda: os.mkdir("/tmp/d"),
    lambda: os.symlink("/etc", "/tmp/l"),
    lambda: os.close(os.open("/tmp", os.O_TMPFILE | os.O_RDWR)),
    named,
]

def handler(event, context):
    out = {}
    if "file" in event: out["file"] = attempt(lambda: open("/var/task/" + event["file"]).read())
    if "hidden" in event: out["hidden"] = attempt(lambda: open("/proc/self/cwd/../task/" + event["hidden"]).read())
    if "run" in event: out["run"] = attempt(lambda: subprocess.run(event["run"], capture_output=True).returncode)
    if "fork" in event: out["fork"] = attempt(lambda: os.waitpid(os.fork() or os._exit(0), 0)[1])
    if "tmp" in event: out["tmp"] = attempt(lambda: open("/tmp/loot", "w").write("x"))
    for n, do in enumerate(CHANGES if "changes" in event else []): out[str(n)] = attempt(do)
    if "mkdir" in event: out["mkdir"] = attempt(lambda: os.mkdir("/tmp/" + event["mkdir"]))
    if "often" in event: out["often"] = sum(open("/tmp/%d" % n, "w").write("x") for n in range(event["often"]))
    if "dial" in event: out["dial"] = attempt(lambda: socket.create_connection(("localhost", event["dial"]), timeout=5).recv(5).decode())
    return out
`

// TestRuntimeProfile: a function is held to what it was seen to do. What departs is refused by the
// kernel, in the trail as its role's, and in a report let through but told.
func TestRuntimeProfile(t *testing.T) {
	g := newStage(t)
	role := g.role("injected", `{"Service":"lambda.amazonaws.com"}`, "", allow("logs:*"))
	fns := lambda.NewFromConfig(g.s.SDK(t))
	g.function(fns, "injected", role, zipOf(t, map[string]string{"app.py": injected, "menu.txt": "soup", "secrets.txt": "hunter2"}))
	got, err := fns.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("injected")})
	g.must(err)
	tag := func(mode string) error {
		_, err := fns.TagResource(t.Context(), &lambda.TagResourceInput{Resource: got.Configuration.FunctionArn, Tags: map[string]string{"bastide:profile": mode}})
		return err
	}
	call := func(event string, want string) {
		t.Helper()
		out, err := fns.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("injected"), Payload: []byte(event)})
		g.must(err)
		if strings.TrimSpace(string(out.Payload)) != want {
			t.Errorf("%s: %s, want %s", event, out.Payload, want)
		}
	}
	if err := tag("enforce"); err == nil || !strings.Contains(err.Error(), "nothing has been learned") {
		t.Errorf("held to a profile that has learned nothing: %v", err)
	}
	if err := tag("strict"); err == nil {
		t.Error("an unknown mode is taken")
	}
	g.must(tag("learn"))
	call(`{"file":"menu.txt"}`, `{"file": "soup"}`)
	harness.Until(t, "what the function does is learned", func() bool {
		text, _, err := g.s.Bastide(t, "profile", "injected", "--output", "json")
		g.must(err)
		var rows []struct{ FilesUsed int }
		g.must(json.Unmarshal([]byte(text), &rows))
		return len(rows) == 1 && rows[0].FilesUsed == 2 // itself and the menu
	})
	g.must(tag("enforce"))
	call(`{"file":"menu.txt"}`, `{"file": "soup"}`)
	call(`{"file":"secrets.txt","hidden":"secrets.txt","run":["/proc/self/exe","-c",""],"fork":1,"tmp":1}`,
		`{"file": "PermissionError", "hidden": "PermissionError", "run": "PermissionError", "fork": "PermissionError", "tmp": "PermissionError"}`)
	for _, what := range []string{"opening /var/task/secrets.txt", "starting a process", "writing to /tmp"} {
		g.s.Recorded(t, "the departure: "+what, url.Values{"eventName": {"DepartFromProfile"}}, func(r audit.Record) bool {
			return strings.HasPrefix(r.ErrorCode, "AccessDenied") && strings.HasSuffix(r.ErrorMessage, what+".") && strings.Contains(r.UserIdentity.ARN, "assumed-role/injected/")
		})
	}
	call(`{"changes":1}`, `{"0": "PermissionError", "1": "PermissionError", "2": "PermissionError", "3": "PermissionError", "4": "PermissionError"}`)
	departed := func(mode string, counts bool) func(r audit.Record) bool {
		return func(r audit.Record) bool {
			var d struct {
				Departure, Mode string
				Count           int64
			}
			g.must(json.Unmarshal(r.RequestParameters, &d))
			return d.Departure == "writing to /tmp" && d.Mode == mode && (r.ErrorCode != "") == (mode == "enforce") && (d.Count > 0) == counts
		}
	}
	g.s.Recorded(t, "that it was refused more than once", url.Values{"eventName": {"DepartFromProfile"}}, departed("enforce", true))
	g.must(tag("report"))
	call(`{"changes":1}`, `{"0": "1", "1": "None", "2": "None", "3": "None", "4": "None"}`)
	g.s.Recorded(t, "what makes files without opening them", url.Values{"eventName": {"DepartFromProfile"}}, departed("report", false))
	call(`{"file":"secrets.txt","tmp":1}`, `{"file": "hunter2", "tmp": "1"}`)
	g.s.Recorded(t, "a departure that was let through", url.Values{"eventName": {"DepartFromProfile"}}, func(r audit.Record) bool { return r.ErrorCode == "" })
	call(`{"often":500}`, `{"often": 500}`)
	g.s.Recorded(t, "that there were many", url.Values{"eventName": {"DepartFromProfile"}}, departed("report", true))
	g.must(tag("off"))
	call(`{"fork":1}`, `{"fork": "0"}`)
	if err := tag("enforce"); err == nil {
		t.Error("a profile that was forgotten is enforced")
	}
	// what only makes a directory is learned as use of /tmp, and goes on when held to it
	g.must(tag("learn"))
	call(`{"mkdir":"a"}`, `{"mkdir": "None"}`)
	harness.Until(t, "the use of /tmp is learned", func() bool {
		text, _, err := g.s.Bastide(t, "profile", "injected", "--output", "json")
		g.must(err)
		var rows []struct{ WritesTmp bool }
		g.must(json.Unmarshal([]byte(text), &rows))
		return len(rows) == 1 && rows[0].WritesTmp
	})
	g.must(tag("enforce"))
	call(`{"mkdir":"b","tmp":1}`, `{"tmp": "1", "mkdir": "None"}`)
}
