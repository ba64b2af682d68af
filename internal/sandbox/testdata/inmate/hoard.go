package main

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// hoardActs fill sockets and do not read from them.
var hoardActs = map[string]func([]string) string{
	"hoard": func(a []string) string {
		want, _ := strconv.Atoi(a[1])
		fill := map[string]func() (int, error){"udp": hoardDatagrams, "tcp": hoardStream}[a[0]]
		held := 0
		for held < want<<20 {
			n, err := fill()
			held += n
			if err != nil {
				break
			}
		}
		fmt.Println(held >> 20)
		return ""
	},
}

// hoardDatagrams has one socket hold what it can, and gives how many bytes that is; with an error when it holds none
// or there is no other socket.
func hoardDatagrams() (int, error) {
	to, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	_ = unix.SetsockoptInt(to, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20) // as much as there may be
	if err := unix.Bind(to, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	at, err := unix.Getsockname(to)
	if err != nil {
		return 0, err
	}
	from, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(from)
	for range 200 { // more than it can hold: the rest is dropped
		_ = unix.Sendto(from, make([]byte, 60000), 0, at)
	}
	var info [9]uint32 // SK_MEMINFO_*, of which the first is what waits to be read
	size := uint32(len(info) * 4)
	if err := getsockopt(to, unix.SO_MEMINFO, info[:], &size); err != nil {
		return 0, err
	}
	if info[0] < 60000 {
		return 0, errors.New("full")
	}
	return int(info[0]), nil
}

// hoardStream has one connection hold what it can.
func hoardStream() (int, error) {
	a, _, err := unsent()
	if err != nil {
		return 0, err
	}
	waits, err := unix.IoctlGetInt(a, unix.SIOCOUTQ)
	if err != nil {
		return 0, err
	}
	if waits < 60000 {
		return 0, errors.New("full")
	}
	return waits, nil
}
