package fleet

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/extension"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimeapi"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// report is what the platform itself writes to a function's log, as text or JSON ("Working with
// Lambda function logs", "Lambda Telemetry API Event schema reference").
type report struct {
	journal *journal
	fn      *Function
	set     *extension.Set // nil before there is one
}

// reportOf begins the log stream of an instance.
func (f *Fleet) reportOf(fn *Function, stream string, a *allowance) report {
	r := report{fn: fn, journal: &journal{sink: f.deps.Logs, clock: f.deps.Clock, allowance: a}}
	r.journal.stream = Stream{fn.Account, fn.Region, fn.LogGroup, stream, fn.ARN, fn.Role, r.json()}
	return r
}

// telemetry is where extensions hear of what is reported, nil where none listens.
func (r report) telemetry() *extension.Telemetry {
	if r.set == nil || !r.set.Telemetry().Listening() {
		return nil
	}
	return r.set.Telemetry()
}

func (r report) json() bool { return strings.EqualFold(r.fn.LogFormat, "JSON") }

// event writes a platform event of the JSON format.
func (r report) event(kind string, record any) {
	body, err := json.Marshal(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}{r.journal.clock.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "platform." + kind, record})
	if err == nil { // texts and numbers always marshal
		r.journal.line(string(body))
	}
}

func (r report) initStart(rt *runtimes.Runtime) {
	if r.fn.Image != nil {
		return // it has no runtime that Lambda could tell the version of
	}
	name := runtimeVersion(rt)
	if r.json() {
		r.event("initStart", map[string]any{"initializationType": r.fn.initType(), "phase": "init", "runtimeVersion": name,
			"functionName": r.fn.Name, "functionVersion": r.fn.Version})
		return
	}
	r.journal.line("INIT_START Runtime Version: " + name)
}

func (r report) initFailed(d time.Duration, errorType string) {
	if r.json() {
		r.event("initReport", map[string]any{"initializationType": r.fn.initType(), "phase": "init", "status": "error",
			"errorType": errorType, "metrics": map[string]any{"durationMs": ms(d)}})
		return
	}
	r.journal.line(fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: init\tStatus: error\tError Type: %s", ms(d), errorType))
}

func (r report) start(ev Event) {
	requestID := ev.RequestID
	if t := r.telemetry(); t != nil {
		t.Platform(extension.KindStart, extension.Start{RequestID: requestID, Version: r.fn.Version, Tracing: extension.TracingOf(ev.TraceID)})
	}
	if r.json() {
		r.event("start", map[string]any{"requestId": requestID, "version": r.fn.Version})
		return
	}
	r.journal.line("START RequestId: " + requestID + " Version: " + r.fn.Version)
}

// measures are the figures of a report.
type measures struct {
	duration, init time.Duration // init is zero for a warm one
	peak           int64         // bytes
	status         string        // "success", "timeout", "error"
	errorType      string
	spans          []extension.Span
	flow           *flow // of a streaming invocation
}

// end writes the last lines of an invocation.
func (r report) end(ev Event, m measures) {
	requestID := ev.RequestID
	// Lambda bills the start of an instance too, since August 2025.
	billed := int64(math.Ceil(ms(m.duration + m.init)))
	used := min((m.peak+1<<20-1)>>20, int64(r.fn.MemoryMB)) // what ends a function is a little more
	if t := r.telemetry(); t != nil {
		t.Platform(extension.KindReport, extension.Report{RequestID: requestID, Status: m.status, ErrorType: m.errorType,
			Metrics: extension.Metrics{Duration: ms(m.duration), Billed: billed, MemoryMB: r.fn.MemoryMB, MaxMemoryMB: used, InitDuration: ms(m.init)},
			Spans:   m.spans, Tracing: extension.TracingOf(ev.TraceID)})
	}
	if r.json() {
		metrics := map[string]any{"durationMs": ms(m.duration), "billedDurationMs": billed, "memorySizeMB": r.fn.MemoryMB, "maxMemoryUsedMB": used}
		if m.init > 0 {
			metrics["initDurationMs"] = ms(m.init)
		}
		record := map[string]any{"requestId": requestID, "metrics": metrics, "status": m.status}
		if m.errorType != "" {
			record["errorType"] = m.errorType
		}
		r.event("report", record)
		return
	}
	r.journal.line("END RequestId: " + requestID)
	b := make([]byte, 0, 256)
	b = append(append(b, "REPORT RequestId: "...), requestID...)
	b = strconv.AppendFloat(append(b, "\tDuration: "...), ms(m.duration), 'f', 2, 64)
	b = strconv.AppendInt(append(b, " ms\tBilled Duration: "...), billed, 10)
	b = strconv.AppendInt(append(b, " ms\tMemory Size: "...), int64(r.fn.MemoryMB), 10)
	b = strconv.AppendInt(append(b, " MB\tMax Memory Used: "...), used, 10)
	b = append(b, " MB\t"...)
	if m.init > 0 {
		b = strconv.AppendFloat(append(b, "Init Duration: "...), ms(m.init), 'f', 2, 64)
		b = append(b, " ms\t"...)
	}
	if m.status != "success" {
		b = append(append(b, "Status: "...), m.status...)
		if m.errorType != "" && m.status == "error" {
			b = append(append(b, "\tError Type: "...), m.errorType...)
		}
	}
	r.journal.line(string(b))
}

func ms(d time.Duration) float64 { return math.Round(float64(d)/1e4) / 100 }

// timedOut is the result of an invocation that was stopped at its limit.
func (r report) timedOut(requestID string, limit time.Duration) runtimeapi.Result {
	words := fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds())
	if !r.json() {
		r.journal.line(r.journal.clock.Now().UTC().Format("2006-01-02T15:04:05.000Z ") + requestID + " " + words + "\n")
	}
	return runtimeapi.Failure("Sandbox.Timedout", "RequestId: "+requestID+" Error: "+words)
}

// ended is the result of an invocation whose runtime ended without an answer.
func (r report) ended(requestID string, e sandbox.Exit) runtimeapi.Result {
	kind, words := "Runtime.ExitError", "Runtime exited without providing a reason"
	switch {
	case e.OOMKilled:
		kind, words = "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"
	case e.Signal != 0:
		words = "Runtime exited with error: signal: " + signalName(e.Signal)
	case e.Code != 0:
		words = "Runtime exited with error: exit status " + strconv.Itoa(e.Code)
	}
	words = "RequestId: " + requestID + " Error: " + words
	if !r.json() {
		r.journal.line(words + "\n" + kind)
	}
	return runtimeapi.Failure(kind, words)
}
