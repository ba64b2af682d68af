// Package promises breaks, or tries to break, each promise of the design on the real binary. Each
// test is named for its promise and fails when it is broken.
package promises
