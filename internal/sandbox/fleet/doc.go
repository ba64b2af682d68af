// Package fleet runs functions: it keeps, for each version of each function, the instances that are
// waiting for their next event, and opens more when all are busy.
//
// An instance is one sandbox with one runtime in it. It serves one event at a time, is frozen when it
// has been idle for a moment, ended when it has been idle for long, when its role's credentials draw
// to their end, and when the function's code or configuration changes. It is never shared between
// functions, versions or accounts. Events of a function that answers at once take turns on a few
// instances that stay warm, rather than each having one.
//
//	f := fleet.New(fleet.Deps{…})
//	out, err := f.Invoke(ctx, fn, fleet.Event{RequestID: id, ARN: arn, Payload: event})
//	// out.Payload, out.FunctionError: as Lambda answers, for timeouts, crashes and exhausted memory too
//	// err: *ThrottledError, *runtimes.MissingError, *sandbox.StartError
//
// An instance has these doors and no others: AWS's API, as plain HTTP on the port that
// AWS_ENDPOINT_URL names and as TLS for AWS's own host names; a resolver that knows these names and those
// of the function's declared ways out; doors for these ways; and for a custom runtime the Runtime API.
// What it tries to reach beside them is refused, and told (Deps.Refused).
package fleet
