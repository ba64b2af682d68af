// Package events kills the real binary while it delivers asynchronous invocations, and shows that
// each one that was accepted has run.
package events
