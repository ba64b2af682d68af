// Package extension is the part of an execution environment that Lambda's extensions talk to: the
// Extensions API (2020-01-01), the Telemetry API (2022-07-01) and the older Logs API (2020-08-15).
//
// A Set is one environment's extensions. External ones are programs of /opt/extensions, which run
// beside the runtime; internal ones are code of the runtime's own process. Each registers, asks for
// events, and by asking says that it is done with the one before:
//
//	s := extension.New(extension.Config{…, External: []string{"monitor"}})
//	go extension.Serve(listener, s)     // 127.0.0.1:9001 inside
//	err := s.Registered(ctx)            // every program has registered: the runtime may start
//	s.Seal(); err = s.Ready(ctx)        // the runtime is ready, and so are they
//	s.Invoke(extension.Invocation{…})   // an event begins
//	err = s.Idle(ctx)                   // all are done with it: the environment may be frozen
//	s.Shutdown("spindown", deadline)    // the last event
//
// One that fails fails the environment: waiting ends with a *Failure, whose Type is Lambda's
// ("Extension.Crash").
//
// Telemetry collects what happens in the environment and delivers it in batches to the listeners that
// extensions subscribed. What they do not take in time is dropped and counted: neither a slow nor a
// hostile listener makes anything here grow, or the function wait.
package extension
