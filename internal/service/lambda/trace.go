package lambda

import (
	"github.com/bastide-cloud/bastide/internal/base/trace"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// traceKey is the condition key in which a delivery to a destination names the trace that it is of. Only
// a call of this service's own can carry it.
const traceKey = "bastide:Trace"

// traceOf is the trace that an invocation belongs to, as a function is told it: its caller's, or a new one.
func (s *Service) traceOf(c *gate.Call) string {
	if own := c.Given(traceKey); len(own) > 0 {
		return s.traced(own[0])
	}
	return s.traced(c.Source().Trace)
}

// traced goes on with a trace; "" begins one.
func (s *Service) traced(header string) string { return trace.Continue(header, s.Clock.Now(), s.IDs) }
