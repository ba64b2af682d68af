// Package way is the noun of a declared way out: which hosts and ports a function, or Bastide on
// somebody's behalf, may connect to over TCP. What no way names is not reached.
//
//	w, err := way.Parse("*.example.com:443")
//	w.Names("api.example.com") && w.Opens(443) // true
//
// A way is written as host and port:
//
//	db.example.com:5432            one host
//	*.example.com:443              every host below, not example.com itself; also ".example.com:443"
//	203.0.113.0/24:443             a block of addresses; "[2001:db8::/32]:443"
//	203.0.113.7:443                one address
//	0.0.0.0/0:443                  the internet: every public address, and so every name
//	api.example.com:8000-8010      a range of ports
//	private=db.corp:5432           a name that leads to a private network
//
// What names an address says itself whether it is a private network's; a name needs "private=" for
// that. No way leads to a link-local address or a cloud's metadata, and a loopback address is named
// as localhost, as a name below it, or as 127.0.0.1.
package way

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// MaxPorts is how many ports one way may open.
const MaxPorts = 64

// Way is one declared way out. Make it with Parse, or check it with Check.
type Way struct {
	Host     string       // lower case; "*.example.com" for every host below; empty if Net is given
	Net      netip.Prefix // addresses; the zero Prefix if Host is given
	From, To uint16       // ports
	Private  bool         // the host's name may lead to a private network
}

// Parse reads a way as it is written; see the package comment. Its errors complete a sentence that
// begins with what was read.
func Parse(text string) (Way, error) {
	rest, private := strings.CutPrefix(text, "private=")
	at := strings.LastIndexByte(rest, ':')
	if at < 0 {
		return Way{}, errors.New("is not host:port")
	}
	host, ports := strings.ToLower(rest[:at]), rest[at+1:]
	w := Way{Private: private}
	var err error
	if w.From, w.To, err = parsePorts(ports); err != nil {
		return Way{}, err
	}
	if strings.HasPrefix(host, ".") {
		host = "*" + host
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		inner, bracketed = strings.CutSuffix(inner, "]")
	}
	switch p, err := netip.ParsePrefix(inner); {
	case err == nil && bracketed == p.Addr().Is6():
		if p != p.Masked() {
			return Way{}, fmt.Errorf("has bits of an address beyond its block, which is %s", p.Masked())
		}
		w.Net = p
	default:
		if a, err := netip.ParseAddr(inner); err == nil && bracketed == a.Is6() && !a.IsLoopback() {
			if w.Net, err = a.Prefix(a.BitLen()); err != nil || a.Zone() != "" {
				return Way{}, errors.New("has a zone, which only this machine could mean")
			}
		} else {
			w.Host = host
		}
	}
	return w, w.Check()
}

func parsePorts(text string) (from, to uint16, err error) {
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		last = first
	}
	var n [2]uint16
	for i, s := range []string{first, last} {
		v, err := strconv.ParseUint(s, 10, 16)
		if err != nil || v == 0 || strconv.FormatUint(v, 10) != s {
			return 0, 0, errors.New("is not host:port")
		}
		n[i] = uint16(v)
	}
	return n[0], n[1], nil
}

// Check says what is wrong with a way, as Parse words it.
func (w Way) Check() error {
	switch {
	case w.From == 0 || w.To < w.From:
		return errors.New("has no port between 1 and 65535, or a range that ends before it begins")
	case int(w.To-w.From) >= MaxPorts:
		return fmt.Errorf("opens %d ports, more than %d", int(w.To-w.From)+1, MaxPorts)
	case w.Net.IsValid() == (w.Host != ""):
		return errors.New("needs either a host or a block of addresses")
	case w.Net.IsValid():
		return w.checkNet()
	}
	return w.checkHost()
}

