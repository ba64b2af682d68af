package fleet

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/pool"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// waitWord tells our programs to wait for their function (package bootstrap).
const waitWord = "wait"

// The memory of a ready sandbox whose interpreter does not depend on it, and its /tmp: Lambda's defaults,
// which most functions have.
const (
	defaultMemoryMB = 128
	defaultTmpMB    = 512
)

// kind is the ready sandbox that suits a runtime. Node bounds its heap when it starts, so that there is
// one for each size of memory. Accounts have their own: from the first instruction on, what runs for one
// shares no core with another.
func (f *Fleet) kind(rt *runtimes.Runtime, account string, memoryMB int) (pool.Kind, error) {
	k := pool.Kind{Name: account + " " + rt.Name}
	switch rt.Family {
	case bootstrap.Node:
		k.Name = fmt.Sprintf("%s %s %d", account, rt.Name, memoryMB)
	default:
		memoryMB = defaultMemoryMB
	}
	fn := &Function{Runtime: rt.Name, MemoryMB: memoryMB, TmpMB: defaultTmpMB}
	spec, err := f.sandboxOf(fn, rt, runtimes.Launch{MemoryMB: memoryMB})
	if err != nil {
		return k, err
	}
	spec.Account, spec.Late, spec.Store = account, true, f.deps.Store
	spec.Argv = nil
	if rt.Channel() {
		spec.Argv = append(rt.Argv(runtimes.Launch{MemoryMB: memoryMB}), waitWord)
		spec.Env, spec.Dir = waitingEnviron(rt), runtimes.TaskRoot
		spec.Fork = rt.Family == bootstrap.Python && f.forks()
	}
	k.Spec = spec
	return k, nil
}

// forks tells whether ready pythons are forked. A machine that does not let them be, and a driver without
// forks, has them executed; doctor says so.
func (f *Fleet) forks() bool {
	forker, ok := f.deps.Driver.(sandbox.Forker)
	return ok && forker.Forks() == nil
}

// waitingEnviron is what an interpreter starts with whose function is not known; the rest is told to it.
func waitingEnviron(rt *runtimes.Runtime) []string {
	var env []string
	for _, kv := range rt.Environ() {
		env = append(env, kv[0]+"="+kv[1])
	}
	for _, name := range bundleVariables {
		env = append(env, name+"="+bundlePath)
	}
	slices.Sort(env)
	return env
}

// startVariables are what an interpreter, its C library and the libraries that they load read when they
// start, or but once, and startPrefixes how others of them begin. A function that sets one has an
// interpreter started for itself.
var (
	startVariables = []string{"TZ", "TZDIR", "LANG", "LANGUAGE", "LOCPATH", "NLSPATH", "GCONV_PATH", "GLIBC_TUNABLES", "SSLKEYLOGFILE",
		"AWS_LAMBDA_EXEC_WRAPPER"}
	startPrefixes = []string{"LD_", "LC_", "NODE_", "PYTHON", "UV_", "MALLOC_", "OPENSSL_", "SSL_CERT_", "ICU_"}
	// harmless are those of the prefixes that only programs read.
	harmless = []string{"NODE_ENV"}
)

// startsApart tells whether a function's variables change how its interpreter starts.
func startsApart(env map[string]string) bool {
	for name := range env {
		if slices.Contains(harmless, name) {
			continue
		}
		if slices.Contains(startVariables, name) ||
			slices.ContainsFunc(startPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return true
		}
	}
	return false
}

// Expect says which functions there are, so that sandboxes are ready for their first events.
func (f *Fleet) Expect(ctx context.Context, fns []Function) {
	if !f.pool.On() {
		return
	}
	seen := map[string]bool{}
	var kinds []pool.Kind
	for _, fn := range fns {
		rt, err := f.deps.Runtimes.Resolve(ctx, fn.Runtime)
		if err != nil || rt.Channel() && startsApart(fn.Env) {
			continue // a runtime that is missing is told to who calls the function
		}
		k, err := f.kind(rt, fn.Account, fn.MemoryMB)
		if err == nil && !seen[k.Name] {
			seen[k.Name] = true
			kinds = append(kinds, k)
		}
	}
	f.pool.Expect(kinds)
}

