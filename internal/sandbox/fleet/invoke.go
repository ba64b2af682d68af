package fleet

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
)

// Event is one invocation.
type Event struct {
	RequestID string
	ARN       string // as it was asked for, with its qualifier
	TraceID   string
	// ClientContext and Identity are JSON, or empty.
	ClientContext, Identity string
	TenantID                string
	// Lineage is the chain of events that the run is part of, this run included: each function as ARN=COUNT.
	// Calls that the function makes while it runs carry it on, whatever they say themselves.
	Lineage []string
	Payload []byte // JSON
	// Sink takes the answer, streamed or not, while the function makes it; the Outcome has then an
	// error's document at most. Nil: the Outcome has the answer.
	Sink Sink
	Tail bool // Outcome.LogTail is wanted whole, which extensions may delay
}

// Outcome is how an invocation went.
type Outcome struct {
	Payload       []byte        // the handler's answer, or an error's JSON document
	FunctionError string        // "Unhandled" for an error, else empty
	LogTail       []byte        // the last 4 KB of its log
	Cold          bool          // an instance was started for it
	Duration      time.Duration // of the handler
}

// startTries is how often a sandbox is started that was ended from outside before anything ran in it.
const startTries = 5

// Invoke runs one event on a function and waits for its outcome. A caller who goes away does not
// stop it: on Lambda neither. An error means that the function did not run.
func (f *Fleet) Invoke(ctx context.Context, fn Function, ev Event) (Outcome, error) {
	of, err := fn.tenantOf(ev)
	if err != nil {
		return Outcome{}, err
	}
	l, err := f.admit(&fn)
	if err != nil {
		return Outcome{}, err
	}
	handed := false // to the instance, which leaves when its extensions are done too
	leave := func() { f.leave(&fn, l) }
	defer func() {
		if !handed {
			leave()
		}
	}()
	i, g, err := f.take(&fn, of)
	if err != nil {
		return Outcome{}, err
	}
	if i != nil {
		i.report.journal.begin()
		handed = true
		return i.run(ev, 0, leave), nil
	}
	started := f.pool.Starting()
	for range startTries {
		if i, err = f.start(context.WithoutCancel(ctx), g, &fn); !errors.Is(err, sandbox.ErrCutShort) {
			break
		}
	}
	started()
	if i != nil && i.box != nil {
		f.started(i)
	} else {
		f.started(nil)
	}
	if err == nil {
		handed = true
		return i.run(ev, i.initTime, leave), nil
	}
	f.done(g)
	if i == nil || i.box == nil {
		return i.noEntry(ev, err)
	}
	return i.failedStart(ev, err)
}

// noEntry is a start in which nothing ran: of a custom runtime without a program and of an environment
// that was ended from outside, each time, the function's owner hears in Lambda's words, of anything else
// the caller.
func (i *instance) noEntry(ev Event, err error) (Outcome, error) {
	if i != nil && errors.Is(err, sandbox.ErrCutShort) {
		i.report.start(ev)
		r := i.report.ended(ev.RequestID, sandbox.Exit{Code: -1, Signal: int(syscall.SIGKILL)})
		i.report.end(ev, measures{status: "error", errorType: r.ErrorType})
		return Outcome{Payload: r.Payload, FunctionError: "Unhandled", LogTail: i.report.journal.end(), Cold: true}, nil
	}
	if e, ok := errors.AsType[*entryError](err); ok {
		if e.kind != "" {
			return i.notLaunched(ev, e), nil
		}
		r := runtimeapi.Failure("Runtime.InvalidEntrypoint", "Error: "+e.words)
		return Outcome{Payload: r.Payload, FunctionError: "Unhandled", Cold: true}, nil
	}
	return Outcome{}, err
}

