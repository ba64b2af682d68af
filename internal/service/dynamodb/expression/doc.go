// Package expression is DynamoDB's expression language: condition, filter, key-condition, update
// and projection expressions, with their placeholders (#name, :value).
//
// A text is compiled once and kept by a Cache; a Scope binds the placeholders of one request to it
// and checks what depends on them:
//
//	scope, err := cache.Open(names, values)
//	pred, err := scope.Predicate(expression.Condition, "attribute_not_exists(id) OR #v < :max")
//	change, err := scope.Change("SET hits = if_not_exists(hits, :zero) + :one")
//	err = scope.Close()                  // placeholders that no expression used
//	if pred.Match(stored) { next, err = change.Apply(stored) }
//
// Errors are DynamoDB's own ValidationException messages, in the order in which the service finds
// them: syntax, then names and functions, then placeholders, then operands.
//
// Sources: Amazon DynamoDB Developer Guide, "Expressions in DynamoDB", "Reserved words", "Quotas".
package expression
