package bastide

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// Live is the newest records, for those who follow the trail: a bounded window that they read by
// position, so that following costs no search. Who falls out of the window is told so.
type Live struct {
	mu      sync.Mutex
	records [liveWindow]audit.Record
	next    int64         // position of the next record
	grown   chan struct{} // closed when there is a next one; nil while nobody waits
}

const liveWindow = 4096

// Run fills the window until ctx ends.
func (l *Live) Run(ctx context.Context, t *audit.Trail) error {
	for r, err := range t.Tail(ctx, audit.Filter{}) {
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if r.EventSource == bastide.Service.EventSource && r.EventName == bastide.OpQueryAudit.Name {
			continue // followers would follow themselves
		}
		l.mu.Lock()
		l.records[l.next%liveWindow] = r
		l.next++
		if l.grown != nil {
			close(l.grown)
			l.grown = nil
		}
		l.mu.Unlock()
	}
	return nil
}

func (l *Live) now() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strconv.FormatInt(l.next, 10)
}

// patience is how long a follower's question waits for the next record.
const patience = 5 * time.Second

// wait returns when there is a record at a position, or after a while.
func (l *Live) wait(ctx context.Context, position string) {
	from, err := strconv.ParseInt(position, 10, 64)
	l.mu.Lock()
	if err != nil || from != l.next {
		l.mu.Unlock()
		return
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	grown := l.grown
	l.mu.Unlock()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-grown:
	case <-t.C:
	case <-ctx.Done():
	}
}

// after is up to max records from a position on, and the position behind them.
func (l *Live) after(position string, max int) ([]audit.Record, string, error) {
	from, err := strconv.ParseInt(position, 10, 64)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || from < 0 || from > l.next {
		return nil, "", awserr.New("InvalidRequestException", 400, "After is not a position of this server's trail.")
	}
	if l.next-from > liveWindow {
		return nil, "", awserr.New("InvalidRequestException", 400, "More than %d records have come since; begin again without After.", liveWindow)
	}
	var out []audit.Record
	for ; from < l.next && len(out) < max; from++ {
		out = append(out, l.records[from%liveWindow])
	}
	return out, strconv.FormatInt(from, 10), nil
}
