package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/extension"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// How long a shutdown may take ("Lambda execution environment", Shutdown phase), and what of it the
// runtime has for itself before extensions are told.
const (
	shutdownInternal = 500 * time.Millisecond
	shutdownExternal = 2 * time.Second
	runtimeAlone     = 300 * time.Millisecond // without internal extensions; else shutdownInternal
)

// The reasons of a shutdown.
const (
	spindown   = "spindown"
	timeout    = "timeout"
	failureEnd = "failure"
)

// extensions are an instance's. Without any they are a listener that nobody connects to.
type extensions struct {
	i     *instance
	set   *extension.Set
	names []string // of the programs; each runs as the process of its place, from 1
	env   []string
	node  bool // the runtime waits in a call that keeps its event loop from turning

	begin   func(context.Context) error // what lets a waiting runtime begin; nil: Several.Begin
	several sandbox.Several             // nil where the driver holds one process only
	gone    chan struct{}               // closed when the runtime has ended while others go on
	how     sandbox.Ended               // read after gone
	allGone chan struct{}               // closed when every program has ended
	mu      sync.Mutex
	outputs []*runtimeapi.Output
	closed  bool
	once    sync.Once // the shutdown
}

// extend makes an instance ready for extensions, before it is started.
func (i *instance) extend(s *sandbox.Spec, fn *Function, rt *runtimes.Runtime) {
	x := &extensions{i: i, node: rt.Family == bootstrap.Node, gone: make(chan struct{}), allGone: make(chan struct{})}
	x.names = extension.Find(fn.Layers)
	if s.Root.Tree != "" {
		x.names = extension.Find([]string{filepath.Join(s.Root.Tree, "opt")})
	}
	ids := i.fleet.deps.IDs
	x.set = extension.New(extension.Config{
		FunctionName: fn.Name, FunctionVersion: fn.Version, Handler: fn.Handler, AccountID: fn.Account,
		External: x.names, JSON: strings.EqualFold(fn.LogFormat, "JSON"), Now: i.fleet.deps.Clock.Now, NewID: ids.UUID,
		Dial: x.dial, Reach: x.reach, Told: i.told, Internal: x.yield,
	})
	s.Held = len(x.names) > 0
	x.env = environOfExtensions(s.Env)
	i.ext, i.report.set = x, x.set
}

func (i *instance) told(kind string, record any) { i.report.platform(kind, record) }

func (x *extensions) reach() bool { _, ok := x.i.box.(sandbox.Dialer); return ok }

func (x *extensions) dial(ctx context.Context, port uint16) (net.Conn, error) {
	d, ok := x.i.box.(sandbox.Dialer)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return d.Dial(ctx, port)
}

// yield lets node's event loop turn between invocations from now on.
func (x *extensions) yield() {
	if c, ok := x.i.worker.(*runtimeapi.Channel); ok && x.node {
		_ = c.Yield() // a stream that has ended needs none
	}
}

// ServeHTTP answers at 127.0.0.1:9001: the Runtime API of a custom runtime, and what extensions ask.
func (x *extensions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !ownHost(r) {
		http.Error(w, "this is not the host "+strconv.Quote(r.Host), http.StatusMisdirectedRequest)
		return
	}
	if h, ok := x.i.worker.(http.Handler); ok && strings.HasPrefix(r.URL.Path, runtimeapi.Prefix) {
		h.ServeHTTP(w, r)
		return
	}
	x.set.ServeHTTP(w, r)
}

// runtimeOnly are variables that extensions are not given ("Lambda Extensions API", Environment
// variables), besides all that begin with an underscore.
var runtimeOnly = []string{"AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT"}

func environOfExtensions(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "_") || slices.Contains(runtimeOnly, name)
	})
}

// launch starts the programs, waits until each has registered, and then starts the runtime.
func (x *extensions) launch(ctx context.Context) error {
	if len(x.names) == 0 {
		return nil
	}
	several, ok := x.i.box.(sandbox.Several)
	if !ok {
		return fmt.Errorf("fleet: extensions: %w", errors.ErrUnsupported)
	}
	x.several = several
	go x.watch()
	ctx, release := x.set.Guard(ctx)
	defer release()
	for n, name := range x.names {
		if n >= extension.MaxExtensions {
			x.set.LaunchFailed(name, "TooManyExtensions", "ErrTooManyExtensions")
			break
		}
		if err := x.spawn(ctx, name); err != nil {
			return err
		}
	}
	if err := x.set.Registered(ctx); err != nil {
		return err
	}
	if x.begin != nil {
		return x.begin(ctx)
	}
	return several.Begin(ctx)
}

