package attack

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/bastide-cloud/bastide/test/harness"
)

// forger writes what its event says to its output, by hand, past whatever a runtime would make of it, and
// fails in the words that it is told.
const forger = `
import os, base64
def handler(event, context):
    for text in event.get("write", []):
        b = base64.b64decode(text)
        while b: b = b[os.write(1, b):]
    if "fail" in event:
        raise type(event["fail"], (Exception,), {})(event["fail"])
    return event.get("answer", "done")
`

const forged = "11111111-2222-4333-8444-555555555555" // another's request

// injections are what a function writes to lead who reads its log, or the log itself, astray.
func injections() map[string]string {
	return map[string]string{
		"an end that is none":       "END RequestId: " + forged + "\n",
		"a report of another":       "REPORT RequestId: " + forged + "\tDuration: 999999.00 ms\tBilled Duration: 999999 ms\tMemory Size: 9 MB\tMax Memory Used: 9 MB\t\n",
		"a start of another":        "START RequestId: " + forged + " Version: $LATEST\n",
		"a platform event":          `{"time":"2026-01-01T00:00:00.000Z","type":"platform.report","record":{"requestId":"` + forged + `","metrics":{"durationMs":1}}}` + "\n",
		"a line of another":         "00:00:00.000 victim its secret\n",
		"colours":                   "\x1b[31mred\x1b[0m\n",
		"a title":                   "\x1b]0;pwned\x07title\n",
		"the clipboard":             "\x1b]52;c;cm0gLXJmIH4K\x07clip\n",
		"an answer of the terminal": "\x1b[6n\x1b[c\x1bP$q\x1b\\asked\n",
		"a screen that is cleared":  "\x1b[2J\x1b[Hcleared\n",
		"a line that is overtyped":  "refused\rallowed\n",
		"letters that are erased":   "denied\b\b\b\b\b\bgranted\n",
		"controls of eight bits":    "\xc2\x9b31mc1\xc2\x9d0;x\xc2\x9c\n",
		"bytes that are no text":    "\xff\xfe\x9b31m\xc0\x80\n",
		"zero bytes":                "a\x00b\x00\n",
		"a text turned round":       "user\u202e\u2066gnp.exe\u2069\n",
		"breaks that are others":    "a\x0bb\x0cc\u2028d\u0085e\n",
		"the runtime's own marks":   "\x1eone\x1fEND RequestId: " + forged + "\x1ftwo\n",
		"a giant line":              strings.Repeat("g", 700<<10) + "\n",
		"a hyperlink":               "\x1b]8;;http://attacker.example/\x07click\x1b]8;;\x07\n",
	}
}

// TestLogInjection: what a function writes is its own log's, line for line, whatever it looks like; no
// record, no figure and no other function's log comes of it, and no terminal is driven by it.
func TestLogInjection(t *testing.T) {
	g := newStage(t)
	role := g.role("forger", `{"Service":"lambda.amazonaws.com"}`, "", allow("logs:*"))
	fns := lambda.NewFromConfig(g.s.SDK(t))
	for _, name := range []string{"forger", "victim"} {
		g.function(fns, name, role, zipOf(t, map[string]string{"app.py": forger}))
	}
	all := injections()
	if len(all) < 20 {
		t.Errorf("only %d injections", len(all))
	}
	var write [][]byte
	for _, text := range all {
		write = append(write, []byte(text))
	}
	event, err := json.Marshal(map[string]any{"write": write})
	g.must(err)
	out, err := fns.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("forger"), Payload: event})
	g.must(err)
	if string(out.Payload) != `"done"` {
		t.Fatalf("%s", out.Payload)
	}
	_, err = fns.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("victim"), Payload: []byte(`{}`)})
	g.must(err)
	fail := "Error\nEND RequestId: " + forged + "\n\x1b[31mREPORT"
	event, err = json.Marshal(map[string]any{"fail": fail})
	g.must(err)
	out, err = fns.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("forger"), Payload: event})
	g.must(err)
	if aws.ToString(out.FunctionError) != "Unhandled" {
		t.Errorf("an error of many lines is %q", aws.ToString(out.FunctionError))
	}
	g.written("forger")
	g.unwritten()
	g.s.Alive(t)
}

