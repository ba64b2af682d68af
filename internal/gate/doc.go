// Package gate is the one door: every call, from the wire, a function, a timer, a deployment or
// another service, passes Gate.Do, which asks what the operation needs (station 6), decides with
// the reason (7), runs the handler (8) and commits its change together with its audit record (9).
//
// A service is a table of Ops. Each names its row of the model, how it touches state, what it
// needs and the handler:
//
//	gate.On(api.OpDeleteTable, gate.Write, s.needTable, s.deleteTable)
//
// A handler sees a Call: who calls, in which account and region, and View and Update, the only
// ways to data, scoped to the service's own tables.
package gate
