// Package lambda keeps functions, their versions, aliases, layers and permissions, and runs them in
// sandboxes under their own roles.
//
// What it promises of AWS: functions from zip archives (inline or from S3, read with the caller's
// permissions) and from container images (of the registries that are declared, or loaded into the
// account's own store; their digest is settled when code is given), checked and unpacked before the
// call returns, so that a function is Active at once;
// published versions, aliases with weighted routing, layers with permissions, tags, reserved and
// provisioned concurrency, SnapStart (instances held ready), code signing, runtime management, tenants,
// and an environment for each invocation (the tag bastide:isolation=request); resource
// policies for each qualifier, enforced; function URLs of AWS_IAM and NONE with CORS, which package
// edge answers, buffered and streamed; Invoke (RequestResponse, DryRun, and Event: queued in a lane for
// each function, surviving a crash, retried within the bounds of its event invoke configuration, with
// functions as destinations; an event may run more than once) and InvokeWithResponseStream; external and internal extensions with the Telemetry and Logs
// APIs; START, END, REPORT and the function's output in its log group, written with its
// role's permissions; revision ids.
//
// What it does not: file systems, dead-letter queues, customer-managed keys,
// durable functions, capacity providers, system log levels, event
// sources (mappings are kept and run by package mapping for those in Deps, which are none today),
// destinations other than functions, and
// X-Ray (tracing mode Active); asking for one of them is refused. Of a VpcConfig the egress rules of its
// groups count, as ways out.
package lambda
