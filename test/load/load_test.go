package load

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/bastide-cloud/bastide/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// stage is a server with clients for the callers of a load.
type stage struct {
	*testing.T
	s    *harness.Server
	fns  *lambda.Client
	role string
}

func newStage(t *testing.T, flags ...string) *stage {
	t.Helper()
	s := harness.Start(t, flags...)
	config := s.SDK(t)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	config.HTTPClient = &http.Client{Transport: transport, Timeout: 2 * time.Minute}
	g := &stage{t, s, lambda.NewFromConfig(config), ""}
	out, err := iam.NewFromConfig(config).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("load"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	g.must(err)
	g.role = *out.Role.Arn
	return g
}

func (g *stage) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// function makes one on the python or node at hand.
func (g *stage) function(name, code string, memory int32) {
	g.Helper()
	file, probe, args := "app.py", "python3", []string{"-c", "import sys; print('python%d.%d' % sys.version_info[:2])"}
	if strings.Contains(code, "exports.handler") {
		file, probe, args = "app.js", "node", []string{"-p", "'nodejs' + process.versions.node.split('.')[0] + '.x'"}
	}
	runtime, err := exec.CommandContext(g.Context(), probe, args...).Output()
	g.must(err)
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	w, err := z.Create(file)
	g.must(err)
	_, err = io.WriteString(w, code)
	g.must(err)
	g.must(z.Close())
	_, err = g.fns.CreateFunction(g.Context(), &lambda.CreateFunctionInput{FunctionName: &name, Role: &g.role, Handler: aws.String("app.handler"), Timeout: aws.Int32(60),
		MemorySize: &memory, Runtime: types.Runtime(strings.TrimSpace(string(runtime))), Code: &types.FunctionCode{ZipFile: packed.Bytes()}})
	g.must(err)
	g.must(lambda.NewFunctionActiveV2Waiter(g.fns).Wait(g.Context(), &lambda.GetFunctionInput{FunctionName: &name}, time.Minute))
}

func (g *stage) remove(name string) {
	g.Helper()
	_, err := g.fns.DeleteFunction(g.Context(), &lambda.DeleteFunctionInput{FunctionName: &name})
	g.must(err)
}

// invoke makes one call and gives the handler's answer, or what went wrong.
func (g *stage) invoke(ctx context.Context, name, event string) (answer, functionError string, err error) {
	out, err := g.fns.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(event)})
	if err != nil {
		return "", "", err
	}
	return string(out.Payload), aws.ToString(out.FunctionError), nil
}

// each makes n calls with so many callers.
func each(n, callers int, call func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				call(i)
			}
		})
	}
	wg.Wait()
}

const (
	pythonEcho = "def handler(event, context):\n    return event['n'] * 2\n"
	nodeEcho   = "exports.handler = async (event) => { console.log('n', event.n); return event.n * 2; };\n"
	// pythonWait leaves a child behind in each call, and a file.
	pythonWait = "import subprocess, time\ndef handler(event, context):\n    subprocess.Popen(['/proc/self/exe', '-c', 'import time; time.sleep(2)'])\n" +
		"    open('/tmp/%d' % event['n'], 'w').write('x')\n    time.sleep(0.02)\n    return event['n'] * 2\n"
)

// TestNothingLeaks makes ten thousand calls with 64 callers on three functions; when the functions are
// gone, the server holds what it held before: processes, cgroups, mounts, network namespaces,
// descriptors, goroutines.
func TestNothingLeaks(t *testing.T) {
	g := newStage(t)
	codes := map[string]string{"python": pythonEcho, "node": nodeEcho, "children": pythonWait}
	names := []string{"python", "node", "children"}
	round := func(calls int) {
		for name, code := range codes {
			g.function(name, code, 512)
		}
		var failed atomic.Int64
		each(calls, 64, func(i int) {
			// one in twenty leaves a process behind: such instances are many
			name := names[i%2]
			if i%20 == 0 {
				name = names[2]
			}
			answer, problem, err := g.invoke(t.Context(), name, fmt.Sprintf(`{"n":%d}`, i))
			if (err != nil || problem != "" || answer != fmt.Sprint(2*i)) && failed.Add(1) < 4 {
				t.Errorf("call %d of %s: %q %s %v", i, name, answer, problem, err)
			}
		})
		if n := failed.Load(); n > 0 {
			t.Errorf("%d of %d calls failed", n, calls)
		}
		for _, name := range names {
			g.remove(name)
		}
		g.quiet()
	}
	round(640) // whatever is opened once and kept
	before := held(t, g.s)
	round(10_000)
	after := held(t, g.s)
	if !harness.Eventually(t, func() bool {
		g.quiet()
		after = held(t, g.s)
		return after.within(before)
	}) {
		t.Errorf("held before %+v\nheld after  %+v", before, after)
	}
}

