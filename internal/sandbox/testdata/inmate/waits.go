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
	var l unix.Linger
	size := uint32(unsafe.Sizeof(l))
	if err := sys(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&l)), uintptr(unsafe.Pointer(&size)))(); err != nil {
		return verdict(err)
	}
	return fmt.Sprint(verdict(set), ", lingers ", l.Onoff, " ", l.Linger)
}
