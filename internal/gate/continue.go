package gate

import (
	"errors"
	"sync"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

var errContinues = errors.New("gate: a call that is not declared Invoke tried to continue")

// course is how far a long-running call is in the trail.
type course struct {
	mu                             sync.Mutex
	continues, admitted, completed bool
}

// Continue lets an Invoke go on after its handler has returned without an error, for an answer that is
// made while it is sent: a stream. The call is in the trail as admitted before its first byte is seen.
// completed is to be called, once, with how it ended, and writes the call's completion; where that
// cannot be written it gives an error, and what was not answered yet must fail.
func (c *Call) Continue() (completed func(error) error, err error) {
	if c.op.Access != Invoke {
		return nil, awserr.Wrap(errContinues)
	}
	c.course.mu.Lock()
	defer c.course.mu.Unlock()
	c.course.continues = true
	return func(how error) error {
		c.course.mu.Lock()
		defer c.course.mu.Unlock()
		if c.course.completed {
			return nil
		}
		c.course.completed = true
		return c.gate.trail.Note(c.record(nil, how))
	}, nil
}

// admitted notes once, and never behind its completion, that a call runs.
func (c *Call) admitted() error {
	c.course.mu.Lock()
	defer c.course.mu.Unlock()
	if c.course.admitted || c.course.completed {
		return nil
	}
	c.course.admitted = true
	r := c.record(nil, nil)
	r.Phase = "admitted"
	return c.gate.trail.Note(r)
}

// goesOn says that the call's handler has returned and the call has not ended with it.
func (c *Call) goesOn(err error) bool {
	c.course.mu.Lock()
	defer c.course.mu.Unlock()
	return c.course.continues && err == nil
}
