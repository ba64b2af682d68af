package extension

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// The records of platform events, as "Lambda Telemetry API Event schema reference" has them. Durations
// are in milliseconds.

// Kinds of platform events, without "platform.".
const (
	KindInitStart        = "initStart"
	KindInitRuntimeDone  = "initRuntimeDone"
	KindInitReport       = "initReport"
	KindStart            = "start"
	KindRuntimeDone      = "runtimeDone"
	KindReport           = "report"
	KindExtension        = "extension"
	KindSubscription     = "telemetrySubscription"
	KindLogsDropped      = "logsDropped"
	kindEnd              = "end"              // of the Logs API only, beside a report
	kindLogsSubscription = "logsSubscription" // the same, in place of a telemetrySubscription
)

// InitStart is the record of platform.initStart.
type InitStart struct {
	Type       string `json:"initializationType"`
	Phase      string `json:"phase"`
	Runtime    string `json:"runtimeVersion,omitempty"`
	Name       string `json:"functionName"`
	Version    string `json:"functionVersion"`
	InstanceID string `json:"instanceId,omitempty"`
	MemoryMB   int    `json:"instanceMaxMemory,omitempty"`
}

// InitRuntimeDone is the record of platform.initRuntimeDone.
type InitRuntimeDone struct {
	Type      string `json:"initializationType"`
	Phase     string `json:"phase"`
	Status    string `json:"status"`
	ErrorType string `json:"errorType,omitempty"`
}

// InitReport is the record of platform.initReport.
type InitReport struct {
	Type      string  `json:"initializationType"`
	Phase     string  `json:"phase"`
	Status    string  `json:"status"`
	ErrorType string  `json:"errorType,omitempty"`
	Metrics   Elapsed `json:"metrics"`
}

// Elapsed is how long something took.
type Elapsed struct {
	Duration float64 `json:"durationMs"`
}

// Tracing is the trace that an invocation is part of.
type Tracing struct {
	SpanID string `json:"spanId,omitempty"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

// TracingOf is the trace of an X-Ray header, nil for none.
func TracingOf(header string) *Tracing {
	if header == "" {
		return nil
	}
	t := &Tracing{Type: tracingType, Value: header}
	for part := range strings.SplitSeq(header, ";") {
		if id, ok := strings.CutPrefix(part, "Parent="); ok {
			t.SpanID = id
		}
	}
	return t
}

// Start is the record of platform.start.
type Start struct {
	RequestID string   `json:"requestId"`
	Version   string   `json:"version,omitempty"`
	Tracing   *Tracing `json:"tracing,omitempty"`
}

// Span is a part of an invocation.
type Span struct {
	Name     string  `json:"name"`
	Start    string  `json:"start"`
	Duration float64 `json:"durationMs"`
}

// RuntimeDone is the record of platform.runtimeDone.
type RuntimeDone struct {
	RequestID string           `json:"requestId"`
	Status    string           `json:"status"`
	ErrorType string           `json:"errorType,omitempty"`
	Metrics   *RuntimeDoneTook `json:"metrics,omitempty"`
	Spans     []Span           `json:"spans,omitempty"`
	Tracing   *Tracing         `json:"tracing,omitempty"`
}

// RuntimeDoneTook are the metrics of platform.runtimeDone.
type RuntimeDoneTook struct {
	Duration float64 `json:"durationMs"`
	Bytes    int     `json:"producedBytes"`
}

// Report is the record of platform.report.
type Report struct {
	RequestID string   `json:"requestId"`
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType,omitempty"`
	Metrics   Metrics  `json:"metrics"`
	Spans     []Span   `json:"spans,omitempty"`
	Tracing   *Tracing `json:"tracing,omitempty"`
}

// Metrics are those of platform.report.
type Metrics struct {
	Duration     float64 `json:"durationMs"`
	Billed       int64   `json:"billedDurationMs"`
	MemoryMB     int     `json:"memorySizeMB"`
	MaxMemoryMB  int64   `json:"maxMemoryUsedMB"`
	InitDuration float64 `json:"initDurationMs,omitempty"`
}

// Subscription is the record of platform.telemetrySubscription and platform.logsSubscription.
type Subscription struct {
	Name  string   `json:"name"`
	State string   `json:"state"`
	Types []string `json:"types"`

	logs bool
}

func (s Subscription) String() string {
	kind := "TELEMETRY"
	if s.logs {
		kind = "LOGS"
	}
	var types []string
	for _, t := range s.Types {
		types = append(types, strings.ToUpper(t[:1])+t[1:])
	}
	return fmt.Sprintf("%s\tName: %s\tState: %s\tTypes: [%s]", kind, clip(s.Name), s.State, strings.Join(types, ", "))
}

// Dropped is the record of platform.logsDropped.
type Dropped struct {
	Records int    `json:"droppedRecords"`
	Bytes   int    `json:"droppedBytes"`
	Reason  string `json:"reason"`
}

const behind = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."

// Stamp is a moment as these records have it.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Event is one event as JSON: platform events, and lines of the function or of extensions.
func Event(at time.Time, kind string, record any) []byte {
	b, err := json.Marshal(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}{Stamp(at), kind, record})
	if err != nil { // texts and finite numbers always marshal
		return nil
	}
	return b
}

// forLogs is what the older API has of an event; none if it has none.
func forLogs(kind string, record any, done bool) (string, []any) {
	switch r := record.(type) {
	case Start:
		return kind, []any{map[string]any{"requestId": r.RequestID, "version": r.Version}}
	case Report:
		return kind, []any{map[string]any{"requestId": r.RequestID, "metrics": r.Metrics}}
	case RuntimeDone:
		if done {
			return kind, []any{map[string]any{"requestId": r.RequestID, "status": oldStatus(r.Status)}}
		}
		return "", nil
	case Subscription:
		return kindLogsSubscription, []any{r}
	case Info, Dropped:
		return kind, []any{r}
	}
	return "", nil
}

// oldStatus is a status in the older API's words.
func oldStatus(s string) string {
	if s == "error" {
		return "failure"
	}
	return s
}