func (w Way) checkNet() error {
	a := w.Net.Addr()
	switch {
	case a.Zone() != "" || a.Is4In6():
		return errors.New("is no plain block of addresses")
	case a.IsLoopback():
		return errors.New("is this machine; name it as localhost, below localhost, or as 127.0.0.1")
	case a.IsLinkLocalUnicast():
		return errors.New("is link-local, where clouds answer for their metadata; nothing leads there")
	case NowhereOf(w.Net) == Metadata:
		return errMetadata
	case a.IsMulticast() || NowhereOf(w.Net) == Unusable:
		return errors.New("is no block that a connection leads to")
	}
	return nil
}

// metadata are the names by which clouds answer for their metadata: Google Cloud, Amazon EC2, Azure, Tencent
// Cloud, Equinix Metal by two names, IBM Cloud, CloudStack's virtual router and Rancher.
var metadata = map[string]bool{"metadata": true, "metadata.google.internal": true, "metadata.goog": true,
	"instance-data": true, "instance-data.ec2.internal": true, "metadata.azure.internal": true, "metadata.tencentyun.com": true,
	"metadata.packet.net": true, "metadata.platformequinix.com": true, "api.metadata.cloud.ibm.com": true,
	"data-server": true, "rancher-metadata": true}

var errMetadata = errors.New("is where a cloud answers for its metadata; nothing leads there")

// IsMetadata tells whether a lower-case name is one by which a cloud answers for its metadata, or below one.
func IsMetadata(host string) bool {
	if metadata[host] {
		return true
	}
	for _, below, ok := strings.Cut(host, "."); ok; _, below, ok = strings.Cut(below, ".") {
		if metadata[below] && strings.Contains(below, ".") { // "metadata" alone may be somebody's own zone
			return true
		}
	}
	return false
}

func (w Way) checkHost() error {
	name, wild := strings.CutPrefix(w.Host, "*.")
	switch {
	case w.Host == "127.0.0.1" || w.Host == "localhost" || strings.HasSuffix(w.Host, ".localhost"):
		if w.Private {
			return errors.New("is this machine, not a private network")
		}
		if wild || strings.HasPrefix(w.Host, "*") {
			return errors.New("is this machine by every name; name one")
		}
	case IsMetadata(name):
		return errMetadata
	case numeric(name):
		return errors.New("is an address that is not written as one")
	}
	if w.Host != "127.0.0.1" && !IsName(name) {
		return errors.New("is not the name of one host, or of all below one as *.example.com")
	}
	return nil
}

// numeric tells a name that resolvers of the C library take for an address in another form (inet_aton:
// "127.1", "0x7f000001", "2130706433"): its last label begins with a digit.
func numeric(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" || last[0] < '0' || last[0] > '9' {
		return false
	}
	_, err := strconv.ParseUint(last, 0, 64)
	return err == nil || strings.Trim(last, "0123456789") == ""
}

// IsName tells a lower-case host name (RFC 1123, with underscores) from patterns and the like.
func IsName(host string) bool {
	if host == "" || len(host) > 253 || numeric(host) {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// String is the way as Parse reads it.
func (w Way) String() string {
	host := w.Host
	if w.Net.IsValid() {
		host = w.Net.String()
		if w.Net.IsSingleIP() {
			host = w.Net.Addr().String()
		}
		if w.Net.Addr().Is6() {
			host = "[" + host + "]"
		}
	}
	if w.Private {
		host = "private=" + host
	}
	host += ":" + strconv.Itoa(int(w.From))
	if w.To != w.From {
		host += "-" + strconv.Itoa(int(w.To))
	}
	return host
}

// Names reports whether the way is for a host of this lower-case name.
func (w Way) Names(host string) bool {
	if below, ok := strings.CutPrefix(w.Host, "*"); ok {
		return strings.HasSuffix(host, below) && len(host) > len(below)
	}
	return w.Host != "" && w.Host == host || w.Internet()
}

// Internet reports whether the way leads to every public address, and so to every name that has one.
func (w Way) Internet() bool { return w.Net.IsValid() && w.Net.Bits() == 0 }

// Wild reports whether the way is for more than one name or address.
func (w Way) Wild() bool { return w.Net.IsValid() || strings.HasPrefix(w.Host, "*") }

// Opens reports whether the way has this port.
func (w Way) Opens(port int) bool { return port >= int(w.From) && port <= int(w.To) }
