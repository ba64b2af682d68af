package bastide

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
)

func keyText(t *testing.T, key any) string {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b}))
}

func TestSigningProfiles(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	one, _, err := ed25519.GenerateKey(nil)
	r.check(err)
	two, _, err := ed25519.GenerateKey(nil)
	r.check(err)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	r.check(err)
	for _, bad := range []string{"x", keyText(t, &weak.PublicKey), keyText(t, one) + "more"} {
		if _, err := r.PutSigningProfile(ctx, &bastide.PutSigningProfileInput{ProfileName: "release", PublicKey: bad}); err == nil || !strings.Contains(err.Error(), "P-256") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	put := func(key ed25519.PublicKey) *bastide.SigningProfile {
		t.Helper()
		out, err := r.PutSigningProfile(ctx, &bastide.PutSigningProfileInput{ProfileName: "release", PublicKey: keyText(t, key)})
		r.check(err)
		return out.Profile
	}
	first, again, second := put(one), put(one), put(two)
	if *first.ProfileVersionArn != *again.ProfileVersionArn || *first.ProfileVersionArn == *second.ProfileVersionArn ||
		!strings.HasPrefix(*first.ProfileVersionArn, "arn:aws:signer:") || !strings.Contains(*first.ProfileVersionArn, ":"+account+":/signing-profiles/release/") {
		t.Errorf("%s, %s, %s", *first.ProfileVersionArn, *again.ProfileVersionArn, *second.ProfileVersionArn)
	}
	got, err := r.GetSigningProfile(ctx, &bastide.GetSigningProfileInput{ProfileVersionArn: *second.ProfileVersionArn})
	r.check(err)
	if *got.Profile.PublicKey != keyText(t, two) || *got.Profile.Status != "Active" {
		t.Errorf("%+v", got.Profile)
	}
	for _, name := range []string{"release", strings.Replace(*first.ProfileVersionArn, "release", "other", 1)} {
		if _, err := r.GetSigningProfile(ctx, &bastide.GetSigningProfileInput{ProfileVersionArn: name}); err == nil {
			t.Errorf("%s was found", name)
		}
	}

	revoke := func(at *time.Time) (*bastide.RevokeSigningProfileOutput, error) {
		return r.RevokeSigningProfile(ctx, &bastide.RevokeSigningProfileInput{ProfileName: "release", ProfileVersion: *first.ProfileVersion, EffectiveTime: at, Reason: "lost"})
	}
	if _, err := revoke(new(r.clock.Now().Add(time.Hour))); err == nil {
		t.Error("revoked from tomorrow on")
	}
	early := r.clock.Now().Add(-time.Hour)
	_, err = revoke(&early)
	r.check(err)
	out, err := revoke(nil) // never later than it was said before
	r.check(err)
	if *out.Profile.Status != "Revoked" || !out.Profile.Revoked.Equal(early) || *out.Profile.Reason != "lost" {
		t.Errorf("%+v", out.Profile)
	}
	if p := put(one); *p.Status != "Revoked" {
		t.Error("to register it again brings it back")
	}
	list, err := r.ListSigningProfiles(ctx, &bastide.ListSigningProfilesInput{})
	r.check(err)
	if len(list.Profiles) != 2 {
		t.Errorf("%+v", list.Profiles)
	}

	// Lambda may read a key, and do nothing else; another service may not.
	as := func(service string) bastide.Client {
		return bastide.Client{Caller: gate.Client{Gate: r.gate, Principal: identity.Service(service, account), Region: strings.Split(*first.ProfileVersionArn, ":")[3], Account: account}}
	}
	_, err = as("lambda.amazonaws.com").GetSigningProfile(ctx, &bastide.GetSigningProfileInput{ProfileVersionArn: *first.ProfileVersionArn})
	r.check(err)
	if _, err = as("s3.amazonaws.com").GetSigningProfile(ctx, &bastide.GetSigningProfileInput{ProfileVersionArn: *first.ProfileVersionArn}); err == nil {
		t.Error("another service reads a key")
	}
	if _, err = as("lambda.amazonaws.com").PutSigningProfile(ctx, &bastide.PutSigningProfileInput{ProfileName: "release", PublicKey: keyText(t, one)}); err == nil {
		t.Error("Lambda registers a key")
	}
}
