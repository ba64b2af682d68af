package gate

import (
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// TestTableFaultsStopTheStart: an operation that lacks a part never serves.
func TestTableFaultsStopTheStart(t *testing.T) {
	type other struct{}
	open, do := Open[noteInput], func(*Call, *noteInput) (*noteOutput, error) { return nil, nil }
	for _, c := range []struct {
		name string
		make func(put, get, run *wire.Operation) []Op
		want string
	}{
		{"no name", func(_, get, run *wire.Operation) []Op {
			return []Op{On[noteInput, noteOutput](&wire.Operation{}, Write, open, do), On(get, Read, open, do), On(run, Invoke, open, do)}
		}, "an operation without a name"},
		{"no access", func(put, get, run *wire.Operation) []Op {
			return []Op{On(put, 0, open, do), On(get, Read, open, do), On(run, Invoke, open, do)}
		}, "PutNote: no access given"},
		{"no needs", func(put, get, run *wire.Operation) []Op {
			return []Op{On(put, Write, nil, do), On(get, Read, open, do), On(run, Invoke, open, do)}
		}, "PutNote: no needs given"},
		{"no handler", func(put, get, run *wire.Operation) []Op {
			return []Op{On[noteInput, noteOutput](put, Write, open, nil), On(get, Read, open, do), On(run, Invoke, open, do)}
		}, "PutNote: no handler"},
		{"other types than the model's", func(put, get, run *wire.Operation) []Op {
			return []Op{On(put, Write, Open[other], func(*Call, *other) (*noteOutput, error) { return nil, nil }), On(get, Read, open, do), On(run, Invoke, open, do)}
		}, "PutNote: bound to gate.other"},
		{"an operation of the model without a row", func(put, get, _ *wire.Operation) []Op {
			return []Op{On(put, Write, open, do), On(get, Read, open, do)}
		}, "notes.RunNote is in the model but not in the service's table"},
		{"a row twice", func(put, get, run *wire.Operation) []Op {
			return []Op{On(put, Write, open, do), On(put, Write, open, do), On(get, Read, open, do), On(run, Invoke, open, do)}
		}, "notes.PutNote is bound twice"},
		{"another service's operation", func(put, get, run *wire.Operation) []Op {
			_, foreign, _, _ := model()
			return []Op{On(put, Write, open, do), On(foreign, Write, open, do), On(get, Read, open, do), On(run, Invoke, open, do)}
		}, "PutNote is not of service notes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			svc, put, get, run := model()
			_, err := New(Deps{}, Unit{Model: svc, Ops: c.make(put, get, run)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New gave %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestNoRowNoCall: what is in no table answers NotImplemented, and a call without an input that
// was checked against the model does not pass at all.
func TestNoRowNoCall(t *testing.T) {
	r := newRig(t)
	_, foreign, _, _ := model()
	_, err := r.do(r.user("ann"), foreign, &noteInput{Name: "n"})
	r.refused(err, awserr.NotImplemented)
	_, err = r.gate.Do(t.Context(), Entry{Principal: r.user("ann")})
	r.refused(err, awserr.Internal)
	_, err = Client{Gate: r.gate, Principal: r.user("ann"), Region: region}.Call(t.Context(), r.put, &noteInput{})
	if e := r.refused(err, awserr.Validation); !strings.Contains(e.Message, "'name'") {
		t.Errorf("a client's input is checked against the model, got %q", e.Message)
	}
	if _, err := (Client{}).Call(t.Context(), r.put, &noteInput{Name: "n"}); err == nil {
		t.Error("a client without a gate called")
	}
}
