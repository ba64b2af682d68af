// Package runtimeapi is the conversation between Bastide and the program inside a sandbox that
// runs a function's handler: "here is an event", "here is its answer".
//
// A Worker is one such program. There are two kinds, with the same meaning:
//
//   - Channel speaks small binary frames over one stream (the guest has it as descriptor 3). The
//     node and python programs of package bootstrap use it: a round trip costs tens of
//     microseconds.
//   - HTTP serves Lambda's public Runtime API (2018-06-01) on a listener, for custom runtimes
//     (provided.al2, provided.al2023), at some hundreds of microseconds.
//
// A worker serves one invocation at a time:
//
//	w := runtimeapi.NewChannel(stream)
//	if err := w.Ready(ctx); err != nil { … } // *InitError: the handler could not be loaded
//	res, err := w.Invoke(ctx, runtimeapi.Invocation{RequestID: id, Deadline: t, Payload: event})
//
// The guest is hostile: every length is bounded before memory is taken, a frame out of order ends
// the worker, and nothing that the guest says is trusted beyond its own answer.
//
// What the guest writes to stdout and stderr travels in a pipe, whose reader is an Output. Flush it
// when Invoke returns: what the guest wrote before its answer is in the pipe before the answer is
// on the stream, so that nothing is lost and nothing is counted to the next invocation.
package runtimeapi
