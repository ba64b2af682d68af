package app

import (
	"context"
	"errors"
	"sync"
	"time"

	lambdaapi "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
)

// departures records what functions do beside their profiles. The first of a kind in a minute is recorded
// at once, further ones are counted by the second. A function cannot fill the disk: what it tells apart
// has so many records a minute, and what is beyond is counted in one record a second.
type departures struct {
	note  func(gate.Happening) error
	clock clock.Clock

	mu        sync.Mutex
	functions map[string]*departing // by ARN
}

// departing is one function's minute.
type departing struct {
	since   time.Time
	records int
	kinds   map[departure]*kindOf
	more    int64 // beyond the records, and not told yet
	last    departure
}

// departure is what is done beside a profile.
type departure struct {
	what    string
	mode    fleet.ProfileMode
	refused bool
}

// kindOf counts a departure.
type kindOf struct {
	h gate.Happening
	n int64 // since it was recorded
}

// departuresPerMinute is how many records that tell departures apart a function has in a minute.
const departuresPerMinute = 100

func newDepartures(c clock.Clock, note func(gate.Happening) error) *departures {
	return &departures{note: note, clock: c, functions: map[string]*departing{}}
}

// add counts a departure, and records it if it is the first of its kind. The happening is made only where
// it is recorded: that takes the function's role.
func (d *departures) add(arn string, of departure, made func() gate.Happening) error {
	if d.counted(arn, of) {
		return nil
	}
	h := made()
	d.mu.Lock()
	f := d.functions[arn]
	if f == nil { // a flush has come between
		f = d.begin(arn)
	}
	if had := f.kinds[of]; had != nil {
		had.n++
		d.mu.Unlock()
		return nil
	}
	f.kinds[of] = &kindOf{h: of.in(h, of.what, 0)}
	d.mu.Unlock()
	return d.note(of.in(h, of.what, 0))
}

// begin starts a function's minute.
func (d *departures) begin(arn string) *departing {
	f := &departing{since: d.clock.Now(), kinds: map[departure]*kindOf{}}
	d.functions[arn] = f
	return f
}

// counted counts a departure of a known kind, or one for which there is no record left; it takes a record
// for another.
func (d *departures) counted(arn string, of departure) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.functions[arn]
	if f == nil {
		f = d.begin(arn)
	}
	if had := f.kinds[of]; had != nil {
		had.n++
		return true
	}
	if f.records >= departuresPerMinute {
		f.more++
		f.last = of
		return true
	}
	f.records++
	return false
}

// in is a departure as a happening: one, or so many.
func (of departure) in(h gate.Happening, words string, n int64) gate.Happening {
	detail := map[string]any{"departure": words, "mode": string(of.mode), "source": h.SourceARN}
	if n > 0 {
		detail["count"] = n
	}
	h.Detail = detail
	if of.refused {
		h.Err = awserr.Of(awserr.AccessDenied, "The function %s does not do this by its runtime profile: %s.", h.SourceARN, words)
	}
	return h
}

// placesUnknown is what is told of departures for which there is no record left.
const placesUnknown = "more departures, places unknown"

// due is what a function's next second has to record.
func (f *departing) due() []gate.Happening {
	var out []gate.Happening
	var any *kindOf
	for of, k := range f.kinds {
		any = k
		switch {
		case k.n == 0:
		case f.records < departuresPerMinute:
			f.records++
			out = append(out, of.in(k.h, of.what, k.n))
			k.n = 0
		default:
			f.more, f.last, k.n = f.more+k.n, of, 0
		}
	}
	if f.more > 0 && any != nil {
		out = append(out, f.last.in(any.h, placesUnknown, f.more))
		f.more = 0
	}
	return out
}

// flush records what was counted since, and ends the minutes that are over.
func (d *departures) flush() error {
	d.mu.Lock()
	var all []gate.Happening
	now := d.clock.Now()
	for arn, f := range d.functions {
		all = append(all, f.due()...)
		if now.Sub(f.since) >= time.Minute && f.more == 0 {
			delete(d.functions, arn)
		}
	}
	d.mu.Unlock()
	var errs error
	for _, h := range all {
		errs = errors.Join(errs, d.note(h))
	}
	return errs
}

// run flushes every second until the context ends.
func (d *departures) run(ctx context.Context) error { return everySecond(ctx, d.flush) }

// everySecond does something until the context ends, and once more then.
func everySecond(ctx context.Context, do func() error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return do()
		case <-tick.C:
			if err := do(); err != nil {
				return err
			}
		}
	}
}

// departed records what a function did beside its profile, as its role's.
func (s *Server) departed(service *lambda.Service, f *fleet.Function, what string, refused bool) {
	err := s.departures.add(f.ARN, departure{what, f.Profile.Mode, refused}, func() gate.Happening {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		h, err := s.roleOf(ctx, service, *f)
		if err != nil {
			h = gate.Happening{Service: lambdaapi.Service, Region: f.Region, SourceARN: f.ARN, Principal: identity.Service(lambdaPrincipal, f.Account)}
		}
		h.Event, h.Resources = "DepartFromProfile", []string{f.ARN}
		return h
	})
	if err != nil {
		s.log.Error("a departure from a runtime profile could not be recorded", "function", f.ARN, "error", err)
	}
}
