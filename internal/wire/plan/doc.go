// Package plan is what the codecs know of a Go type: one walk over its fields and struct tags,
// cached, gives names, places on the wire, formats and constraints, so that no request looks them
// up again. The tags are those that tools/apigen writes:
//
//	TableName string `wire:"TableName" opt:"required" min:"3" max:"255" pattern:"[a-zA-Z0-9_.-]+"`
//
// Keys that begin with "e." speak of the elements of a list or the values of a map, those that
// begin with "k." of the keys of a map. The package also holds what every codec does the same way:
// text forms of scalars, timestamps, and checks of constraints with AWS's wording.
package plan

// RawJSON is a valid JSON value that stays undecoded; nil is an absent member. A decoded one
// points into the request's body.
type RawJSON []byte