// spawn starts one program with a pipe for what it writes.
func (x *extensions) spawn(ctx context.Context, name string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	program := extension.Folder + "/" + name
	_, err = x.several.Spawn(ctx, sandbox.Process{Argv: []string{program}, Env: x.env, Dir: "/", Stdout: w, Stderr: w})
	_ = w.Close() // this side's copy
	if err != nil {
		_ = r.Close() // nobody writes
		errno, ok := errors.AsType[syscall.Errno](err)
		if !ok {
			return err
		}
		reason := "UnknownError"
		if errno == syscall.EACCES || errno == syscall.EPERM {
			reason = "PermissionDenied"
		}
		x.set.LaunchFailed(name, reason, "fork/exec "+program+": "+errno.Error())
		return x.set.Failure()
	}
	journal, telemetry := x.i.report.journal, x.set.Telemetry()
	o, err := runtimeapi.NewOutput(r, func(event []byte) {
		line := string(event)
		journal.output(line)
		telemetry.Extension(line)
	})
	if err != nil {
		return errors.Join(err, r.Close())
	}
	return x.keep(o)
}

// keep remembers what carries a program's output, until the sandbox has ended.
func (x *extensions) keep(o *runtimeapi.Output) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return errors.Join(extension.ErrEnded, o.Close())
	}
	x.outputs = append(x.outputs, o)
	return nil
}

// watch hears of the ends of processes.
func (x *extensions) watch() {
	left := len(x.names)
	for e := range x.several.Ended() {
		switch {
		case e.Number == 0:
			x.how = e
			close(x.gone)
			x.i.output.Flush()
			x.i.worker.Ended() // lets a waiting Invoke go
		case e.Number <= len(x.names):
			x.set.Exited(x.names[e.Number-1], exitWords(e))
			if left--; left == 0 {
				close(x.allGone)
			}
		}
	}
}

func exitWords(e sandbox.Ended) string {
	switch {
	case e.Signal != 0:
		return "signal: " + signalName(e.Signal)
	case e.Code != 0:
		return "exit status " + strconv.Itoa(e.Code)
	}
	return "exit code 0"
}

// initialised waits until the extensions have joined in and are ready for events.
func (x *extensions) initialised(ctx context.Context) error {
	x.set.Seal()
	return x.set.Ready(ctx)
}

// spoiled tells of an instance at rest that one of its processes has ended.
func (x *extensions) spoiled() bool {
	if x == nil || !x.set.Active() {
		return false
	}
	select {
	case <-x.gone:
		return true
	default:
		return x.set.Failure() != nil
	}
}

// flush delivers what the programs have written until now.
func (x *extensions) flush() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range x.outputs {
		o.Flush()
	}
}

// close gives back what belongs to the extensions of a sandbox that has ended.
func (x *extensions) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	for _, o := range x.outputs {
		o.Flush()
		_ = o.Close() // it was only read
	}
	x.set.Close()
}

// shutdown passes the shutdown phase, once: the runtime is asked to end, then the programs are told.
func (x *extensions) shutdown(reason string) {
	if !x.set.Active() {
		return
	}
	x.once.Do(func() { x.pass(reason) })
}

func (x *extensions) pass(reason string) {
	i := x.i
	several, ok := i.box.(sandbox.Several)
	if !ok || i.thaw() != nil {
		return
	}
	external, internal := x.set.Count()
	x.set.Closing()
	limit, alone := shutdownInternal, shutdownInternal
	if external > 0 {
		limit = shutdownExternal
	}
	if internal == 0 {
		alone = runtimeAlone
	}
	clock := i.fleet.deps.Clock
	deadline := clock.Now().Add(limit)
	x.set.Telemetry().Flush()
	x.yield()
	if several.Signal(0, syscall.SIGTERM) != nil {
		return
	}
	x.await(x.gone, alone)
	if several.Signal(0, syscall.SIGKILL) != nil || external == 0 {
		return
	}
	i.output.Flush()
	x.set.Telemetry().Settle(limit / 4)
	for _, name := range x.set.Shutdown(reason, deadline) {
		if n := slices.Index(x.names, name); n >= 0 && several.Signal(n+1, syscall.SIGKILL) != nil {
			return
		}
	}
	x.await(x.allGone, deadline.Sub(clock.Now()))
}

// await waits for something, for the sandbox's end or until time is up.
func (x *extensions) await(what <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-what:
	case <-x.i.ended:
	case <-t.C:
	}
}

// thaw lets a frozen instance go on for its shutdown.
func (i *instance) thaw() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.rest != frozen {
		return nil
	}
	i.rest = busy
	return i.box.Thaw()
}

