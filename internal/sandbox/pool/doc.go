// Package pool keeps sandboxes ready that were started before it is known whose they will be.
//
// A ready sandbox stands complete, with its doors open; in it waits an interpreter with Bastide's
// program loaded, or nothing yet, where the function brings its own. It holds no secret, no account's
// anything, and is used once: what takes it delivers one function into it, and ends it in the end.
//
//	p := pool.New(pool.Config{Driver: driver, Size: 8, MemoryBytes: 256 << 20})
//	p.Expect([]pool.Kind{{Name: "nodejs22.x 256", Spec: spec}}) // Spec.Late
//	if r := p.Take("nodejs22.x 256", spec); r != nil {          // nil: none is ready
//		err := r.Instance.(sandbox.Receiver).Deliver(…)
//	}
//
// The pool is bounded in number and memory, shared out by how often each kind is taken, and filled
// again one by one, at the lowest priority, when nobody has taken for a moment. One that dies while it
// waits is replaced and never handed out.
package pool
