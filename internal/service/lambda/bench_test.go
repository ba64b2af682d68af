package lambda

import (
	"context"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// echo is a Runner that costs nothing, so that what is measured is the door and the service.
type echo struct{}

func (echo) Invoke(_ context.Context, _ fleet.Function, e fleet.Event) (fleet.Outcome, error) {
	return fleet.Outcome{Payload: e.Payload}, nil
}

func (echo) Keep([]fleet.Wish) {}

func (echo) Ready(string, string) fleet.Readiness { return fleet.Readiness{} }

func (echo) Stats(string) fleet.Stats { return fleet.Stats{} }

func (echo) Retire(string) {}

// quiet is a trail that costs nothing.
type quiet struct{ *trail }

func (quiet) Note(*gate.Record) error { return nil }

func benchRig(b *testing.B) *rig {
	clk := clock.NewManual(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	db, err := store.Open(b.Context(), store.Options{Dir: b.TempDir(), Clock: clk})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	r := rigOn(b, db, clk)
	r.create("f")
	r.service.Runner = echo{}
	r.gate, err = gate.New(gate.Deps{Store: db, Trail: quiet{r.trail}, Directory: r.dir, Clock: clk}, r.service.Unit())
	if err != nil {
		b.Fatal(err)
	}
	r.client = r.as(account, "admin")
	return r
}

// BenchmarkInvoke is a synchronous invocation of 1 KB from station 6 to 9, without the sandbox.
func BenchmarkInvoke(b *testing.B) {
	r := benchRig(b)
	body := make([]byte, 1024)
	for i := range body {
		body[i] = 'x'
	}
	body[0], body[1023] = '"', '"'
	in := &api.InvokeInput{FunctionName: "f", Payload: body}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.client.Invoke(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
