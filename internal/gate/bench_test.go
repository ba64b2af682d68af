package gate

import (
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/store"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// BenchmarkDoRead is a read through the stations 6 to 9: needs, decision, View, record.
func BenchmarkDoRead(b *testing.B) {
	benchmark(b, func(r *rig) func(identity.Principal, int) error {
		r.keep("n", note{Text: "x"})
		return func(who identity.Principal, _ int) error {
			_, err := r.do(who, r.get, &noteInput{Name: "n"})
			return err
		}
	})
}

// BenchmarkDoNothing is the door alone: an operation that needs one permission and does nothing.
func BenchmarkDoNothing(b *testing.B) {
	benchmark(b, func(r *rig) func(identity.Principal, int) error {
		r.handle["GetNote"] = func(*Call, *noteInput) (*noteOutput, error) { return &noteOutput{}, nil }
		return func(who identity.Principal, _ int) error {
			_, err := r.do(who, r.get, &noteInput{Name: "n"})
			return err
		}
	})
}

// BenchmarkDoRefused is a refusal with its explanation and record.
func BenchmarkDoRefused(b *testing.B) {
	benchmark(b, func(r *rig) func(identity.Principal, int) error {
		eve := r.user("eve")
		return func(identity.Principal, int) error {
			if _, err := r.do(eve, r.get, &noteInput{Name: "n"}); err == nil {
				b.Fatal("allowed")
			}
			return nil
		}
	})
}

// BenchmarkDoWrite is a durable change with its record, one caller.
func BenchmarkDoWrite(b *testing.B) {
	benchmark(b, func(r *rig) func(identity.Principal, int) error {
		return func(who identity.Principal, i int) error {
			_, err := r.do(who, r.put, &noteInput{Name: strconv.Itoa(i % 1000), Text: new("text")})
			return err
		}
	})
}

// BenchmarkDoWrite64 is the same with 64 callers, whose changes share commits.
func BenchmarkDoWrite64(b *testing.B) {
	r := newRigOn(b, store.Options{}, nil)
	ann := r.user("ann")
	r.dir.grant(b, ann, mayAll)
	var n atomic.Int64
	b.SetParallelism(32) // times GOMAXPROCS, 2 on the reference machine
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.do(ann, r.put, &noteInput{Name: strconv.FormatInt(n.Add(1)%1000, 10), Text: new("text")}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
