package events

import (
	"archive/zip"
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/test/harness"
)

// parting is an external extension that has something to say when its environment ends.
const parting = `#!/var/lang/bin/python3
import json, os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
made = urllib.request.urlopen(urllib.request.Request(api + "register", b'{"events":["INVOKE","SHUTDOWN"]}', {"Lambda-Extension-Name": "parting"}))
who = {"Lambda-Extension-Identifier": made.headers["Lambda-Extension-Identifier"]}
while True:
    if json.load(urllib.request.urlopen(urllib.request.Request(api + "event/next", headers=who)))["eventType"] == "SHUTDOWN":
        print("last words", flush=True)
        break
`

// zipped is an archive of one executable file.
func (r *rig) zipped(name, text string) []byte {
	r.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	r.must(err)
	_, err = w.Write([]byte(text))
	r.must(err)
	r.must(z.Close())
	return b.Bytes()
}

// TestLastWordsAreKept: what is said in the shutdown phase of a server that stops is in the log afterwards.
func TestLastWordsAreKept(t *testing.T) {
	r := newRig(t)
	ctx, c := t.Context(), r.s.Client(t)
	r.must(c.Query(ctx, "iam", "2010-05-08", "PutRolePolicy", map[string][]string{"RoleName": {"counter"}, "PolicyName": {"log"},
		"PolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`}}, nil))
	out, err := exec.CommandContext(ctx, "python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])").Output()
	r.must(err)
	var layer struct{ LayerVersionArn string }
	r.must(c.REST(ctx, "lambda", http.MethodPost, "/2018-10-31/layers/parting/versions",
		map[string]any{"Content": map[string]any{"ZipFile": r.zipped("extensions/parting", parting)}}, &layer))
	r.must(c.REST(ctx, "lambda", http.MethodPost, "/2015-03-31/functions", map[string]any{"FunctionName": "parts", "Runtime": strings.TrimSpace(string(out)), "Handler": "app.handler",
		"Role": "arn:aws:iam::" + harness.Account + ":role/counter", "Timeout": 30, "Layers": []string{layer.LayerVersionArn},
		"Code": map[string]any{"ZipFile": r.zipped("app.py", "def handler(event, context): return 1\n")}}, nil))
	r.must(c.REST(ctx, "lambda", http.MethodPost, "/2015-03-31/functions/parts/invocations", map[string]any{}, nil))
	r.s.Stop(t)
	if text := r.s.Log.String(); strings.Contains(text, "store: closed") {
		t.Errorf("the server wrote after its end:\n%s", text)
	}
	r.s.Restart(t)
	said, _, err := r.s.Bastide(t, "logs", "parts", "--since", "10m")
	r.must(err)
	if !strings.Contains(said, "last words") {
		t.Errorf("the log has\n%s", said)
	}
}
