package bastide

import (
	"context"
	"strconv"
	"sync"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// Live is the newest records, for those who follow the trail: a bounded window that they read by
// position, so that following costs no search. Who falls out of the window is told so.
type Live struct {
	mu      sync.Mutex
	records [liveWindow]audit.Record
	next    int64 // position of the next record
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
		l.mu.Lock()
		l.records[l.next%liveWindow] = r
		l.next++
		l.mu.Unlock()
	}
	return nil
}

func (l *Live) now() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strconv.FormatInt(l.next, 10)
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
