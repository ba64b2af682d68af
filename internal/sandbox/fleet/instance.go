package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/extension"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

const (
	runtimeAPI = "127.0.0.1:9001"

	initLimit = 10 * time.Second // "Lambda execution environment", Init phase
)

// The names of an instance's doors.
const (
	doorRuntime = "runtime"
	doorAPI     = "api"
	doorTLS     = "tls"
	doorDNS     = "dns"
	doorWatch   = "watch"
	doorRoute   = "way-" // and its address
)

// instance is one sandbox with a runtime.
type instance struct {
	fleet    *Fleet
	group    *group
	fn       *Function
	box      sandbox.Instance
	wait     <-chan sandbox.Exit
	worker   runtimeapi.Worker
	output   *runtimeapi.Output
	report   report
	observer *observer // of a function with a profile
	stats    *stats
	ext      *extensions
	expires  time.Time // of the credentials inside
	outside  *outside
	lineage  atomic.Pointer[[]string] // of what ran last: a process that outlives its event is part of its chain

	connections chan struct{} // holds one for each that is open outside

	initTime time.Duration // until ready; reported once
	peak     int64         // of memory, as read at peakAt; only the running invocation touches them
	peakAt   time.Time
	ended    chan struct{} // closed when nothing is left; exit is set then
	served   chan struct{} // closed when every request to the runtime's door has been answered
	exit     sandbox.Exit

	mu     sync.Mutex
	rest   rest
	since  time.Time // that it rests
	timer  *time.Timer
	armed  bool // the timer runs
	closed bool
	reason string // that it ends for, where that is known before
}

// rest is how deep an instance sleeps.
type rest int

const (
	busy rest = iota
	idle
	restless // it would not freeze: it is asked again
	frozen
)

// start opens an instance and begins its runtime; ready waits until it can serve.
func (f *Fleet) start(ctx context.Context, g *group, fn *Function) (*instance, error) {
	rt, err := f.runtime(ctx, fn)
	if err != nil {
		return nil, err
	}
	if fn.RuntimeVersion != "" && fn.RuntimeVersion != rt.VersionID() {
		return nil, &runtimes.MovedError{Runtime: fn.Runtime}
	}
	creds, err := f.deps.Credentials(ctx, *fn)
	if err != nil {
		return nil, fmt.Errorf("fleet: credentials of %s: %w", fn.Role, err)
	}
	i := &instance{fleet: f, group: g, fn: fn, expires: creds.Expires, ended: make(chan struct{}), served: make(chan struct{}), connections: make(chan struct{}, maxConnections)}
	id := f.deps.IDs.Lower(12)
	stream := f.deps.Clock.Now().UTC().Format("2006/01/02/") + "[" + fn.Version + "]" + f.streamID()
	i.stats = f.statsOf(fn.ARN)
	i.report = f.reportOf(fn, stream, &i.stats.output)
	i.report.initStart(rt)
	if i.outside, err = newOutside(fn.Ways); err != nil {
		return i, err
	}
	spec, err := f.spec(fn, rt)
	if err != nil {
		return i, err
	}
	spec.Account = fn.Account
	i.observed(&spec)
	spec.Doors = append(spec.Doors, i.outside.specs()...)
	spec.ID, spec.Env = "f-"+id, fn.environ(rt, creds, stream, f.deps.APIPort)
	i.extend(&spec, fn, rt)
	i.report.initBegins(rt, id)
	begun := f.deps.Clock.Now()
	if err := i.enter(ctx, spec, rt); err != nil {
		return i, fn.notExecuted(err, spec.Argv[0])
	}
	entered := f.deps.Clock.Now()
	i.serve(rt)
	if err = i.ready(ctx); err == nil {
		err = i.bound()
	}
	ended := f.deps.Clock.Now()
	i.initTime = ended.Sub(begun)
	i.report.initialised(i.initTime, err)
	i.learned()
	if err == nil {
		i.stats.starts.Add(1)
		i.stats.initTime.Add(int64(i.initTime))
		i.stats.loadTime.Add(int64(ended.Sub(entered)))
	}
	return i, err
}

func (f *Fleet) streamID() string {
	return fmt.Sprintf("%x", f.deps.IDs.Bytes(16))
}

