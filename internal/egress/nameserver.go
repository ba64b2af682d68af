package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// NameServer resolves names by one server, at "address:port". Without one, give a Policy
// net.DefaultResolver, which asks as the machine does.
func NameServer(at string) (Resolver, error) {
	to, err := netip.ParseAddrPort(at)
	if err != nil || to.Port() == 0 {
		return nil, fmt.Errorf("egress: the name server %q is not an address with a port, such as 10.0.0.2:53", at)
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return asked{to.String(), &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, to.String())
	}}}, nil
}

// asked is a resolver by one server, which its errors name: net's own name the machine's, which was not
// asked.
type asked struct {
	server string
	*net.Resolver
}

// LookupNetIP implements Resolver.
func (a asked) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	found, err := a.Resolver.LookupNetIP(ctx, network, host)
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		told := *e
		told.Server = a.server
		err = &told
	}
	return found, err
}
