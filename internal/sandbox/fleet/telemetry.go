package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
	"github.com/bastide-cloud/bastide/internal/sandbox/extension"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// What extensions hear beside what the log has.

// platform logs an event that an extension caused, and tells those who listen.
func (r report) platform(kind string, record any) {
	if r.json() {
		r.event(kind, record)
	} else if text, ok := record.(interface{ String() string }); ok {
		r.journal.line(text.String())
	}
	r.set.Telemetry().Platform(kind, record)
}

// runtimeVersion is a runtime as the log and telemetry name it.
func runtimeVersion(rt *runtimes.Runtime) string {
	switch rt.Family {
	case bootstrap.Node:
		return "nodejs:" + rt.Full
	case bootstrap.Python:
		return "python:" + rt.Full
	}
	return rt.Name
}

func (r report) initBegins(rt *runtimes.Runtime, instanceID string) {
	r.set.Telemetry().Platform(extension.KindInitStart, extension.InitStart{Type: r.fn.initType(), Phase: "init", Runtime: runtimeVersion(rt),
		Name: r.fn.Name, Version: r.fn.Version, InstanceID: instanceID, MemoryMB: r.fn.MemoryMB})
}

// runtimeReady tells how the runtime's own start went.
func (r report) runtimeReady(err error) {
	if t := r.telemetry(); t != nil {
		status, errorType := r.outcome(err)
		t.Platform(extension.KindInitRuntimeDone, extension.InitRuntimeDone{Type: r.fn.initType(), Phase: "init", Status: status, ErrorType: errorType})
	}
}

// initialised tells how the start went altogether, and of each extension where it stands.
func (r report) initialised(took time.Duration, err error) {
	for _, info := range r.set.Infos() {
		r.platform(extension.KindExtension, info)
	}
	if t := r.telemetry(); t != nil {
		status, errorType := r.outcome(err)
		t.Platform(extension.KindInitReport, extension.InitReport{Type: r.fn.initType(), Phase: "init", Status: status, ErrorType: errorType,
			Metrics: extension.Elapsed{Duration: ms(took)}})
	}
}

// outcome is an error of a start as a status and a type.
func (r report) outcome(err error) (status, errorType string) {
	var failed *extension.Failure
	var said *runtimeapi.InitError
	switch {
	case err == nil:
		return "success", ""
	case r.set.Failure() != nil:
		return "error", r.set.Failure().Type
	case errors.As(err, &failed):
		return "error", failed.Type
	case errors.As(err, &said):
		return "error", said.Type
	case errors.Is(err, context.DeadlineExceeded):
		return timeout, ""
	}
	return "error", "Runtime.ExitError"
}

// runtimeDone tells that the runtime is done with an invocation that began then and was answered after
// a while.
func (r report) runtimeDone(ev Event, m measures, begun time.Time, produced int) {
	t := r.telemetry()
	if t == nil {
		return
	}
	bytes, spans := m.answered(begun, produced)
	t.Platform(extension.KindRuntimeDone, extension.RuntimeDone{RequestID: ev.RequestID, Status: m.status, ErrorType: m.errorType,
		Metrics: &extension.RuntimeDoneTook{Duration: ms(m.duration), Bytes: bytes}, Tracing: extension.TracingOf(ev.TraceID), Spans: spans})
}

// overhead is how long extensions went on after the runtime.
func overhead(from time.Time, took time.Duration) []extension.Span {
	return []extension.Span{{Name: "extensionOverhead", Start: extension.Stamp(from), Duration: ms(took)}}
}

// failed is the result of an invocation or a start that an extension has failed.
func (r report) failed(requestID string, f *extension.Failure) runtimeapi.Result {
	words := "RequestId: " + requestID + " Error: " + f.Message
	if !r.json() {
		r.journal.line(words + "\n" + f.Type)
	}
	return runtimeapi.Failure(f.Type, words)
}