// Pool is what the pool of ready sandboxes holds.
func (f *Fleet) Pool() pool.Stats { return f.pool.Stats() }

// enter puts the function into a ready sandbox, or into a new one where none is ready or none would do.
func (i *instance) enter(ctx context.Context, spec sandbox.Spec, rt *runtimes.Runtime) error {
	f := i.fleet
	if !f.pool.On() {
		return i.open(ctx, spec)
	}
	k, err := f.kind(rt, i.fn.Account, i.fn.MemoryMB)
	if err != nil {
		return err
	}
	d, ok := delivery(k.Spec, spec)
	if !ok || rt.Channel() && startsApart(i.fn.Env) {
		f.pool.Bypass()
		return i.open(ctx, spec)
	}
	for {
		r := f.pool.Take(k)
		if r == nil {
			return i.open(ctx, spec)
		}
		// One that would not take it has ended, or cannot run this program: then a new one says why.
		if err := i.occupy(ctx, r, d, spec); err == nil {
			return nil
		}
	}
}

// delivery is what makes a ready sandbox one of spec; false if nothing can.
func delivery(ready, spec sandbox.Spec) (sandbox.Delivery, bool) {
	d := sandbox.Delivery{Code: spec.Code, Layers: spec.Layers}
	if spec.TmpBytes == 0 {
		spec.TmpBytes = defaultTmpMB << 20
	}
	if ready.TmpBytes != spec.TmpBytes {
		d.TmpBytes = spec.TmpBytes
	}
	if ready.MemoryBytes != spec.MemoryBytes {
		d.MemoryBytes = spec.MemoryBytes
	}
	if len(spec.Doors) < len(ready.Doors) || spec.CPU == 0 && ready.CPU != 0 {
		return d, false
	}
	d.Doors, d.CPU = spec.Doors[len(ready.Doors):], spec.CPU
	argv := spec.Argv
	if len(ready.Argv) == 0 {
		d.Argv, d.Env, d.Dir = spec.Argv, spec.Env, spec.Dir
		argv = nil
	} else {
		argv = append(slices.Clone(argv), waitWord)
		spec.Held = false // it has not begun either before it is told its function
	}
	// whatever else a specification says must be so from the start
	spec.ID, spec.Late, spec.Store, spec.Argv, spec.Env, spec.Dir = ready.ID, ready.Late, ready.Store, argv, ready.Env, ready.Dir
	spec.Fork = ready.Fork
	spec.Code, spec.Layers = ready.Code, ready.Layers
	spec.TmpBytes, spec.MemoryBytes, spec.CPU = ready.TmpBytes, ready.MemoryBytes, ready.CPU
	spec.Doors = spec.Doors[:len(ready.Doors)]
	return d, d.Code != "" && reflect.DeepEqual(spec, ready)
}

// occupy makes a ready sandbox the instance's.
func (i *instance) occupy(ctx context.Context, r *pool.Ready, d sandbox.Delivery, spec sandbox.Spec) error {
	fail := func(err error) error {
		_ = r.Instance.Kill() // it is of no more use
		_ = r.Output.Close()  // it was only read
		return fmt.Errorf("fleet: %w", err)
	}
	receiver, ok := r.Instance.(sandbox.Receiver)
	if !ok {
		return fail(fmt.Errorf("the driver %s makes none ready", i.fleet.deps.Driver.Name()))
	}
	if err := receiver.Deliver(d); err != nil {
		return fail(err)
	}
	if r.Channel != nil {
		begin := func(ctx context.Context) error { return r.Channel.SetUp(ctx, runtimes.TaskRoot, spec.Env) }
		if spec.Held { // its extensions go first
			i.ext.begin = begin
		} else if err := begin(ctx); err != nil {
			return fail(err)
		}
		i.worker = r.Channel
	}
	output, err := runtimeapi.NewOutput(r.Output, i.write())
	if err != nil {
		return fail(err)
	}
	i.box, i.wait, i.output = r.Instance, r.Wait, output
	return nil
}
