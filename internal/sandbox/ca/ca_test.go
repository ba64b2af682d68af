package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

func authority(t *testing.T) (*Authority, *clock.Manual) {
	t.Helper()
	c := clock.NewManual(time.Now())
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

// shake makes a TLS connection for a name, trusting the bundle alone.
func shake(t *testing.T, a *Authority, name string) error {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.Bundle()) {
		t.Fatal("the bundle holds no certificate")
	}
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := tls.Server(there, a.ServerConfig())
		if s.Handshake() == nil {
			_, _ = s.Write([]byte("hi")) // the other side checks
		}
		there.Close()
	}()
	defer func() { here.Close(); <-done }()
	c := tls.Client(here, &tls.Config{RootCAs: pool, ServerName: name})
	if err := c.Handshake(); err != nil {
		return err
	}
	b := make([]byte, 2)
	_, err := io.ReadFull(c, b)
	return err
}

func TestAuthorityVouchesForAWSNamesOnly(t *testing.T) {
	a, _ := authority(t)
	for _, name := range []string{"dynamodb.eu-west-1.amazonaws.com", "my.bucket.s3.amazonaws.com", "amazonaws.com", "s3.dualstack.us-east-1.api.aws", "STS.amazonaws.com"} {
		if err := shake(t, a, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"example.com", "amazonaws.com.example.com", "evilamazonaws.com", "localhost"} {
		if err := shake(t, a, name); err == nil {
			t.Errorf("%s was vouched for", name)
		}
	}
}

// Whoever stole the key could not impersonate another host: the constraint is in the root itself.
func TestStolenKeyIsWorthNothingElsewhere(t *testing.T) {
	a, _ := authority(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, want := range map[string]bool{"bank.example": false, "sqs.amazonaws.com": true} {
		tmpl := &x509.Certificate{SerialNumber: serial(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{name}}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, a.root, key.Public(), a.key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(a.Root())
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); (err == nil) != want {
			t.Errorf("%s: verified with %v", name, err)
		}
	}
}

func TestCertificatesAreKeptAndRenewed(t *testing.T) {
	a, c := authority(t)
	get := func(name string) *tls.Certificate {
		t.Helper()
		got, err := a.certificate(name)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := get("sqs.amazonaws.com")
	if get("sqs.amazonaws.com") != first {
		t.Error("minted twice")
	}
	c.Advance(leafLife - renew)
	if again := get("sqs.amazonaws.com"); again == first || !again.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Error("not renewed before its end")
	}
	for i := range maxNames + 10 {
		get(string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + ".amazonaws.com")
	}
	if len(a.minted) > maxNames {
		t.Errorf("%d certificates are kept", len(a.minted))
	}
}

func TestBundleHoldsOursAndTheMachines(t *testing.T) {
	a, _ := authority(t)
	b := a.Bundle()
	block, rest := pem.Decode(b)
	if block == nil || !bytes.Equal(block.Bytes, a.Root().Raw) {
		t.Fatal("ours is not the first")
	}
	for len(bytes.TrimSpace(rest)) > 0 {
		if block, rest = pem.Decode(rest); block == nil {
			break // a comment at the end
		}
		if block.Type != "CERTIFICATE" {
			t.Errorf("the bundle holds a %s", block.Type)
		}
	}
}
