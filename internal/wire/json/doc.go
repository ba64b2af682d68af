// Package json reads and writes JSON documents for the types that package plan knows. It decodes
// straight from the body into the Go struct: members that the model does not have are skipped,
// null means absent, and an undecoded member (plan.RawJSON) points into the body.
//
//	err := json.Decode(body, p, v, check, json.Limits{})
//	out := json.Append(nil, p, v)
package json