// end ends the instance for a reason, and returns when nothing is left of it.
func (i *instance) end(reason string) error {
	i.mu.Lock()
	i.closed = true
	if i.reason != "" {
		reason = i.reason
	}
	if i.timer != nil {
		i.timer.Stop()
	}
	i.mu.Unlock()
	i.ext.shutdown(reason)
	err := i.box.Kill()
	<-i.ended
	return err
}

// finish ends an instance whose runtime has failed; with extensions endFor does, when everything has
// been told.
func (i *instance) finish() {
	if !i.ext.set.Active() {
		_ = i.end(failureEnd) // what could not be taken away is the driver's to report
	}
}

// endFor ends an instance after an invocation with that status. With extensions it takes a while, for
// which nobody waits.
func (i *instance) endFor(status string) {
	reason := failureEnd
	if status == timeout {
		reason = timeout
	}
	if i.ext.set.Active() {
		go func() { _ = i.end(reason) }()
		return
	}
	_ = i.end(reason)
}

// lastPeak is the peak of memory of an instance that gave no answer.
func (i *instance) lastPeak() int64 {
	select {
	case <-i.ended:
		return i.exit.Peak
	default:
		return i.memoryPeak(i.fleet.deps.Clock.Now(), peakAfter)
	}
}

// joint is an invocation that extensions take part in; nil without any.
type joint struct {
	i       *instance
	ev      Event
	begun   time.Time
	ctx     context.Context // until the function's timeout
	guarded context.Context // and until an extension fails
	release func()
}

// join tells the extensions of an invocation.
func (i *instance) join(ctx context.Context, ev Event, begun time.Time) *joint {
	if !i.ext.set.Active() {
		return nil
	}
	j := &joint{i: i, ev: ev, begun: begun, ctx: ctx}
	j.guarded, j.release = i.ext.set.Guard(ctx)
	i.ext.set.Invoke(extension.Invocation{RequestID: ev.RequestID, ARN: ev.ARN, TraceID: ev.TraceID, Deadline: begun.Add(i.fn.Timeout)})
	return j
}

// context bounds what the runtime may take.
func (j *joint) context(ctx context.Context) context.Context {
	if j == nil {
		return ctx
	}
	return j.guarded
}

// conclude answers when the runtime has, and ends the invocation when the extensions have too. Whoever
// wants the log's end waits for that.
func (j *joint) conclude(m measures, out Outcome, keep bool, leave func()) Outcome {
	j.release()
	j.i.report.runtimeDone(j.ev, m, j.begun, len(out.Payload))
	if !keep || j.ev.Tail {
		keep = j.idle(&m, keep)
		out.LogTail = j.report(m)
		leave()
		go j.i.give(m, keep)
		return out
	}
	out.LogTail = j.i.report.journal.sofar()
	go func() {
		keep := j.idle(&m, keep)
		j.report(m)
		leave()
		j.i.give(m, keep)
	}()
	return out
}

// idle waits until the extensions are done; it tells whether the instance may be kept.
func (j *joint) idle(m *measures, keep bool) bool {
	if !keep {
		return false
	}
	clock := j.i.fleet.deps.Clock
	from := clock.Now()
	err := j.i.ext.set.Idle(j.ctx)
	now := clock.Now()
	m.spans = overhead(from, now.Sub(from))
	m.duration = now.Sub(j.begun)
	failed, ok := errors.AsType[*extension.Failure](err)
	switch {
	case err == nil:
		return !j.i.ext.spoiled()
	case errors.Is(err, extension.ErrEnded):
		<-j.i.ended
		m.status, m.errorType = "error", j.i.report.ended(j.ev.RequestID, j.i.exit).ErrorType
	case ok:
		j.i.report.failed(j.ev.RequestID, failed)
		m.status, m.errorType = "error", failed.Type
	default:
		j.i.report.timedOut(j.ev.RequestID, j.i.fn.Timeout)
		m.status, m.errorType, m.duration = timeout, "Sandbox.Timedout", j.i.fn.Timeout
	}
	return false
}

// report writes the last lines of an invocation, and gives the end of its log.
func (j *joint) report(m measures) []byte {
	j.i.ext.flush()
	j.i.report.end(j.ev, m)
	return j.i.report.journal.end()
}

// give gives an instance back, or ends it.
func (i *instance) give(m measures, keep bool) {
	if !keep && m.status != "success" {
		i.mu.Lock()
		if i.reason = failureEnd; m.status == timeout {
			i.reason = timeout
		}
		i.mu.Unlock()
	}
	i.fleet.put(i, m.duration, keep)
}
