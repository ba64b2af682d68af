package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// Keys finds the secret of an access key. Its errors are of awserr's kinds UnknownAccessKey,
// ExpiredToken and InvalidToken. sessionToken is empty for long-term keys; an implementation must
// refuse one that does not belong to accessKeyID.
type Keys interface {
	Key(accessKeyID, sessionToken string, now time.Time) (Secret, error)
}

// Secret is what Keys knows of an access key. Owner passes through Verified untouched.
type Secret struct {
	Key   string
	Owner any
	// Open accepts any signature: only what --open-credentials answers. Everything else of the
	// request is still checked.
	Open bool
}

// Options are what a Verifier works with; Keys and Clock are needed.
type Options struct {
	Keys      Keys
	Clock     clock.Clock
	MaxSkew   time.Duration // either way; 15 minutes if zero
	CacheKeys int           // derived signing keys kept; 4096 if zero
}

// SigningOptions are what the service called expects of a signature.
type SigningOptions struct {
	// Services are the names that the credential scope may carry.
	Services []string
	// Region that the scope must name; any well-formed region if empty.
	Region string
	// S3 selects S3's rules: the path is signed as it is sent, the payload hash comes from
	// x-amz-content-sha256, bodies may be unsigned or streamed, errors are S3's.
	S3 bool
	// Bucket that the host names, for S3; version 2 signs it as part of the path.
	Bucket string
	// Closed takes known keys only, even where credentials are open.
	Closed bool
	// UnsignedPayload lets a header signature leave the body out, as a few operations' models say.
	UnsignedPayload bool
	// TokenOutside: the session token joins after signing and is no part of it. It is still bound
	// to the access key by Keys.
	TokenOutside bool
}

// Verifier checks signatures; safe for concurrent use.
type Verifier struct {
	keys    Keys
	clock   clock.Clock
	skew    time.Duration
	derived *keyCache
	scratch sync.Pool
}

// New makes a Verifier.
func New(o Options) *Verifier {
	if o.MaxSkew == 0 {
		o.MaxSkew = 15 * time.Minute
	}
	if o.CacheKeys == 0 {
		o.CacheKeys = 4096
	}
	return &Verifier{keys: o.Keys, clock: o.Clock, skew: o.MaxSkew, derived: newKeyCache(o.CacheKeys),
		scratch: sync.Pool{New: func() any { return new(scratch) }}}
}

// Verified is a request whose signature is right. The zero value names nobody.
type Verified struct {
	c       claim
	owner   any
	open    bool
	key     *signingKey
	payload payload
}

// AccessKeyID signed the request.
func (v Verified) AccessKeyID() string { return v.c.accessKeyID }

// SessionToken came with a temporary key; empty for a long-term one.
func (v Verified) SessionToken() string { return v.c.token }

// Region of the credential scope.
func (v Verified) Region() string { return v.c.region }

// Service of the credential scope.
func (v Verified) Service() string { return v.c.service }

// SignedAt is the request's own time, within the allowed skew of ours.
func (v Verified) SignedAt() time.Time { return v.c.at }

// Presigned: the signature came in the query.
func (v Verified) Presigned() bool { return v.c.presigned }

// Legacy: the URL was presigned with version 2, which S3 alone takes. It has no region, scope or SignedAt.
func (v Verified) Legacy() bool { return v.c.legacy }

// Expires is how long after SignedAt a presigned URL is good; 0 otherwise.
func (v Verified) Expires() time.Duration { return v.c.expires }

// Owner is what Keys gave with the secret.
func (v Verified) Owner() any { return v.owner }

// Open: the signature was not compared, because credentials are open.
func (v Verified) Open() bool { return v.open }

// SignedHeaders are the names of the headers under the signature, in lower case.
func (v Verified) SignedHeaders() []string { return strings.Split(v.c.signed, ";") }

// PayloadHash is what the signature says of the body: hex SHA-256, UNSIGNED-PAYLOAD or STREAMING-….
func (v Verified) PayloadHash() string { return v.payload.declared }

// Verify checks the signature of r, which must be as it came off the wire, for the service that
// it is for. body is the whole body; nil means that it is streamed and will be read through
// Verified.Body (a request without a body may have either). Errors are *awserr.Error.
func (v *Verifier) Verify(r *http.Request, body []byte, svc SigningOptions) (Verified, error) {
	rule := pathNormalised
	if svc.S3 {
		rule = pathAsSent
	}
	return v.verify(r, body, svc, rule)
}

