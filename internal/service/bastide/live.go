package bastide

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// Live is the newest records, for those who follow the trail: a bounded window that they read by
// position, so that following costs no search. Who falls out of the window is told so. It fills
// only while somebody follows.
type Live struct {
	mu      sync.Mutex
	records [liveWindow]audit.Record
	next    int64         // position of the next record
	grown   chan struct{} // closed when there is a next one; nil while nobody waits
	asked   time.Time     // when a follower last asked
	awake   chan struct{} // has a signal when one asks
}

// NewLive is an empty window.
func NewLive() *Live { return &Live{awake: make(chan struct{}, 1)} }

// idle is how long after the last question the window goes on filling.
const idle = 30 * time.Second

// Run fills the window while somebody follows, until ctx ends.
func (l *Live) Run(ctx context.Context, t *audit.Trail, c clock.Clock) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.awake:
		}
		if err := l.fill(ctx, t, c); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// ask notes a follower.
func (l *Live) ask(now time.Time) {
	l.mu.Lock()
	l.asked = now
	l.mu.Unlock()
	select {
	case l.awake <- struct{}{}:
	default:
	}
}

const liveWindow = 4096

// fill follows the trail until nobody has asked for a while. What comes after is not in the window,
// so positions before it end there.
func (l *Live) fill(ctx context.Context, t *audit.Trail, c clock.Clock) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(idle)
	defer tick.Stop()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			l.mu.Lock()
			over := c.Now().Sub(l.asked) > idle
			l.mu.Unlock()
			if over {
				cancel()
				return
			}
		}
	}()
	for r, err := range t.Tail(ctx, audit.Filter{}) {
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return err
		}
		l.add(r)
	}
	l.mu.Lock()
	l.next += liveWindow + 1
	l.mu.Unlock()
	return nil
}

func (l *Live) add(r audit.Record) {
	if r.EventSource == bastide.Service.EventSource && r.EventName == bastide.OpQueryAudit.Name {
		return // followers would follow themselves
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[l.next%liveWindow] = r
	l.next++
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
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
