// Package ca is the certificate authority of sandboxes: it vouches, to functions and to nobody else,
// that the door is dynamodb.eu-west-1.amazonaws.com.
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
	"os"
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

// Authority mints certificates. It is safe for concurrent use.
type Authority struct {
	clock clock.Clock
	root  *x509.Certificate
	key   *ecdsa.PrivateKey

	mu     sync.Mutex
	minted map[string]*tls.Certificate
}

// New makes an authority with a new key.
func New(c clock.Clock) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	now := c.Now()
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Bastide sandbox root", Organization: []string{"Bastide"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(rootLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: domains,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return &Authority{clock: c, root: root, key: key, minted: map[string]*tls.Certificate{}}, nil
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

var errName = errors.New("ca: the name is not one of AWS's")

// ServerConfig answers TLS handshakes with a certificate for the name that is asked for. A handshake
// for any other name than AWS's fails.
func (a *Authority) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.certificate(strings.ToLower(strings.TrimSuffix(hello.ServerName, ".")))
		},
	}
}

func (a *Authority) certificate(host string) (*tls.Certificate, error) {
	if !Covers(host) || len(host) > 253 {
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
		SerialNumber: serial(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife), DNSNames: []string{host},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
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
