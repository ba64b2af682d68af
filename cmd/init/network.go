package main

import (
	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// backlog is how many connections may wait at a door.
const backlog = 1024

// loopbackUp brings up the one interface of the network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return wrap("open a socket for loopback", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return wrap("name loopback", err)
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return wrap("bring loopback up", err)
	}
	return everywhere()
}

// openDoors opens the listening sockets, in the given order.
func openDoors(doors []control.Door) ([]int, error) {
	var fds []int
	for _, d := range doors {
		fd, err := openDoor(d)
		if err != nil {
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func openDoor(d control.Door) (int, error) {
	if d.Watch {
		return openWatch()
	}
	family, addr := sockaddr(d)
	if addr == nil {
		return -1, wrap("open a door: no address", nil)
	}
	kind := unix.SOCK_STREAM
	if d.Datagram {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, wrap("open a door's socket", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return -1, wrap("prepare a door's socket", err)
	}
	if d.Shared {
		// without this the kernel lets no door listen at one address of a port and another at all of them
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return -1, wrap("share a door's port", err)
		}
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return -1, wrap("keep a door to IPv6", err)
		}
	}
	if err := unix.Bind(fd, addr); err != nil {
		return -1, wrap("bind a door", err)
	}
	if d.Datagram {
		return fd, nil
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return -1, wrap("listen at a door", err)
	}
	return fd, nil
}

func sockaddr(d control.Door) (int, unix.Sockaddr) {
	switch len(d.IP) {
	case 4:
		a := &unix.SockaddrInet4{Port: int(d.Port)}
		copy(a.Addr[:], d.IP)
		return unix.AF_INET, a
	case 16:
		a := &unix.SockaddrInet6{Port: int(d.Port)}
		copy(a.Addr[:], d.IP)
		return unix.AF_INET6, a
	}
	return 0, nil
}
