// Package base holds the few nouns that every room shares: names of resources (arn), errors
// (awserr), time (clock) and identifiers (ids). It imports nothing of Bastide's.
package base
