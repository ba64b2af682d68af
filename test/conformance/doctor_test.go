package conformance

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/bastide-cloud/bastide/test/harness"
)

// wasteful loads one of its two packages, connects anew on each call and leaves files.
const wasteful = `
import os, socket, time, used
time.sleep(0.6)  # what a heavy package takes to be imported
def handler(event, context):
    socket.create_connection(("localhost", %d), timeout=5).close()
    open("/tmp/" + context.aws_request_id, "wb").write(b"x" * 200000)
    return used.VALUE
`

// seen holds that ` + "`bastide doctor functions`" + ` tells what a wasteful function was seen to do, in figures.
func seen(t *testing.T, s *harness.Server, fn *lambda.Client, role *string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close() // it was only counted
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range map[string]string{"app.py": fmt.Sprintf(wasteful, port), "used/__init__.py": "VALUE = 7\n" + strings.Repeat("#", 1<<20),
		"idle/__init__.py": "", "idle/data.bin": strings.Repeat("d", 3<<20), "notes.txt": strings.Repeat("n", 300<<10)} {
		f, err := w.Create(name)
		must(t, err)
		_, err = f.Write([]byte(text))
		must(t, err)
	}
	must(t, w.Close())
	name := aws.String("story-wasteful")
	_, err = fn.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: name, Role: role, Handler: aws.String("app.handler"), Runtime: lambdatypes.Runtime(python(t)),
		Tags: map[string]string{"bastide:profile": "learn", "bastide:egress": fmt.Sprintf("localhost:%d", port)}, Code: &lambdatypes.FunctionCode{ZipFile: b.Bytes()}})
	must(t, err)
	for range 12 {
		out, err := fn.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: name, Payload: []byte("{}")})
		must(t, err)
		if string(out.Payload) != "7" {
			t.Fatalf("the function answers %s", out.Payload)
		}
	}
	var text string
	harness.Until(t, "what was seen is told", func() bool {
		text, _, err = s.Bastide(t, "doctor", "functions")
		return err == nil && strings.Contains(text, "story-wasteful: 12 calls, 1 start of ") && strings.Contains(text, "never opened:")
	})
	for _, want := range []string{"3.0 MB   69 %  idle\n", "300 KB    6 %  notes.txt\n", fmt.Sprintf("12 connections to localhost:%d in 12 calls on 1 instance\n", port),
		"/tmp is written", "left there when a call had ended", "a heavy package starts slowly", "until the handler is loaded; unpacking it took", "files never loaded"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not told:\n%s", want, text)
		}
	}
	told, _, err := s.Bastide(t, "doctor", "functions", "--output", "json")
	must(t, err)
	var rows []map[string]any
	must(t, json.Unmarshal([]byte(told), &rows))
	named := false
	for _, row := range rows {
		named = named || row["functionName"] == *name && row["invocations"] == 12.0
	}
	if !named || !strings.Contains(told, fmt.Sprintf(`"host":"localhost:%d"`, port)) || !strings.Contains(told, `"path":"idle"`) {
		t.Errorf("as JSON: %s", told)
	}
	if len(rows) < 2 {
		t.Errorf("of %d functions", len(rows))
	}
	_, err = fn.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: name})
	must(t, err)
}
