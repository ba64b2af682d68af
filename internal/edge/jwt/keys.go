package jwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// Fetcher gets documents from issuers; egress has one.
type Fetcher interface {
	// Get is the body of a document of at most limit bytes.
	Get(ctx context.Context, url string, limit int64) ([]byte, error)
}

// maxIssuers are kept; the one used longest ago goes.
const maxIssuers = 1024

// keyStore keeps the keys of issuers.
type keyStore struct {
	fetch   Fetcher
	clock   clock.Clock
	keep    time.Duration // keys older than this are not used
	refetch time.Duration // at least so long between two fetches for unknown keys
	retry   time.Duration // at least so long after a fetch that failed

	mu      sync.Mutex
	issuers map[string]*issuer
}

// issuer is what is known of one.
type issuer struct {
	turn chan struct{} // one fetch at a time; a channel, so that waiting ends with the request
	used time.Time     // under keyStore.mu

	mu      sync.Mutex
	keys    []key
	fetched time.Time // when keys were
	tried   time.Time // last fetch, successful or not
	err     error     // of the last fetch
}

// key is a public key with the one algorithm family that it may be used for.
type key struct {
	id     string
	algs   []string
	public any
}

var (
	errDiscovery = errors.New("OIDC discovery endpoint communication error")
	errNoKey     = errors.New("the issuer publishes no such key")
)

// CheckIssuer refuses an issuer whose keys could be changed on the way: it must be an https URL,
// or http on this machine, without query or fragment.
func CheckIssuer(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("jwt: the issuer %q is not a URL of scheme and host", text)
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("jwt: the issuer %q is not https, nor http on this machine", text)
}

func loopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// find is the keys of an issuer with the id kid. An id that is not known leads to one fetch, and
// to no other for a while, so that made-up ids cannot flood the issuer. From half their time on
// keys are renewed behind the callers' backs, so that an issuer that is slow or away for a moment
// turns nobody away.
func (s *keyStore) find(ctx context.Context, name, kid string) ([]key, error) {
	i := s.issuer(name)
	if found, stale := s.usable(i, kid); len(found) > 0 {
		if stale {
			select {
			case i.turn <- struct{}{}:
				go func() {
					defer func() { <-i.turn }()
					s.refresh(ctx, i, name)
				}()
			default: // someone is at it
			}
		}
		return found, nil
	}
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if found, _ := s.usable(i, kid); len(found) > 0 { // fetched while we waited
		return found, nil
	}
	if s.mayFetch(i) {
		s.refresh(ctx, i, name)
	}
	found, _ := s.usable(i, kid)
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case len(found) > 0:
		return found, nil
	case i.err != nil:
		return nil, i.err
	}
	return nil, errNoKey
}

// usable are the keys with the id that are not too old; stale says that they should be renewed.
func (s *keyStore) usable(i *issuer, kid string) (found []key, stale bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := s.clock.Now()
	age := now.Sub(i.fetched)
	if age >= s.keep {
		return nil, false
	}
	for _, k := range i.keys {
		if k.id == kid {
			found = append(found, k)
		}
	}
	return found, age >= s.keep/2 && now.Sub(i.tried) >= s.refetch
}

func (s *keyStore) mayFetch(i *issuer) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := s.clock.Now()
	since := now.Sub(i.tried)
	switch {
	case i.tried.IsZero():
		return true
	case i.err != nil:
		return since >= s.retry
	}
	return now.Sub(i.fetched) >= s.keep || since >= s.refetch
}

func (s *keyStore) issuer(name string) *issuer {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.issuers[name]
	if i == nil {
		if len(s.issuers) >= maxIssuers {
			s.drop()
		}
		i = &issuer{turn: make(chan struct{}, 1)}
		s.issuers[name] = i
	}
	i.used = s.clock.Now()
	return i
}

func (s *keyStore) drop() {
	oldest := ""
	for name, i := range s.issuers {
		if oldest == "" || i.used.Before(s.issuers[oldest].used) {
			oldest = name
		}
	}
	delete(s.issuers, oldest)
}

// refresh fetches the keys; on failure the old ones stay for their time. It outlives the request,
// so that callers who give up cannot keep the keys from being renewed. Its caller has the turn.
func (s *keyStore) refresh(ctx context.Context, i *issuer, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	keys, err := s.load(ctx, name)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tried, i.err = s.clock.Now(), err
	if err == nil {
		i.keys, i.fetched = keys, i.tried
	}
}

func (s *keyStore) load(ctx context.Context, name string) ([]key, error) {
	if err := CheckIssuer(name); err != nil {
		return nil, err
	}
	raw, err := s.fetch.Get(ctx, strings.TrimSuffix(name, "/")+"/.well-known/openid-configuration", maxDoc)
	if err != nil {
		return nil, errors.Join(errDiscovery, err)
	}
	doc, err := parseObject(raw)
	if err != nil {
		return nil, errors.Join(errDiscovery, err)
	}
	issuerName, _ := doc["issuer"].(string)
	uri, _ := doc["jwks_uri"].(string)
	if issuerName != name {
		return nil, errors.Join(errDiscovery, fmt.Errorf("the document is of issuer %q", issuerName))
	}
	if err := CheckIssuer(uri); err != nil && !strings.HasPrefix(uri, "https://") { // a key set's URL may have a query
		return nil, errors.Join(errDiscovery, err)
	}
	if strings.HasPrefix(name, "https://") && !strings.HasPrefix(uri, "https://") {
		return nil, errors.Join(errDiscovery, errors.New("the keys of an https issuer are not at https"))
	}
	if raw, err = s.fetch.Get(ctx, uri, maxDoc); err != nil {
		return nil, errors.Join(errDiscovery, err)
	}
	return parseKeys(raw)
}

// parseKeys takes the keys that can check our signatures and passes over all others: what an
// issuer publishes for other uses is no error.
func parseKeys(raw []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, errors.Join(errDiscovery, err)
	}
	if len(set.Keys) > maxKeys {
		return nil, errors.Join(errDiscovery, errors.New("too many keys"))
	}
	var keys []key
	for _, one := range set.Keys {
		var k jose.JSONWebKey
		if err := json.Unmarshal(one, &k); err != nil || k.KeyID == "" || k.Use != "" && k.Use != "sig" {
			continue
		}
		algs := algorithms(k.Key)
		if k.Algorithm != "" {
			algs = only(algs, k.Algorithm)
		}
		if len(algs) > 0 {
			keys = append(keys, key{k.KeyID, algs, k.Key})
		}
	}
	return keys, nil
}

func only(list []string, one string) []string {
	for _, s := range list {
		if s == one {
			return []string{one}
		}
	}
	return nil
}

// algorithms are those that a public key may be used with, none for a key too weak or of a kind
// that we do not take (a secret or private key above all).
func algorithms(public any) []string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 || k.E < 3 || k.E&1 == 0 {
			return nil
		}
		return []string{"RS256", "RS384", "RS512"}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		case elliptic.P521():
			return []string{"ES512"}
		}
	}
	return nil
}
