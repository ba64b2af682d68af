// Package load runs functions in their thousands and under bad neighbours, on the real binary, and
// counts what it holds before and after.
package load
