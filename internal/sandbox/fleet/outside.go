package fleet

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/ca"
	"github.com/bastide-cloud/bastide/internal/sandbox/extension"
)

// Limits of what one function declares and uses. Doors are sockets that travel in one frame, beside
// Bastide's own; names are memory.
const (
	MaxDoors = 200
	maxNames = 1024
)

// outside is what a function may reach: the names that it finds inside, and the doors that lead to them.
//
// A host that is declared by name has an address of its own, 127.0.1.1 and on, and a door for each of its
// ports there. A pattern or a block of addresses has a door at every address of its ports, which tells
// by the address that was connected to what is meant: the address itself, or the name that was given
// it, 127.64.0.1 and on, when it was asked for.
type outside struct {
	ways  []way.Way
	doors []wayDoor

	mu    sync.Mutex
	named map[string]netip.Addr
	names map[netip.Addr]string
	given uint32                   // names that have been given an address
	used  *list.List               // of them, those that are known: strings, the last used first
	at    map[string]*list.Element // where they are in used
}

// wayDoor is one door that leads out. host is empty where the connection's local address tells it.
type wayDoor struct {
	host string
	at   netip.AddrPort
}

func (d wayDoor) name() string { return doorRoute + d.at.String() }

func (d wayDoor) spec() sandbox.DoorSpec {
	return sandbox.DoorSpec{Name: d.name(), Network: "tcp", Address: d.at.String()}
}

// CheckWays says why a function cannot have these ways together.
func CheckWays(ways []way.Way) error {
	_, err := newOutside(ways)
	return err
}

// loopback is where AWS's API has its doors inside.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// newOutside plans the doors of ways.
func newOutside(ways []way.Way) (*outside, error) {
	o := &outside{ways: ways, named: map[string]netip.Addr{}, names: map[netip.Addr]string{}, used: list.New(), at: map[string]*list.Element{}}
	for _, w := range ways {
		if err := w.Check(); err != nil {
			return nil, fmt.Errorf("fleet: the way %q %w", w, err)
		}
		at := netip.IPv4Unspecified()
		switch {
		case w.Net.IsValid() && w.Net.Addr().Is6():
			at = netip.IPv6Unspecified()
		case !w.Wild():
			var err error
			if at, err = o.settle(w.Host); err != nil {
				return nil, err
			}
		}
		for port := int(w.From); port <= int(w.To); port++ {
			d := wayDoor{at: netip.AddrPortFrom(at, uint16(port))}
			if !w.Wild() {
				d.host = w.Host
			}
			if !slices.ContainsFunc(o.doors, func(had wayDoor) bool { return had.at == d.at }) {
				o.doors = append(o.doors, d)
			}
		}
		if len(o.doors) > MaxDoors {
			return nil, fmt.Errorf("fleet: the ways open more than %d doors; a port of a pattern or a block is one, and so is each port of a host", MaxDoors)
		}
	}
	return o, nil
}

// settle gives a host that is declared by name its address.
func (o *outside) settle(host string) (netip.Addr, error) {
	if at, ok := o.named[host]; ok {
		return at, nil
	}
	at := netip.AddrFrom4([4]byte{127, 0, 1, byte(len(o.named) + 1)})
	if host == "localhost" || host == loopback.String() {
		at = loopback
	} else if len(o.named) >= 250 {
		return at, errors.New("fleet: the ways name more than 250 hosts")
	}
	o.named[host] = at
	if o.names[at] == "" {
		o.names[at] = host
	}
	return at, nil
}

// specs are its doors, for a Spec or a Delivery.
func (o *outside) specs() (doors []sandbox.DoorSpec) {
	for _, d := range o.doors {
		doors = append(doors, d.spec())
	}
	return doors
}

// lead serves names, and carries what comes to the doors of the ways out, until the sandbox has ended.
// It needs i.fn, i.outside and i.box.
func (i *instance) lead(doors map[string]sandbox.Door) {
	go resolver{i.outside.lookup, i.refused}.serve(doors[doorDNS].Packet)
	for _, d := range i.outside.doors {
		if l := doors[d.name()].Listener; l != nil { // none for IPv6 on a machine without
			go i.forward(d, l)
		}
	}
	if sight := doors[doorWatch].Watch; sight != nil {
		go i.watch(sight)
	}
}

// errMetadata is why a name has no address, whatever is declared.
var errMetadata = errors.New("it is where a cloud answers for its metadata, which nothing reaches")

// lookup is the address of a name inside the sandbox; the zero address if nothing declares it. Of those
// below a pattern the last used are known. An address that a name had is not given to another before
// millions have been asked for, so that who still has it reaches nothing rather than somebody else.
func (o *outside) lookup(host string) (netip.Addr, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, ok := o.named[host]; ok {
		o.use(host)
		return at, nil
	}
	if way.IsMetadata(host) {
		return netip.Addr{}, errMetadata
	}
	if slices.Contains(strings.Fields(extension.Hosts), host) || ca.Covers(host) || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return loopback, nil
	}
	if !way.IsName(host) || !slices.ContainsFunc(o.ways, func(w way.Way) bool { return w.Names(host) }) {
		return netip.Addr{}, nil
	}
	if o.used.Len() >= maxNames {
		oldest := o.used.Remove(o.used.Back()).(string)
		delete(o.names, o.named[oldest])
		delete(o.named, oldest)
		delete(o.at, oldest)
	}
	o.given++
	at := netip.AddrFrom4([4]byte{127, 64 | byte(o.given>>16)&0x3f, byte(o.given >> 8), byte(o.given)})
	o.named[host], o.names[at], o.at[host] = at, host, o.used.PushFront(host)
	return at, nil
}

// use notes that a name was used.
func (o *outside) use(host string) {
	if e := o.at[host]; e != nil {
		o.used.MoveToFront(e)
	}
}

// meant is the host that a connection to an address inside is for.
func (o *outside) meant(at netip.Addr) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	at = at.Unmap()
	if name, ok := o.names[at]; ok {
		o.use(name)
		return name
	}
	return at.String()
}

// open tells whether a door takes connections to an address.
func (o *outside) open(at netip.AddrPort) bool {
	return slices.ContainsFunc(o.doors, func(d wayDoor) bool {
		return d.at.Port() == at.Port() && (d.at.Addr() == at.Addr() || d.at.Addr().IsUnspecified() && d.at.Addr().Is4() == at.Addr().Is4())
	})
}

// shares tells whether a function that finds nothing at one of the sandbox's own addresses may have meant
// this machine: where it has a way to it, and none to this port.
func (o *outside) shares(at netip.AddrPort) bool {
	return !o.open(netip.AddrPortFrom(loopback, at.Port())) && slices.ContainsFunc(o.ways, func(w way.Way) bool {
		return w.Host == loopback.String() || w.Host == "localhost" || strings.HasSuffix(w.Host, ".localhost")
	})
}

// target is where what arrives at a door is to go.
func (o *outside) target(d wayDoor, local net.Addr) string {
	host := d.host
	if tcp, ok := local.(*net.TCPAddr); ok && host == "" {
		host = o.meant(tcp.AddrPort().Addr())
	}
	return net.JoinHostPort(host, strconv.Itoa(int(d.at.Port())))
}