// spec is the sandbox of a function, but for the doors of its ways out.
func (f *Fleet) spec(fn *Function, rt *runtimes.Runtime) (sandbox.Spec, error) {
	launch := runtimes.Launch{MemoryMB: fn.MemoryMB, Env: fn.Env}
	if !rt.Channel() && fn.Image == nil {
		var err error
		if launch.Bootstrap, err = runtimes.BootstrapIn(fn.Code, fn.Layers); err != nil {
			return sandbox.Spec{}, &entryError{words: err.Error()}
		}
	}
	return f.sandboxOf(fn, rt, launch)
}

func (f *Fleet) sandboxOf(fn *Function, rt *runtimes.Runtime, launch runtimes.Launch) (sandbox.Spec, error) {
	s := sandbox.Spec{
		Argv: rt.Argv(launch), Root: f.root(rt), Code: fn.Code, Layers: fn.Layers, Channel: rt.Channel(),
		MemoryBytes: int64(fn.MemoryMB) << 20, TmpBytes: int64(fn.TmpMB) << 20,
		Doors: []sandbox.DoorSpec{
			{Name: doorAPI, Network: "tcp", Address: "127.0.0.1:" + strconv.Itoa(f.deps.APIPort)},
			{Name: doorTLS, Network: "tcp", Address: "127.0.0.1:443"},
			{Name: doorDNS, Network: "udp", Address: "127.0.0.1:53"},
			{Name: doorWatch, Network: "watch"},
			{Name: doorRuntime, Network: "tcp", Address: runtimeAPI},
		},
	}
	if fn.Image != nil {
		if err := f.imageSpec(&s, fn); err != nil {
			return s, err
		}
	}
	return s, nil
}

// What functions find of the network's configuration.
const (
	resolverFile = "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n"
	hostsFile    = "127.0.0.1 localhost " + extension.Hosts + "\n"
)

// root is the runtime's image with the few files of /etc that programs look for.
func (f *Fleet) root(rt *runtimes.Runtime) sandbox.RootFS {
	root := rt.Root
	root.Binds = append(append([]sandbox.Bind{}, root.Binds...), sandbox.Bind{Source: f.bundle, Target: bundlePath})
	links := map[string]string{"/etc/ssl/certs/ca-certificates.crt": bundlePath, "/etc/ssl/cert.pem": bundlePath}
	for at, to := range root.Links {
		links[at] = to
	}
	root.Links = links
	root.Files = map[string]sandbox.File{
		"/etc/resolv.conf":   {Content: resolverFile},
		"/etc/hosts":         {Content: hostsFile},
		"/etc/nsswitch.conf": {Content: "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"},
		"/etc/passwd":        {Content: "root:x:0:0:root:/:/sbin/nologin\nsbx_user1051:x:993:990::/tmp:/sbin/nologin\n"},
		"/etc/group":         {Content: "root:x:0:\nsbx_group1051:x:990:\n"},
	}
	return root
}

// open starts the sandbox with one pipe for all of its output.
func (i *instance) open(ctx context.Context, spec sandbox.Spec) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	spec.Stdout, spec.Stderr = w, w
	box, err := i.fleet.deps.Driver.Start(ctx, spec)
	if err := errors.Join(err, w.Close()); err != nil {
		return errors.Join(err, r.Close())
	}
	i.box, i.wait = box, box.Wait() // only now: an interface that holds a failed start would not be nil
	if c := box.Channel(); c != nil {
		i.worker = runtimeapi.NewChannel(c)
	}
	i.output, err = runtimeapi.NewOutput(r, i.write())
	if err != nil {
		err = errors.Join(err, i.box.Kill(), r.Close())
		i.box = nil
	}
	return err
}

// write takes what the function writes.
func (i *instance) write() func([]byte) {
	journal, telemetry := i.report.journal, i.ext.set.Telemetry()
	return func(event []byte) {
		line := string(event)
		journal.output(line)
		telemetry.Function(line)
	}
}

// serve attaches what stands behind the doors.
func (i *instance) serve(rt *runtimes.Runtime) {
	doors, deps := i.box.Doors(), i.fleet.deps
	if !rt.Channel() {
		i.worker = runtimeapi.NewHTTP()
	}
	go func() {
		defer close(i.served)
		extension.Serve(doors[doorRuntime].Listener, i.ext)
	}()
	go deps.Serve(*i.fn, i.chain, i.api(doors[doorAPI].Listener))
	go deps.Serve(*i.fn, i.chain, tls.NewListener(i.api(doors[doorTLS].Listener), deps.CA.ServerConfig()))
	i.lead(doors)
	go i.follow()
}

