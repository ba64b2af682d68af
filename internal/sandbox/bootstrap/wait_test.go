package bootstrap_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

// TestWhatAFunctionSees: the environment, the children's environment, the arguments and the working
// directory are the same whether a runtime was started for its function or had waited for it.
func TestWhatAFunctionSees(t *testing.T) {
	env := []string{"PLAIN=a=b", "EMPTY=", "UTF=ä€😀", "LINES=a\nb", "PATH=/usr/bin:/bin:/x"}
	for family, o := range map[bootstrap.Family]options{
		bootstrap.Node: {handler: "app.handler", env: env, files: map[string]string{"app.js": `
const top = process.cwd();
exports.handler = async () => [process.env, JSON.parse(require('child_process').execFileSync(process.execPath, ['-p', 'JSON.stringify(process.env)'])),
  top === process.env.LAMBDA_TASK_ROOT, process.argv.length, require.main !== undefined]`}},
		bootstrap.Python: {handler: "app.handler", env: env, files: map[string]string{"app.py": `
import os, sys, json, subprocess
top = os.getcwd()
def handler(e, c):
    child = subprocess.check_output([sys.executable, "-S", "-c", "import os, json; print(json.dumps(dict(os.environ)))"])
    return [dict(os.environ), json.loads(child), top == os.environ["LAMBDA_TASK_ROOT"], len(sys.argv), "json" in sys.modules]
`}},
	} {
		seen := map[string]any{}
		for _, in := range interpreters(t, family) {
			t.Run(in.name, func(t *testing.T) {
				g := start(t, in, o).ready()
				var got [5]any
				if err := json.Unmarshal(g.invoke(`1`).Payload, &got); err != nil {
					t.Fatal(err)
				}
				vars, _ := got[0].(map[string]any)
				if vars["PLAIN"] != "a=b" || vars["UTF"] != "ä€😀" || vars["LINES"] != "a\nb" || vars["LEFTOVER"] != nil || got[2] != true {
					t.Errorf("sees %v", got)
				}
				for _, differs := range []string{"LAMBDA_TASK_ROOT", "LC_CTYPE"} { // by run; python itself sets the other
					for _, v := range got[:2] {
						if m, ok := v.(map[string]any); ok {
							delete(m, differs)
						}
					}
				}
				if !reflect.DeepEqual(got[0], got[1]) {
					t.Errorf("a child sees %v\nits parent %v", got[1], got[0])
				}
				kind := strings.TrimSuffix(in.name, "-waiting")
				if was, ok := seen[kind]; ok && !reflect.DeepEqual(was, got) {
					t.Errorf("waiting: %v\nstarted: %v", got, was)
				}
				seen[kind] = got
			})
		}
	}
}

// TestSetUpIsBounded: what does not fit is refused before anything is said.
func TestSetUpIsBounded(t *testing.T) {
	host, guest := socketpair(t)
	defer guest.Close()
	c := runtimeapi.NewChannel(host)
	if err := c.SetUp(t.Context(), "/", []string{"A=" + strings.Repeat("x", 2<<20)}); err == nil {
		t.Error("two megabytes of environment were sent")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.SetUp(t.Context(), "/", nil); !errors.Is(err, runtimeapi.ErrGone) {
		t.Errorf("to a guest that is gone: %v", err)
	}
}
