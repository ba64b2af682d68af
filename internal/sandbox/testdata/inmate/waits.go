package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lingeringSocket has a socket's close wait for a day, and tells what the kernel then knows of it.
func lingeringSocket() string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return verdict(err)
	}
	defer unix.Close(fd)
	set := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 86400})
	var l [2]uint32 // struct linger
	size := uint32(len(l) * 4)
	if err := getsockopt(fd, unix.SO_LINGER, l[:], &size); err != nil {
		return verdict(err)
	}
	return fmt.Sprint(verdict(set), ", lingers ", l[0], " ", l[1])
}

// getsockopt asks for an option of SOL_SOCKET that is several numbers.
func getsockopt(fd, name int, into []uint32, size *uint32) error {
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, uintptr(name), uintptr(unsafe.Pointer(&into[0])), uintptr(unsafe.Pointer(size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
