// Package deploy brings what a template describes into being, changes it and takes it away again.
//
// A Run is one operation on one stack. It walks the template's graph in dependency order, several
// resources at a time, and makes each through its service's gate.Resource as the principal who
// deploys. What it is about to do and what came of it are rows, written through the Journal before
// and after each call, so that a run that was cut off goes on where it stopped: nothing is made
// twice and nothing that was made is forgotten.
//
//	failed, err := run.Forward(ctx, graph)  // create and update; err: cut off, go on later
//	failed, err = run.Undo(ctx)             // restore what was updated, set aside what was made
//	failed, err = run.CleanUp(ctx, stands)  // delete what was replaced, removed or set aside
//	failed, err = run.Delete(ctx, options)  // delete everything, dependents first
//
// Before anything is made, Types.Check names every resource type, property and attribute of the
// template that is not built, with line and column.
package deploy
