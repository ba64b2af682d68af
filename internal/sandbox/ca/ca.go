// Package ca is Bastide's certificate authorities, each constrained to the names that it may vouch
// for: one for sandboxes, which tells functions and nobody else that the door is
// dynamodb.eu-west-1.amazonaws.com, and one for this machine's own names, which a user may trust.
//
// Code that ignores AWS_ENDPOINT_URL connects to AWS's own host names. Inside a sandbox these resolve
// to a door, and the door answers with a certificate of this authority. Its key exists in this
// process's memory alone and is made anew at each start; its root is constrained to AWS's names
// (RFC 5280, 4.2.1.10), so that even whoever stole the key could impersonate nothing else.
//
//	a, err := ca.New(clock)
//	os.WriteFile(path, a.Bundle(), 0o644) // public roots and ours, for SSL_CERT_FILE inside
//	l := tls.NewListener(door, a.ServerConfig())
package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// domains are AWS's, whose names the authority may vouch for.
var domains = []string{"amazonaws.com", "amazonaws.com.cn", "api.aws", "on.aws"}

// Covers tells whether a host name, in lower case and without a final dot, is one of AWS's.
func Covers(host string) bool {
	for _, d := range domains {
		if host == d || strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return false
}

const (
	rootLife = 10 * 365 * 24 * time.Hour // no process runs that long
	leafLife = 7 * 24 * time.Hour
	renew    = 24 * time.Hour // before its end, a certificate is minted anew
	maxNames = 1024           // a function asks for as many names as it likes
)

// scope is what an authority may vouch for.
type scope struct {
	name    string
	domains []string
	local   bool // loopback addresses too
}

var (
	sandboxes = scope{name: "Bastide sandbox root", domains: domains}
	machine   = scope{name: "Bastide localhost root", domains: []string{"localhost", "localhost.localstack.cloud"}, local: true}
)

func (s scope) covers(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return s.local && ip.IsLoopback()
	}
	return slices.ContainsFunc(s.domains, func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) })
}

// Authority mints certificates. It is safe for concurrent use.
type Authority struct {
	scope scope
	clock clock.Clock
	root  *x509.Certificate
	key   *ecdsa.PrivateKey

	mu     sync.Mutex
	minted map[string]*tls.Certificate
}

// New makes the authority of sandboxes, with a new key.
func New(c clock.Clock) (*Authority, error) { return newAuthority(c, sandboxes) }

// NewLocal makes the authority of this machine's own names, with a new key; Export and Import keep
// it from one start to the next.
func NewLocal(c clock.Clock) (*Authority, error) { return newAuthority(c, machine) }

// Export is the authority's key (PKCS #8) and certificate, both DER. The key is a secret.
func (a *Authority) Export() (key, cert []byte, err error) {
	key, err = x509.MarshalPKCS8PrivateKey(a.key)
	return key, a.root.Raw, err
}

// Import is the authority of this machine's own names as it was exported.
func Import(c clock.Clock, key, cert []byte) (*Authority, error) {
	root, err := x509.ParseCertificate(cert)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	k, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	ec, ok := k.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(root.PublicKey) {
		return nil, errors.New("ca: the key is not the certificate's")
	}
	return &Authority{scope: machine, clock: c, root: root, key: ec, minted: map[string]*tls.Certificate{}}, nil
}

func newAuthority(c clock.Clock, s scope) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	now := c.Now()
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: s.name, Organization: []string{"Bastide"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(rootLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: s.domains,
	}
	if s.local {
		t.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}, {IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)}}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return &Authority{scope: s, clock: c, root: root, key: key, minted: map[string]*tls.Certificate{}}, nil
}

func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

// systemBundles are where Linux systems keep their public roots.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// Bundle is what functions trust, as PEM: this machine's public roots, for the connections that a
// function is allowed to make, and the authority's own.
func (a *Authority) Bundle() []byte {
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
	for _, path := range systemBundles {
		if public, err := os.ReadFile(path); err == nil {
			return append(append(own, public...), '\n')
		}
	}
	return own
}

// Root is the authority's own certificate.
func (a *Authority) Root() *x509.Certificate { return a.root }

var errName = errors.New("ca: the name is not one that this authority may vouch for")

// ServerConfig answers TLS handshakes with a certificate for the name that is asked for, or for the
// address that was connected to where none is (RFC 6066 forbids addresses there). A handshake for
// a name that the authority may not vouch for fails.
func (a *Authority) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			host := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
			if host == "" && hello.Conn != nil {
				host, _, _ = net.SplitHostPort(hello.Conn.LocalAddr().String())
			}
			return a.certificate(host)
		},
	}
}

func (a *Authority) certificate(host string) (*tls.Certificate, error) {
	if len(host) > 253 || !a.scope.covers(host) {
		return nil, errName
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	if c := a.minted[host]; c != nil && now.Before(c.Leaf.NotAfter.Add(-renew)) {
		return c, nil
	}
	c, err := a.mint(host, now)
	if err != nil {
		return nil, err
	}
	if len(a.minted) >= maxNames {
		clear(a.minted)
	}
	a.minted[host] = c
	return c, nil
}

func (a *Authority) mint(host string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.root, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
