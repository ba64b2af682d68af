package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// budgetActs take all that there is of what the kernel counts by user, and wait.
var budgetActs = map[string]func([]string) string{
	"watches": func([]string) string { return take(func() error { _, err := unix.InotifyInit1(0); return err }) },
	"timers": func([]string) string {
		return take(func() error { // each holds a signal
			var id int32
			return sys(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&id)))()
		})
	},
}

// take has one more until there is none, of at most 1,000.
func take(one func() error) string {
	n := 0
	var err error
	for n < 1000 {
		if err = one(); err != nil {
			break
		}
		n++
	}
	fmt.Println(n > 10, verdict(err))
	return forever()
}
