package fleet

import (
	"fmt"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/extension"
)

// How much of a function's output is kept, of all its instances together. CloudWatch Logs takes 1 MB in a
// batch and for long took 5 batches a second of one stream ("CloudWatch Logs quotas"); here it is a disk
// that others share, so a function that prints without end has 1 MB a second, after 16 MB at once. An
// event counts outputCharge beside its text, which is what keeping one costs.
const (
	outputBurst  = 16 << 20 // bytes
	outputRate   = 1 << 20  // bytes a second
	outputCharge = 256      // bytes
	outputWindow = 10 * time.Second
)

// droppedReason is why.
const droppedReason = "The function writes more than is kept."

// allowance is what a function may still write to its log. The zero value is full.
type allowance struct {
	mu     sync.Mutex
	bucket bucket

	records, bytes int64 // dropped since Bastide started
}

// take tells whether an event of that many bytes is kept; one that is not is counted.
func (a *allowance) take(now time.Time, n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bucket.fill(now, outputRate, outputBurst)
	if cost := float64(n + outputCharge); a.bucket.tokens >= cost {
		a.bucket.tokens -= cost
		return true
	}
	a.records++
	a.bytes += int64(n)
	return false
}

// dropped is how many events and bytes were not kept.
func (a *allowance) dropped() (records, bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.records, a.bytes
}

// loss is what a journal has dropped and not yet told of.
type loss struct {
	records, bytes int
	since          time.Time // of the first
}

func (l *loss) add(now time.Time, n int) {
	if l.records == 0 {
		l.since = now
	}
	l.records++
	l.bytes += n
}

// due tells whether it is time for a notice: at the window's end, and before any line of the platform's.
func (l *loss) due(now time.Time, platform bool) bool {
	return l.records > 0 && (platform || now.Sub(l.since) >= outputWindow)
}

// Notice is an event that tells of others that a log does not have, as platform.logsDropped of the
// Telemetry API does in JSON.
func (s Stream) Notice(at time.Time, records, bytes int) LogEvent {
	line := fmt.Sprintf("LOGS_DROPPED Records: %d\tBytes: %d\tReason: %s", records, bytes, droppedReason)
	if s.JSON {
		line = string(extension.Event(at, "platform."+extension.KindLogsDropped, extension.Dropped{Records: records, Bytes: bytes, Reason: droppedReason}))
	}
	return LogEvent{at, line + "\n", true}
}