// failedStart answers for an instance whose runtime did not become ready.
func (i *instance) failedStart(ev Event, err error) (Outcome, error) {
	var res runtimeapi.Result
	m := measures{init: 0, status: "error"}
	if errors.Is(err, errors.ErrUnsupported) { // the driver cannot hold what the function needs
		i.endFor(m.status)
		return Outcome{}, err
	}
	if f := i.ext.set.Failure(); f != nil {
		i.report.initFailed(i.initTime, f.Type)
		i.report.start(ev)
		res = i.report.failed(ev.RequestID, f)
	} else if e, ok := errors.AsType[*runtimeapi.InitError](err); ok {
		res = runtimeapi.Result{Payload: e.Payload, Failed: true, ErrorType: e.Type}
		i.finish() // it is of no more use
		i.report.initFailed(i.initTime, res.ErrorType)
		i.report.start(ev)
	} else {
		i.report.start(ev)
		res, m.status = i.broken(ev, err)
	}
	m.errorType, m.peak = res.ErrorType, i.lastPeak()
	i.report.end(ev, m)
	i.endFor(m.status)
	return Outcome{Payload: res.Payload, FunctionError: "Unhandled", LogTail: i.report.journal.end(), Cold: true}, nil
}

// run serves one event on a ready instance and gives the instance back, which leave tells of.
func (i *instance) run(ev Event, initTime time.Duration, leave func()) Outcome {
	clock := i.fleet.deps.Clock
	i.report.start(ev)
	i.lineage.Store(&ev.Lineage)
	begun := clock.Now()
	ctx, cancel := context.WithTimeout(context.Background(), i.fn.Timeout)
	j := i.join(ctx, ev, begun)
	flow := i.fleet.flow(ev.Sink)
	res, err := i.serveEvent(j.context(ctx), runtimeapi.Invocation{
		RequestID: ev.RequestID, Deadline: begun.Add(i.fn.Timeout), ARN: ev.ARN, TraceID: ev.TraceID,
		ClientContext: ev.ClientContext, Identity: ev.Identity, TenantID: ev.TenantID, Payload: ev.Payload,
	}, flow)
	m := measures{duration: clock.Now().Sub(begun), init: initTime, status: "success", flow: flow}
	i.output.Flush()
	if err != nil {
		if res, m.status = i.broken(ev, err); m.status == timeout {
			m.duration = i.fn.Timeout
		}
		m.peak = i.lastPeak()
	} else {
		m.peak = i.memoryPeak(begun, m.duration)
	}
	out := Outcome{Payload: res.Payload, Cold: initTime > 0, Duration: m.duration}
	if res.Failed {
		out.FunctionError, m.errorType = "Unhandled", res.ErrorType
		if m.status == "success" {
			m.status = "error"
		}
	}
	i.learned()
	i.stats.invocations.Add(1)
	keep := err == nil && !res.Spent
	if j != nil {
		return j.conclude(m, out, keep, func() { cancel(); leave() })
	}
	cancel()
	i.report.end(ev, m)
	out.LogTail = i.report.journal.end()
	i.fleet.put(i, m.duration, keep)
	leave()
	return out
}

// The peak of memory is read from files of the kernel, which takes as long as a short invocation
// does. After such ones it is read now and then.
const (
	peakAfter = 5 * time.Millisecond  // of an invocation
	peakEvery = 50 * time.Millisecond // otherwise
)

func (i *instance) memoryPeak(begun time.Time, took time.Duration) int64 {
	if took < peakAfter && begun.Before(i.peakAt.Add(peakEvery)) {
		return i.peak
	}
	if peak, err := i.box.MemoryPeak(); err == nil { // an instance that has just ended says nothing
		i.peak, i.peakAt = peak, begun
	}
	i.scratched()
	return i.peak
}

// broken ends an instance that gave no answer and says what became of it.
func (i *instance) broken(ev Event, err error) (runtimeapi.Result, string) {
	if f := i.ext.set.Failure(); f != nil {
		return i.report.failed(ev.RequestID, f), "error"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		i.finish() // with its whole tree of processes
		return i.report.timedOut(ev.RequestID, i.fn.Timeout), timeout
	}
	if errors.Is(err, errTooLong) {
		i.finish() // as above
		return tooLong(), "error"
	}
	// The stream ends a moment before the process does; one that closed it and lives on is ended.
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	exit := sandbox.Exit{Code: -1, Signal: int(syscall.SIGKILL)}
	select {
	case <-i.ended:
		exit = i.exit
	case <-i.ext.gone:
		exit.Code, exit.Signal = i.ext.how.Code, i.ext.how.Signal
	case <-grace.C:
		i.finish() // as above
	}
	return i.report.ended(ev.RequestID, exit), "error"
}
