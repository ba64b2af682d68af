// Package cloudformation keeps stacks: templates with what they were given, the resources that
// came of them, and the history of both.
//
// CreateStack, UpdateStack, DeleteStack and ExecuteChangeSet check everything that can be checked,
// write down the operation and answer; a job then carries it out through package deploy. Each step
// is a row before and after it is taken, so that a server that was killed goes on with every
// operation where it stopped, forwards or backwards.
//
// An operation acts as the caller who asked for it, through gate.Mandate: every call that it makes is
// decided on that caller's policies as they are then, and when the caller's session has ended it may
// do nothing more. With a RoleARN it acts as that role, assumed by cloudformation.amazonaws.com. It
// never acts as CloudFormation itself.
//
// What is promised: stacks, change sets of the types CREATE and UPDATE, parameters, outputs, exports
// and imports, capabilities, OnFailure, DisableRollback, TimeoutInMinutes, termination protection,
// deletion policies. Refused by name: nested stacks, stack policies, notifications, rollback triggers,
// imports of existing resources, custom resources, wait conditions, macros, Snapshot policies.
//
// Metadata of a resource that Bastide reads:
//
//	Metadata:
//	  Bastide:
//	    Acknowledge: ["GET /health"]      # opens a route without authorisation, by name;
//	                                      # "$default" is that of a function URL
//	    Egress: ["api.example.com:443"]   # an outgoing route of a function
package cloudformation
