package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// The kernel counts some things by user, for the whole machine: inotify's instances and watches, signals that
// wait, namespaces. What is counted in a user namespace counts with its maker too, who is the effective user
// of the thread that makes it (kernel/user_namespace.c, kernel/ucount.c). Were that root, one function would
// take what root and every other function have. So the launcher makes each namespace as the very user that
// the sandbox has on the host. A nest does not: the right of its process to enter its forks' namespaces is
// that their owner has its user, and all of them count with the nest's user, which nothing else has.

// as does f while the thread's effective user is uid, without losing a capability. What f forks into a new
// user namespace has the capabilities of that only.
//
// The kernel forgets the thread's parent-death signal and that the process is dumpable. The launcher wants
// the first of its main thread, which therefore never comes here, and the second of nobody.
func as(uid int, f func()) error {
	was := unix.Geteuid()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&head, &caps[0]); err != nil {
		return err
	}
	// raw: Go's own would change every thread
	if err := effective(uid); err != nil {
		return err
	}
	// the real user stays root, and with it what is permitted; only what is in effect went
	err := unix.Capset(&head, &caps[0])
	if err == nil {
		// files, which are what a delegated cgroup is, are reached as the launcher's own user
		_, _ = unix.SetfsuidRetUid(was)
		f()
	}
	if effective(was) != nil {
		os.Exit(1) // nothing forbids it; but every later sandbox would be this one's user's
	}
	return err
}

// effective changes the effective user of the calling thread.
func effective(uid int) error {
	keep := ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
		return errno
	}
	return nil
}
