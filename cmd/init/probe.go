package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// probeWaiting is what waits in a nest that is made to see whether this machine allows it: it says so as
// package bootstrap's programs do, and stays until its channel closes.
func probeWaiting() {
	_, err := unix.Write(controlFD, []byte{0, 0, 0, 0, 'W', 0, 0, 0, 0})
	for n := 1; err == nil && n > 0; {
		if n, err = unix.Read(controlFD, make([]byte, 16)); err == nil && n == 9 {
			_, err = unix.Write(controlFD, []byte{'Z'})
		}
	}
	os.Exit(0)
}

// probe is the program that `bastide doctor` runs inside a sandbox: it tries what must not work.
// The exit code is a set of bits, 0 when all is well: 1 seccomp lets unshare through, 2 a
// capability is left, 4 the root is writable, 8 /proc shows the init, 16 no_new_privs is off.
func probe() int {
	bits := 0
	if err := unix.Unshare(unix.CLONE_NEWUTS | unix.CLONE_NEWUSER); err != unix.EPERM {
		bits |= 1
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&hdr, &have[0]); err != nil || have[0].Permitted|have[1].Permitted != 0 {
		bits |= 2
	}
	if err := unix.Mkdir("/made", 0o755); err != syscall.EROFS {
		bits |= 4
	}
	if err := unix.Access("/proc/1", unix.F_OK); err == nil {
		bits |= 8
	}
	if on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || on != 1 {
		bits |= 16
	}
	return bits
}
