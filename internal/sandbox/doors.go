package sandbox

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// doorsOf are the wire forms of doors. Those that share a port with a door at every address say so; in a
// sandbox to which more doors may come late, all may have to.
func doorsOf(specs []DoorSpec, late bool) ([]control.Door, error) {
	type place struct {
		datagram bool
		port     uint16
	}
	everywhere := map[place]bool{}
	var doors []control.Door
	for _, spec := range specs {
		d, err := spec.door()
		if err != nil {
			return nil, err
		}
		if ip, ok := netip.AddrFromSlice([]byte(d.IP)); ok && ip.IsUnspecified() {
			everywhere[place{d.Datagram, d.Port}] = true
		}
		doors = append(doors, d)
	}
	for i := range doors {
		d := &doors[i]
		d.Shared = !d.Watch && (everywhere[place{d.Datagram, d.Port}] || late && !d.Datagram)
	}
	return doors, nil
}

// openable leaves out the doors of IPv6 on a machine without it, where nothing could come to them.
func openable(specs []DoorSpec) []DoorSpec {
	six := func(d DoorSpec) bool {
		at, err := netip.ParseAddrPort(d.Address)
		return err == nil && at.Addr().Is6()
	}
	if !slices.ContainsFunc(specs, six) {
		return specs
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil && unix.Close(fd) == nil {
		return specs
	}
	return slices.DeleteFunc(slices.Clone(specs), six)
}