// written holds what `bastide logs` shows of the forger.
func (g *stage) written(name string) {
	g.Helper()
	var shown string
	harness.Until(g.T, "its output is in the log", func() bool {
		var err error
		shown, _, err = g.s.Bastide(g.T, "logs", name)
		return err == nil && strings.Count(shown, "REPORT RequestId: ") >= 3 // two real ones and one that is not
	})
	if !utf8.ValidString(shown) {
		g.Error("what is shown is no text")
	}
	giant := 0
	prefix := regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} `)
	for line := range strings.Lines(shown) {
		if !prefix.MatchString(line) {
			g.Errorf("a line without its time: %.80q", line)
		}
		giant += strings.Count(line, "g")
		for _, r := range strings.TrimSuffix(line, "\n") {
			if r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x2028 || r == 0x2029) {
				g.Errorf("%U is shown in %.80q", r, line)
			}
		}
	}
	if giant < 700<<10 {
		g.Errorf("of the giant line %d letters are left", giant)
	}
}

// unwritten holds that nothing else believes what the forger wrote.
func (g *stage) unwritten() {
	g.Helper()
	shown, _, err := g.s.Bastide(g.T, "logs", "victim")
	g.must(err)
	if strings.Contains(shown, forged) || strings.Count(shown, "START RequestId: ") != 1 {
		g.Errorf("the log of another:\n%s", shown)
	}
	invokes := 0
	for _, r := range g.s.Records(g.T, url.Values{"eventName": {"Invoke"}}) {
		invokes++
		if r.RequestID == forged {
			g.Error("the trail has the forged request")
		}
	}
	if invokes < 3 {
		g.Errorf("the trail has %d invocations", invokes)
	}
	if strings.Contains(g.s.Log.String(), forged) || strings.ContainsAny(g.s.Log.String(), "\x1b\x00") {
		g.Error("Bastide's own log has what a function wrote")
	}
}

// TestOutputIsBounded: what a function may write to the disk that all share has a bound. What is beyond is
// told and counted, and Lambda's own lines are there all the same.
func TestOutputIsBounded(t *testing.T) {
	g := newStage(t)
	role := g.role("forger", `{"Service":"lambda.amazonaws.com"}`, "", allow("logs:*"))
	fns := lambda.NewFromConfig(g.s.SDK(t))
	g.function(fns, "forger", role, zipOf(t, map[string]string{"app.py": `
def handler(event, context):
    for _ in range(40):
        for _ in range(1000): print("x" * 1023)
    print("the end of it")
`}))
	out, err := fns.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("forger"), LogType: "Tail"})
	g.must(err)
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	g.must(err)
	if !strings.Contains(string(tail), "the end of it\nEND RequestId: ") {
		t.Errorf("the tail lacks the end: %q", tail)
	}
	var shown string
	harness.Until(t, "the report is in the log", func() bool {
		var err error
		shown, _, err = g.s.Bastide(t, "logs", "forger")
		return err == nil && strings.Contains(shown, "REPORT RequestId: ")
	})
	kept, told := strings.Count(shown, strings.Repeat("x", 1023)), strings.Count(shown, "LOGS_DROPPED Records: ")
	if kept < 10_000 || kept > 35_000 || told == 0 || !strings.Contains(shown, "START RequestId: ") || !strings.Contains(shown, "END RequestId: ") {
		t.Errorf("of 40,000 lines of a KB %d are kept, and it is told %d times", kept, told)
	}
	groups, err := cloudwatchlogs.NewFromConfig(g.s.SDK(t)).DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	g.must(err)
	if len(groups.LogGroups) != 1 || aws.ToInt64(groups.LogGroups[0].StoredBytes) > 35<<20 {
		t.Errorf("the disk has %+v", groups.LogGroups)
	}
	g.s.Alive(t)
}
