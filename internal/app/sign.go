package app

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	bastideapi "github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// signingProfiles reads the keys of signing profiles, at the door, as Lambda.
type signingProfiles struct{ s *Server }

func (p signingProfiles) Publisher(ctx context.Context, profileVersionARN string) (*lambda.Publisher, error) {
	a, err := arn.Parse(profileVersionARN)
	if err != nil {
		return nil, nil // no profile has it
	}
	c := bastideapi.Client{Caller: gate.Client{Gate: p.s.gate, Principal: identity.Service(lambdaPrincipal, a.Account), Region: a.Region, Account: a.Account}}
	out, err := c.GetSigningProfile(ctx, &bastideapi.GetSigningProfileInput{ProfileVersionArn: profileVersionARN})
	if awserr.Is(err, "NotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := publicKey(wire.Val(out.Profile.PublicKey))
	return &lambda.Publisher{Key: key, Revoked: wire.Val(out.Profile.Revoked)}, err
}

func publicKey(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the key is no PEM block")
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

// Signing is a package to be signed.
type Signing struct {
	Archive, Out string
	Profile      string // name; its key is registered where it is not yet
	ProfileARN   string // of a version that is registered: no server is asked
	Key          string // file of the private key; "" for the profile's own below the data directory
	Data         string
	Valid        time.Duration // 0: for ever
}

// Sign signs a deployment package and writes it to Out. connect is called only where the profile is
// given by name.
func Sign(ctx context.Context, s Signing, t Terminal, connect func() (*Remote, error)) error {
	key, err := s.key()
	if err != nil {
		return err
	}
	profile := s.ProfileARN
	if profile == "" {
		r, err := connect()
		if err != nil {
			return err
		}
		p, err := r.register(ctx, s.Profile, key.Public())
		if err != nil {
			return err
		}
		profile = p.ProfileVersionArn
	}
	if _, err := arn.Parse(profile); err != nil {
		return fmt.Errorf("--profile-arn: %w", err)
	}
	archive, err := os.ReadFile(s.Archive)
	if err != nil {
		return err
	}
	now := time.Now()
	c := pack.Claims{Profile: profile, Job: profile[:strings.LastIndex(profile, ":")] + ":/signing-jobs/" + ids.Source{}.UUID(), Signed: now.Unix()}
	if s.Valid > 0 {
		c.Expires = now.Add(s.Valid).Unix()
	}
	signed, err := pack.Sign(archive, c, key, pack.Limits{Unzipped: pack.MaxUnzipped, Entries: pack.MaxEntries})
	if err != nil {
		return fmt.Errorf("%s: %w", s.Archive, err)
	}
	out := s.Out
	if out == "" {
		out = strings.TrimSuffix(s.Archive, ".zip") + ".signed.zip"
	}
	if err := os.WriteFile(out, signed, 0o644); err != nil {
		return err
	}
	if t.JSON {
		return t.Print(map[string]string{"archive": out, "profileVersionArn": profile, "signingJobArn": c.Job})
	}
	return t.Line("%s is signed by %s", out, profile)
}

// key reads the private key; a profile's own is made with its first signature.
func (s Signing) key() (crypto.Signer, error) {
	file := s.Key
	if file == "" {
		if s.Profile == "" {
			return nil, errors.New("--profile names the signing profile, or --key and --profile-arn a key and its version")
		}
		if strings.Trim(s.Profile, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return nil, fmt.Errorf("--profile %q is not of letters, digits and underscores", s.Profile)
		}
		file = filepath.Join(s.Data, "signing", s.Profile+".pem")
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && s.Key == "" {
		return newKey(file)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	}
	key, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds no private key of P-256, P-384 or Ed25519", file)
	}
	return key, nil
}

func newKey(file string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	err = errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}), 0o600))
	return key, err
}

// profileRow is a signing profile as the server shows it.
type profileRow struct {
	ProfileName       string `json:"profileName"`
	ProfileVersion    string `json:"profileVersion"`
	ProfileVersionArn string `json:"profileVersionArn"`
	Status            string `json:"status"`
	By                string `json:"by"`
	Reason            string `json:"reason,omitempty"`
}

const profilesPath = "/_bastide/v1/signing-profiles"

// register gives the server a profile's key, which is nothing new where it has it.
func (r *Remote) register(ctx context.Context, profile string, key crypto.PublicKey) (p profileRow, err error) {
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return p, err
	}
	var out struct{ Profile profileRow }
	in := map[string]string{"PublicKey": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b}))}
	err = r.REST(ctx, "bastide", http.MethodPut, profilesPath+"/"+url.PathEscape(profile), in, &out)
	return out.Profile, err
}

// SigningProfiles lists the profiles whose keys are known.
func (r *Remote) SigningProfiles(ctx context.Context) error {
	var out struct{ Profiles []profileRow }
	if err := r.REST(ctx, "bastide", http.MethodGet, profilesPath, nil, &out); err != nil {
		return err
	}
	if r.Term.JSON {
		return r.Term.Print(out.Profiles)
	}
	for _, p := range out.Profiles {
		if err := r.Term.Line("%-8s %s  %s", p.Status, p.ProfileVersionArn, plain(p.Reason)); err != nil {
			return err
		}
	}
	return nil
}

// RevokeSigning ends the trust in what a version of a profile signs from now on.
func (r *Remote) RevokeSigning(ctx context.Context, profile, version, reason string) error {
	in := map[string]string{"ProfileVersion": version, "Reason": reason}
	if err := r.REST(ctx, "bastide", http.MethodPost, profilesPath+"/"+url.PathEscape(profile)+"/revoke", in, nil); err != nil {
		return err
	}
	return r.Term.Line("%s %s is revoked", profile, version)
}
