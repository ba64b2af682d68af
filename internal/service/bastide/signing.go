package bastide

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// signingProfile is a version of a signing profile: a name for whoever holds the key that code is
// signed with. Private keys are never here. Each key is a version of its own.
type signingProfile struct {
	Name, Version string
	Key           string // PEM, "PUBLIC KEY"
	Created       time.Time
	By            string // ARN
	Revoked       time.Time
	Reason        string
}

// profileKey names a version of a signing profile.
type profileKey struct{ account, region, name, version string }

const profileResource = "/signing-profiles/"

func (k profileKey) arn() string {
	resource := profileResource + k.name
	if k.version != "" {
		resource += "/" + k.version
	}
	return arn.New("signer", k.region, k.account, resource).String()
}

func parseProfile(text string) (profileKey, error) {
	a, err := arn.Parse(text)
	rest, ok := strings.CutPrefix(a.Resource, profileResource)
	name, version, two := strings.Cut(rest, "/")
	if err != nil || a.Service != "signer" || !ok || !two || name == "" || version == "" || strings.Contains(version, "/") {
		return profileKey{}, awserr.New("InvalidRequestException", 400, "%q is not the ARN of a version of a signing profile.", text)
	}
	return profileKey{a.Account, a.Region, name, version}, nil
}

// needProfile is an action on a profile of the caller's account.
func needProfile[In any](action string, name func(*In) string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		k := profileKey{account: a.Account(), region: a.Region(), name: name(in)}
		return []gate.Need{{Action: "bastide:" + action, Resource: k.arn()}}, nil
	}
}

// readers lets Lambda read the keys that it holds signatures against.
const readers = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"bastide:GetSigningProfile","Resource":"*"}]}`

func needProfileKey(a *gate.Ask, in *bastide.GetSigningProfileInput) ([]gate.Need, error) {
	k, err := parseProfile(in.ProfileVersionArn)
	if err != nil {
		return nil, err
	}
	p, err := a.Policy(policy.Resource, readers)
	return []gate.Need{{Action: "bastide:GetSigningProfile", Resource: in.ProfileVersionArn, Account: k.account,
		Policy: &policy.Attached{Policy: p, Name: "signing-profiles", ARN: in.ProfileVersionArn, Where: "the policy of signing profiles"}}}, err
}

func (s *Service) putSigningProfile(c *gate.Call, in *bastide.PutSigningProfileInput) (*bastide.PutSigningProfileOutput, error) {
	text, err := signingKey(in.PublicKey)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(in.ProfileName + "\n" + text))
	k := profileKey{c.Account(), c.Region(), in.ProfileName, hex.EncodeToString(sum[:])[:10]}
	p := signingProfile{Name: k.name, Version: k.version, Key: text, Created: c.Now(), By: c.Principal().ARN()}
	return gate.Commit(c, func(tx *store.Tx) (*bastide.PutSigningProfileOutput, error) {
		had, ok, err := signingProfiles().Get(tx, profileRow(k))
		switch {
		case err != nil:
			return nil, err
		case ok && had.Key != text:
			return nil, awserr.New("InvalidRequestException", 409, "Another key of the profile has the version %s; take another key.", k.version)
		case ok: // what was revoked stays so
			return &bastide.PutSigningProfileOutput{Profile: had.show(k)}, nil
		}
		return &bastide.PutSigningProfileOutput{Profile: p.show(k)}, signingProfiles().Put(tx, profileRow(k), p)
	})
}

// signingKey is a public key in one form.
func signingKey(text string) (string, error) {
	bad := awserr.New("InvalidRequestException", 400, "The public key is no PEM block of a key of P-256, P-384 or Ed25519.")
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" {
		return "", bad
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return "", bad
	}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return "", bad
		}
	case ed25519.PublicKey:
	default:
		return "", bad
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: block.Bytes})), nil
}

func (p signingProfile) show(k profileKey) *bastide.SigningProfile {
	out := &bastide.SigningProfile{ProfileName: &p.Name, ProfileVersion: &p.Version, ProfileVersionArn: new(k.arn()), PublicKey: &p.Key, Created: &p.Created, By: &p.By, Status: new("Active")}
	if !p.Revoked.IsZero() {
		out.Status, out.Revoked, out.Reason = new("Revoked"), &p.Revoked, &p.Reason
	}
	return out
}

func (s *Service) getSigningProfile(c *gate.Call, in *bastide.GetSigningProfileInput) (*bastide.GetSigningProfileOutput, error) {
	k, err := parseProfile(in.ProfileVersionArn)
	if err != nil {
		return nil, err
	}
	var p signingProfile
	err = c.View(func(tx *store.Tx) (err error) {
		p, err = profileOf(tx, k)
		return err
	})
	return &bastide.GetSigningProfileOutput{Profile: p.show(k)}, err
}

func profileOf(tx *store.Tx, k profileKey) (signingProfile, error) {
	p, ok, err := signingProfiles().Get(tx, profileRow(k))
	if err == nil && !ok {
		err = awserr.New("NotFoundException", 404, "There is no signing profile %s.", k.arn())
	}
	return p, err
}

func (s *Service) listSigningProfiles(c *gate.Call, _ *bastide.ListSigningProfilesInput) (*bastide.ListSigningProfilesOutput, error) {
	out := &bastide.ListSigningProfilesOutput{}
	err := c.View(func(tx *store.Tx) error {
		out.Profiles = []bastide.SigningProfile{}
		for e, err := range signingProfiles().Scan(tx, store.K(c.Account(), c.Region()), store.Range{}) {
			if err != nil {
				return err
			}
			out.Profiles = append(out.Profiles, *e.Value.show(profileKey{c.Account(), c.Region(), e.Value.Name, e.Value.Version}))
		}
		return nil
	})
	slices.SortStableFunc(out.Profiles, func(a, b bastide.SigningProfile) int {
		if n := strings.Compare(*a.ProfileName, *b.ProfileName); n != 0 {
			return n
		}
		return a.Created.Compare(*b.Created)
	})
	return out, err
}

func (s *Service) revokeSigningProfile(c *gate.Call, in *bastide.RevokeSigningProfileInput) (*bastide.RevokeSigningProfileOutput, error) {
	k := profileKey{c.Account(), c.Region(), in.ProfileName, in.ProfileVersion}
	from := c.Now()
	if t := wire.Val(in.EffectiveTime); !t.IsZero() {
		if t.After(from) {
			return nil, awserr.New("InvalidRequestException", 400, "The effective time of a revocation is not in the future.")
		}
		from = t
	}
	return gate.Commit(c, func(tx *store.Tx) (*bastide.RevokeSigningProfileOutput, error) {
		p, err := profileOf(tx, k)
		if err != nil {
			return nil, err
		}
		if p.Revoked.IsZero() || from.Before(p.Revoked) { // never later than it was said before
			p.Revoked = from
		}
		p.Reason = in.Reason
		return &bastide.RevokeSigningProfileOutput{Profile: p.show(k)}, signingProfiles().Put(tx, profileRow(k), p)
	})
}