func (v *Verifier) verify(r *http.Request, body []byte, svc SigningOptions, rule pathRule) (Verified, error) {
	s := v.scratch.Get().(*scratch)
	defer s.release(&v.scratch)
	f := refusal{s3: svc.S3}
	path, ok := rawPath(r.URL)
	if !s.parseQuery(r.URL.RawQuery) || !ok {
		return Verified{}, awserr.Of(awserr.Malformed, "The request URI is too long or holds an invalid escape sequence.")
	}
	now := v.clock.Now()
	if svc.S3 && s.legacy(r) {
		return v.verifyLegacy(s, r, path, svc, now)
	}
	c, err := s.readClaim(r, &f)
	if err != nil {
		return Verified{}, err
	}
	if err := v.checkClaim(c, r, svc, f, now); err != nil {
		return Verified{}, err
	}
	p, err := s.readPayload(r, body, svc, c, f)
	if err != nil {
		return Verified{}, err
	}
	secret, err := v.secret(c, svc, now)
	if err != nil {
		return Verified{}, err
	}
	skip := []string{"X-Amz-Signature", "X-Amz-Security-Token"}
	if !svc.TokenOutside || !c.presigned {
		skip = skip[:1]
	}
	if !c.presigned {
		skip = nil
	}
	missing := s.canonical(r, path, rule, c.signed, p.declared, skip...)
	got := Verified{c: *c, owner: secret.Owner, open: secret.Open, payload: p}
	sts := s.stringToSign(c.timestamp, c.scope)
	if !secret.Open {
		got.key = v.derived.get(keyName{c.accessKeyID, c.date, c.region, c.service}, secret.Key)
		sum := got.key.sign(sts)
		if !equalHex(sum, c.signature) || missing != "" {
			return Verified{}, f.mismatch(c, s)
		}
	}
	return got, p.checkWhole(r, body)
}

func (v *Verifier) secret(c *claim, svc SigningOptions, now time.Time) (Secret, error) {
	secret, err := v.keys.Key(c.accessKeyID, c.token, now)
	if err != nil {
		return Secret{}, awserr.Wrap(err)
	}
	if secret.Open && svc.Closed {
		return Secret{}, awserr.Of(awserr.UnknownAccessKey, "The security token included in the request is invalid.")
	}
	return secret, nil
}

// equalHex compares in constant time; signature is 64 digits of lower-case hex.
func equalHex(sum [sha256.Size]byte, signature string) bool {
	var want [2 * sha256.Size]byte
	hex.Encode(want[:], sum[:])
	var got [2 * sha256.Size]byte
	return copy(got[:], signature) == len(got) && len(signature) == len(got) && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// release forgets what the scratch holds of a request, but for buffers of a usual size.
func (s *scratch) release(pool *sync.Pool) {
	if cap(s.buf)+cap(s.q) < 64<<10 {
		clear(s.params)
		pool.Put(s)
	}
}

// checkClaim checks scope, time and that everything that must be signed is.
func (v *Verifier) checkClaim(c *claim, r *http.Request, svc SigningOptions, f refusal, now time.Time) error {
	if err := checkScope(c, svc, f); err != nil {
		return err
	}
	if c.at.After(now.Add(v.skew)) {
		return f.early(c, now, v.skew)
	}
	life := v.skew
	if c.presigned {
		life = c.expires
	}
	if now.After(c.at.Add(life)) {
		return f.late(c, now, life)
	}
	if r.Host == "" || !signs(c.signed, "host") {
		return f.unsignedHeader("host")
	}
	if !c.presigned && len(r.Header["X-Amz-Date"]) == 0 && !signs(c.signed, "date") {
		return f.unsignedHeader("date")
	}
	var buf [128]byte
	for name := range r.Header {
		if len(name) < 6 || !strings.EqualFold(name[:6], "x-amz-") {
			continue
		}
		if len(name) > len(buf) {
			return f.unsignedHeader(clip(strings.ToLower(name)))
		}
		lower := buf[:copy(buf[:], name)]
		for i, ch := range lower {
			if ch >= 'A' && ch <= 'Z' {
				lower[i] = ch + 'a' - 'A'
			}
		}
		if !signs(c.signed, string(lower)) && (!svc.TokenOutside || string(lower) != "x-amz-security-token") {
			return f.unsignedHeader(string(lower))
		}
	}
	return nil
}

func checkScope(c *claim, svc SigningOptions, f refusal) error {
	if day := c.timestamp[:8]; c.date != day {
		return f.malformed(prefixed(f)+`Invalid credential date "`+clip(c.date)+`". This date is not the same as X-Amz-Date: "`+day+`".`,
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '"+
				clip(c.date)+"' != '"+day+"', from '"+c.timestamp+"'.")
	}
	if !validRegion(c.region) || svc.Region != "" && c.region != svc.Region {
		err := f.malformed(prefixed(f)+"the region '"+clip(c.region)+"' is wrong; expecting '"+svc.Region+"'",
			"Credential should be scoped to a valid region.")
		if e, ok := err.(*awserr.Error); ok && f.s3 && svc.Region != "" {
			e.Fields = map[string]any{"Region": svc.Region}
		}
		return err
	}
	if len(svc.Services) > 0 && !slices.Contains(svc.Services, c.service) {
		return f.malformed(prefixed(f)+`incorrect service "`+clip(c.service)+`". This endpoint belongs to "`+svc.Services[0]+`".`,
			"Credential should be scoped to correct service: '"+strings.Join(svc.Services, "', '")+"'.")
	}
	return nil
}

// validRegion accepts the form of a region's name ("us-gov-west-1"), whichever AWS has today.
func validRegion(s string) bool {
	if len(s) > 32 {
		return false
	}
	dashes := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '-':
			if i == 0 || s[i-1] == '-' {
				return false
			}
			dashes++
		case c >= '0' && c <= '9':
			if dashes < 2 {
				return false
			}
		case c < 'a' || c > 'z':
			return false
		}
	}
	return dashes >= 2 && s[len(s)-1] >= '0' && s[len(s)-1] <= '9'
}
