package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Registry fetches images over the network.
type Registry struct {
	// Transport carries what is asked; it decides which hosts may be reached.
	Transport http.RoundTripper
	Keys      Keys
}

// AbsentError is an image that a registry does not have, or does not show to who asked.
type AbsentError struct {
	Reference string
	Err       error
}

func (e *AbsentError) Error() string {
	return "image: the registry has no " + e.Reference + ": " + e.Err.Error()
}

// Unwrap is the registry's answer.
func (e *AbsentError) Unwrap() error { return e.Err }

// Source gives what a reference names. Nothing is asked before the first Manifest.
func (r Registry) Source(ref Reference) (Source, error) {
	parsed, err := name.ParseReference(ref.text)
	if err != nil {
		return nil, errReference
	}
	puller, err := remote.NewPuller(remote.WithTransport(plainOnlyHere{r.Transport}), remote.WithAuthFromKeychain(r.Keys), remote.WithUserAgent("bastide"), remote.WithJobs(1))
	if err != nil {
		return nil, err
	}
	return &remoteImage{puller, parsed}, nil
}

// plainOnlyHere refuses HTTP without TLS but to this machine.
type plainOnlyHere struct{ next http.RoundTripper }

func (p plainOnlyHere) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !loopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("image: %s without TLS is asked of this machine's own registries only", r.URL.Redacted())
	}
	return p.next.RoundTrip(r)
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	return a.Unmap().IsLoopback()
}

type remoteImage struct {
	puller *remote.Puller
	ref    name.Reference
}

// Manifest implements Source.
func (i *remoteImage) Manifest(ctx context.Context, digest string) ([]byte, error) {
	ref := i.ref
	if digest != "" {
		ref = i.ref.Context().Digest(digest)
	}
	d, err := i.puller.Get(ctx, ref)
	if err != nil {
		return nil, answered(ref, err)
	}
	return d.Manifest, nil
}

// Blob implements Source.
func (i *remoteImage) Blob(ctx context.Context, digest string) (io.ReadCloser, error) {
	ref := i.ref.Context().Digest(digest)
	l, err := i.puller.Layer(ctx, ref)
	if err != nil {
		return nil, answered(ref, err)
	}
	r, err := l.Compressed()
	if err != nil {
		return nil, answered(ref, err)
	}
	return r, nil
}

func answered(ref name.Reference, err error) error {
	if e, ok := errors.AsType[*transport.Error](err); ok && e.StatusCode >= 400 && e.StatusCode < 500 && e.StatusCode != http.StatusTooManyRequests {
		return &AbsentError{ref.String(), err}
	}
	return fmt.Errorf("image: %s: %w", ref, err)
}

// Keys are the credentials of registries, by host.
type Keys struct{ byHost map[string]authn.AuthConfig }

const maxKeys = 1 << 20

// ReadKeys reads a configuration file of Docker's ("auths"). Helpers, which are programs, are refused
// rather than run.
func ReadKeys(file string) (Keys, error) {
	f, err := os.Open(file)
	if err != nil {
		return Keys{}, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeys+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return Keys{}, err
	}
	if len(b) > maxKeys {
		return Keys{}, fmt.Errorf("image: %s is larger than %d bytes", file, maxKeys)
	}
	k, err := parseKeys(b)
	if err != nil {
		return Keys{}, fmt.Errorf("image: %s: %w", file, err)
	}
	return k, nil
}

func parseKeys(b []byte) (Keys, error) {
	var in struct {
		Auths map[string]struct {
			Auth, Username, Password, IdentityToken, RegistryToken string
		}
		CredsStore  string
		CredHelpers map[string]string
	}
	if json.Unmarshal(b, &in) != nil { // its error would quote what may be secret
		return Keys{}, errors.New("it is no configuration of Docker's")
	}
	if in.CredsStore != "" || len(in.CredHelpers) > 0 {
		return Keys{}, errors.New("it names credential helpers, which Bastide does not run; write the credentials into a file of their own with docker --config DIR login HOST")
	}
	k := Keys{map[string]authn.AuthConfig{}}
	for host, a := range in.Auths {
		c := authn.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
		if a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
			if err != nil || !ok {
				return Keys{}, fmt.Errorf("the credentials of %q cannot be read", host)
			}
			c.Username, c.Password = user, password
		}
		k.byHost[hostOf(host)] = c
	}
	return k, nil
}

// hostOf is the host of an entry, which may be a URL such as https://index.docker.io/v1/.
func hostOf(entry string) string {
	if u, err := url.Parse(entry); err == nil && u.Host != "" {
		return u.Host
	}
	host, _, _ := strings.Cut(entry, "/")
	return host
}

// Resolve implements authn.Keychain.
func (k Keys) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if c, ok := k.byHost[r.RegistryStr()]; ok {
		return authn.FromConfig(c), nil
	}
	return authn.Anonymous, nil
}

var (
	_ Source         = (*remoteImage)(nil)
	_ authn.Keychain = Keys{}
)
