// Package thread runs what changes its thread: a namespace entered, rights given up, a cookie taken. Such a
// thread must be nobody else's afterwards.
package thread

import (
	"runtime"
	"syscall"
)

// Go calls f on a thread of its own, which ends when f returns and takes with it what f changed of it. That
// is never the thread that the process began with: the Go runtime parks that one for good where it would end
// another, and what is known of it is shown as the whole process's in /proc. It is held meanwhile.
func Go(f func()) {
	go func() {
		runtime.LockOSThread() // never unlocked on a thread that is to end
		if syscall.Gettid() != syscall.Getpid() {
			f()
			return
		}
		defer runtime.UnlockOSThread()
		elsewhere := make(chan struct{})
		Go(func() {
			defer close(elsewhere)
			f()
		})
		<-elsewhere
	}()
}