// chain is the chain of events that the instance's calls are part of; nil before its first event.
func (i *instance) chain() []string {
	if l := i.lineage.Load(); l != nil {
		return *l
	}
	return nil
}

// api is a door to Bastide's own API, counted and bounded.
func (i *instance) api(l net.Listener) net.Listener {
	return extension.Bound(counted{l, &i.stats.connections}, maxConnections)
}

// follow waits for the sandbox's end and gives back what belongs to it.
func (i *instance) follow() {
	i.exit = <-i.wait
	i.output.Flush()
	_ = i.output.Close() // it was only read
	i.worker.Ended()
	i.ext.close() // lets the requests of extensions go
	<-i.served    // what the runtime said last
	_ = i.worker.Close()
	i.report.journal.flush()
	close(i.ended)
	i.fleet.gone(i)
}

// ready waits until the handler is loaded. What of the limit a slow start leaves is taken from the
// first invocation's time, as on Lambda, where it begins once more within that.
func (i *instance) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, initLimit+i.fn.Timeout)
	defer cancel()
	if err := i.ext.launch(ctx); err != nil {
		return err
	}
	guarded, release := i.ext.set.Guard(ctx)
	err := i.worker.Ready(guarded)
	release()
	i.output.Flush()
	i.report.runtimeReady(err)
	if err == nil {
		err = i.ext.initialised(ctx)
	}
	return err
}

// sleep lets an instance rest: first with its processes running, soon frozen.
func (i *instance) sleep(now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rest, i.since = idle, now
	if !i.armed && !i.closed {
		i.arm(i.fleet.deps.FreezeAfter)
	}
}

// arm lets deepen run after a while. A timer that was set for an earlier rest is left to fire, and only
// then set again for what remains: moving it for every event would wake the scheduler each time.
func (i *instance) arm(d time.Duration) {
	i.armed = true
	if i.timer == nil {
		i.timer = time.AfterFunc(d, i.deepen)
	} else {
		i.timer.Reset(d)
	}
}

// deepen freezes an instance that has been idle for a moment, and ends one that was frozen for long.
func (i *instance) deepen() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.armed = false
	deps, rested := &i.fleet.deps, i.fleet.deps.Clock.Now().Sub(i.since)
	switch {
	case i.rest == busy || i.closed:
		return // the next sleep arms again
	case i.rest == frozen || i.rest == restless && rested >= deps.EndAfter:
		go i.fleet.expire(i)
		return
	case i.rest == idle && rested < deps.FreezeAfter:
		i.arm(deps.FreezeAfter - rested)
		return
	}
	if i.box.Freeze() != nil { // one that has ended is removed by follow
		i.rest = restless
		i.arm(freezeAgain)
		return
	}
	i.rest = frozen
	i.arm(deps.EndAfter)
}

// freezeAgain is how long one that would not freeze is left.
const freezeAgain = time.Second

// deep tells whether it has rested past being idle.
func (i *instance) deep() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.rest >= restless
}

// wake makes a resting instance run; false if it has ended.
func (i *instance) wake() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	was := i.rest
	i.rest = busy
	if was >= restless {
		i.armed = i.armed && !i.timer.Stop()
	}
	if was == frozen && i.box.Thaw() != nil {
		return false
	}
	select {
	case <-i.ended:
		return false
	default:
		return !i.closed && !i.ext.spoiled()
	}
}

// listens waits until a custom runtime asks for its next event; false if it has ended after the last
// one instead, which is no fault of the next, or does not ask within the time that an event has.
func (i *instance) listens() bool {
	h, ok := i.worker.(*runtimeapi.HTTP)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), i.fn.Timeout)
	defer cancel()
	return h.Listens(ctx)
}

// close ends the instance, which nobody needs any more, and returns when nothing is left of it.
func (i *instance) close() error { return i.end(spindown) }

// entryError is a custom runtime without a program, or an image whose program cannot be started; kind
// and log are what Lambda calls and writes of the latter.
type entryError struct{ words, kind, log string }

func (e *entryError) Error() string { return "fleet: " + e.words }
