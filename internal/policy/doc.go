// Package policy is the IAM policy language: it reads policy documents, decides whether a request
// is allowed by everything that applies to it, and explains why.
//
// A policy is a list of statements; each says Allow or Deny for some actions on some resources,
// perhaps only for some principals and under some conditions. A request is one principal wanting
// one action on one resource. Six places may hold policies for it (a Set): the caller's identity,
// its permissions boundary, its session, the organisation above the caller (service control
// policies), the resource itself, and the organisation above the resource (resource control
// policies).
//
//	p, err := policy.Parse(doc, policy.Identity)
//	d := policy.Decide(&policy.Request{
//		Principal: caller, Action: "s3:GetObject", Resource: "arn:aws:s3:::tasks/1",
//		ResourceAccount: "123456789012", Context: keys,
//	}, &policy.Set{Identity: []policy.Attached{{Policy: p, Where: "role TaskReader inline policy Read"}}})
//
// What it promises: nothing is allowed that no statement allows; a Deny anywhere wins; what the
// package cannot understand does not parse, so that a policy never means less than it says.
// Parse refuses what IAM refuses, in IAM's words. Decide allocates nothing. Explain gives the same
// answer as Decide, always, with the reasons.
//
// The package is pure: no I/O, no clock, no state. A parsed Policy is immutable and may be shared.
//
// Sources: IAM User Guide, "Policy evaluation logic", "JSON policy element reference", "Policy
// variables", "Condition operators", "Single-valued vs. multivalued context keys".
package policy
