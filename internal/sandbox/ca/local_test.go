package ca

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

func TestTheLocalAuthorityVouchesForThisMachineOnly(t *testing.T) {
	c := clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	made, err := NewLocal(c)
	if err != nil {
		t.Fatal(err)
	}
	key, cert, err := made.Export()
	if err != nil {
		t.Fatal(err)
	}
	a, err := Import(c, key, cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.Root())
	for _, host := range []string{"localhost", "abc.execute-api.localhost", "127.0.0.1", "::1"} {
		leaf, err := a.certificate(host)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool, CurrentTime: c.Now()}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"example.com", "dynamodb.us-east-1.amazonaws.com", "10.0.0.1", "notlocalhost", ""} {
		if _, err := a.certificate(host); err == nil {
			t.Errorf("it vouches for %q", host)
		}
	}
	// Whoever steals the key makes certificates that no verifier takes: the root is constrained.
	forged, err := a.mint("example.com", c.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forged.Leaf.Verify(x509.VerifyOptions{DNSName: "example.com", Roots: pool, CurrentTime: c.Now()}); err == nil {
		t.Error("a certificate for example.com verifies")
	}
	if _, err := Import(c, key, forged.Leaf.Raw); err == nil {
		t.Error("a key that is not the certificate's is taken")
	}
}
