// Package promises breaks, or tries to break, each promise of the design on the real binary. Each
// test is named for its promise and fails when it is broken. The sixth, that nothing leaves a
// function but by a declared way, has a package of its own beside this one: outgoing.
package promises
