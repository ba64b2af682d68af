package egress

import (
	"context"
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
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, to.String())
	}}, nil
}