// within allows for a few goroutines and threads that come and go with timers and connections.
func (h holdings) within(before holdings) bool {
	return h.Processes <= before.Processes && h.Cgroups <= before.Cgroups && h.Mounts <= before.Mounts && h.Networks <= before.Networks &&
		h.Descriptors <= before.Descriptors+2 && h.Goroutines <= before.Goroutines+4 && h.Instances <= before.Instances
}

// quiet closes the callers' idle connections.
func (g *stage) quiet() {
	if c, ok := g.fns.Options().HTTPClient.(*http.Client); ok {
		c.CloseIdleConnections()
	}
}

// TestEveryCallerGetsAnAnswer kills functions' processes at random under load: each call is answered,
// by the handler's own answer or by Lambda's error for a runtime that ended, and the function goes on.
func TestEveryCallerGetsAnAnswer(t *testing.T) {
	g := newStage(t)
	g.function("victim", "import time\ndef handler(event, context):\n    time.sleep(0.01)\n    return event['n'] * 2\n", 256)
	ctx, cancel := context.WithCancel(t.Context())
	var killed atomic.Int64
	var killer sync.WaitGroup
	killer.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				killed.Add(int64(killOne(g.s.PID())))
			}
		}
	})
	const calls = 1500
	var well, broken, lost atomic.Int64
	each(calls, 16, func(i int) {
		answer, problem, err := g.invoke(t.Context(), "victim", fmt.Sprintf(`{"n":%d}`, i))
		switch {
		case err == nil && problem == "" && answer == fmt.Sprint(2*i):
			well.Add(1)
		case err == nil && problem == "Unhandled" && exitError(answer):
			broken.Add(1)
		default:
			if lost.Add(1) < 4 {
				t.Errorf("call %d: %q %s %v", i, answer, problem, err)
			}
		}
	})
	cancel()
	killer.Wait()
	t.Logf("%d killed: %d answered, %d answered with the runtime's end", killed.Load(), well.Load(), broken.Load())
	if killed.Load() < 20 || broken.Load() == 0 || well.Load() == 0 {
		t.Errorf("%d killed, %d answers, %d errors: the test has shown nothing", killed.Load(), well.Load(), broken.Load())
	}
	if n := lost.Load(); n > 0 {
		t.Errorf("%d of %d callers got no proper answer", n, calls)
	}
	if answer, problem, err := g.invoke(t.Context(), "victim", `{"n":21}`); answer != "42" || problem != "" || err != nil {
		t.Errorf("afterwards: %q %s %v", answer, problem, err)
	}
}

// exitError tells whether an answer is Lambda's for a runtime that ended.
func exitError(answer string) bool {
	var e struct{ ErrorType, ErrorMessage string }
	return json.Unmarshal([]byte(answer), &e) == nil && (e.ErrorType == "Runtime.ExitError" || e.ErrorType == "Sandbox.Failure") && e.ErrorMessage != ""
}

// killOne ends a process of a function, or the init of its sandbox, chosen at random among the
// server's descendants but for its launchers.
func killOne(server int) int {
	family := harness.Descendants(server)
	skip := map[string]bool{}
	for _, pid := range launchers(family) {
		skip[pid] = true
	}
	rand.Shuffle(len(family), func(i, j int) { family[i], family[j] = family[j], family[i] })
	for _, pid := range family {
		var n int
		if skip[pid] {
			continue
		}
		if _, err := fmt.Sscan(pid, &n); err == nil && syscall.Kill(n, syscall.SIGKILL) == nil {
			return 1
		}
	}
	return 0
}
