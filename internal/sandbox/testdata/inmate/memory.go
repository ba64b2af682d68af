package main

import (
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// share takes megabytes that a child would share.
func share(mb string) string {
	n, _ := strconv.Atoi(mb)
	b, err := unix.Mmap(-1, 0, n<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return verdict(err)
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	time.Sleep(300 * time.Millisecond)
	return fmt.Sprint("shares ", n)
}

// memfd takes megabytes in a file that has no name and no process mapped.
func memfd(mb string) string {
	n, _ := strconv.Atoi(mb)
	fd, err := unix.MemfdCreate("a", 0)
	if err != nil {
		return verdict(err)
	}
	for block := make([]byte, 1<<20); n > 0 && err == nil; n-- {
		_, err = unix.Write(fd, block)
	}
	time.Sleep(300 * time.Millisecond)
	return verdict(err)
}
