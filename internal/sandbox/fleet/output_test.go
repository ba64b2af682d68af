package fleet

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// book keeps what journals write.
type book struct{ events []LogEvent }

func (b *book) Append(_ Stream, events []LogEvent) { b.events = append(b.events, events...) }

// find is what was written that begins so.
func (b *book) find(prefix string) (found []string) {
	for _, e := range b.events {
		if strings.HasPrefix(e.Message, prefix) {
			found = append(found, e.Message)
		}
	}
	return found
}

func TestOutputIsBoundedForAFunction(t *testing.T) {
	now := clock.NewManual(time.Unix(1_900_000_000, 0))
	var b book
	var all allowance
	first := &journal{sink: &b, clock: now, allowance: &all}
	second := &journal{sink: &b, clock: now, allowance: &all}
	line := strings.Repeat("x", 1<<20-outputCharge-1) // 1 MB with what it costs
	first.line("START")
	for range 10 {
		first.output(line)
	}
	for range 10 {
		second.output(line)
	}
	second.line("END")
	first.line("END")
	first.flush()
	second.flush()
	if got := len(b.find("x")); got != 16 {
		t.Errorf("%d MB are kept at once of two instances", got)
	}
	if got := b.find("LOGS_DROPPED"); len(got) != 1 || !strings.HasPrefix(got[0], "LOGS_DROPPED Records: 4\tBytes: 4193280\t") {
		t.Errorf("told: %q", got)
	}
	if got := len(b.find("START")) + len(b.find("END")); got != 3 {
		t.Errorf("%d of the platform's 3 lines", got)
	}
	if tail := second.end(); !strings.HasSuffix(string(tail), "xx\nEND\n") || len(tail) != tailBytes {
		t.Errorf("the tail lacks what was dropped: %d bytes, ending in %.20q", len(tail), tail[len(tail)-20:])
	}
	if records, bytes := all.dropped(); records != 4 || bytes != 4193280 {
		t.Errorf("counted %d, %d bytes", records, bytes)
	}

	now.Advance(3 * time.Second)
	for range 5 {
		first.output(line)
	}
	first.flush()
	if got := len(b.find("x")); got != 19 {
		t.Errorf("three seconds later %d MB are kept, want 3 more", got)
	}
}

func TestALossIsToldOnceAWindow(t *testing.T) {
	now := clock.NewManual(time.Unix(1_900_000_000, 0))
	var b book
	j := &journal{sink: &b, clock: now, stream: Stream{JSON: true}, allowance: &allowance{}}
	line := strings.Repeat("x", 64<<10)
	for range 3 * 60 { // a minute, ten times faster than what is kept
		for range 53 {
			j.output(line)
		}
		now.Advance(time.Second / 3)
	}
	j.flush()
	told := b.find(`{"time"`)
	if len(told) < 5 || len(told) > 7 {
		t.Fatalf("%d notices in a minute", len(told))
	}
	sum := 0
	for _, text := range told {
		var event struct {
			Type   string
			Record struct{ DroppedRecords, DroppedBytes int }
		}
		if err := json.Unmarshal([]byte(text), &event); err != nil || event.Type != "platform.logsDropped" || event.Record.DroppedBytes != event.Record.DroppedRecords*len(line+"\n") {
			t.Errorf("%s: %v", text, err)
		}
		sum += event.Record.DroppedRecords
	}
	if kept := len(b.find("x")); kept+sum != 3*60*53 {
		t.Errorf("%d are kept and %d told of, of %d", kept, sum, 3*60*53)
	}
}
