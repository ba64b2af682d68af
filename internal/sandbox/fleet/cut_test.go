package fleet

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// cutting is a driver whose next starts are ended from outside.
type cutting struct {
	sandbox.Driver
	left atomic.Int64
}

func (c *cutting) Start(ctx context.Context, spec sandbox.Spec) (sandbox.Instance, error) {
	if c.left.Add(-1) >= 0 {
		return nil, &sandbox.StartError{ID: spec.ID, Stage: "the init ended", Err: sandbox.ErrCutShort}
	}
	return c.Driver.Start(ctx, spec)
}

// TestStartsThatAreCutShort: a start that something outside ended is made again, and its caller hears of
// it, in Lambda's words, only where no start was left alone.
func TestStartsThatAreCutShort(t *testing.T) {
	c := &cutting{}
	l := newLab(t, func(d *Deps) { d.Pool = 0; c.Driver, d.Driver = d.Driver, c })
	fn := l.function(l.node, "count", counter)
	c.left.Store(startTries)
	out := l.invoke(fn, `1`)
	if !strings.Contains(string(out.Payload), `"Runtime.ExitError"`) || !strings.Contains(string(out.Payload), "signal: killed") || out.FunctionError != "Unhandled" {
		t.Errorf("%+v %s", out, out.Payload)
	}
	c.left.Store(startTries - 1)
	l.want(l.invoke(fn, `1`), "", "1")
	l.wantLog(`REPORT RequestId: .*Status: error.*Error Type: Runtime.ExitError`)
}
