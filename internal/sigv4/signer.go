package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// Credentials sign requests. They print without their secrets.
type Credentials struct {
	AccessKeyID, SecretAccessKey string
	SessionToken                 string // of temporary credentials
}

// String names the key only.
func (c Credentials) String() string { return "Credentials(" + c.AccessKeyID + ")" }

// GoString names the key only.
func (c Credentials) GoString() string { return c.String() }

// Signing is what a Signer signs for; all but the flags are needed.
type Signing struct {
	Credentials Credentials
	Region      string
	Service     string
	Clock       clock.Clock
	S3          bool // S3's path and payload rules
	HashHeader  bool // send x-amz-content-sha256; always with S3
	// TokenOutside adds the session token after signing.
	TokenOutside bool
}

// Signer signs requests; safe for concurrent use.
type Signer struct {
	o       Signing
	rule    pathRule
	derived *keyCache
	scratch sync.Pool
}

// NewSigner makes a Signer.
func NewSigner(o Signing) *Signer {
	s := &Signer{o: o, derived: newKeyCache(8), scratch: sync.Pool{New: func() any { return new(scratch) }}}
	if o.S3 {
		s.rule, s.o.HashHeader = pathAsSent, true
	}
	return s
}

// Sign puts date, token and Authorization into r's headers. A nil body with S3 is sent unsigned;
// otherwise nil is the empty body.
func (s *Signer) Sign(r *http.Request, body []byte) error {
	hash := unsignedPayload
	if body != nil || !s.o.S3 || r.ContentLength == 0 {
		hash = hexSum(body)
	}
	_, err := s.sign(r, hash)
	return err
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// SignPayload is Sign with the payload line given: STREAMING-… or UNSIGNED-PAYLOAD. It returns the
// signature, with which the first chunk's begins.
func (s *Signer) SignPayload(r *http.Request, payload string) (signature string, err error) {
	return s.sign(r, payload)
}

func (s *Signer) sign(r *http.Request, payload string) (string, error) {
	now := iso(s.o.Clock.Now())
	r.Header.Set("X-Amz-Date", now)
	r.Header.Del("Authorization")
	r.Header.Del("X-Amz-Security-Token")
	if s.o.Credentials.SessionToken != "" && !s.o.TokenOutside {
		r.Header.Set("X-Amz-Security-Token", s.o.Credentials.SessionToken)
	}
	if s.o.HashHeader {
		r.Header.Set("X-Amz-Content-Sha256", payload)
	}
	w := s.scratch.Get().(*scratch)
	defer w.release(&s.scratch)
	signed := signable(r.Header)
	scope := s.scope(now)
	signature, err := s.signature(w, r, now, scope, signed, payload)
	if err != nil {
		return "", err
	}
	if s.o.Credentials.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", s.o.Credentials.SessionToken)
	}
	r.Header.Set("Authorization", algorithm+" Credential="+s.o.Credentials.AccessKeyID+"/"+scope+
		", SignedHeaders="+signed+", Signature="+signature)
	return signature, nil
}

func (s *Signer) scope(now string) string {
	return now[:8] + "/" + s.o.Region + "/" + s.o.Service + "/" + terminator
}

func (s *Signer) signature(w *scratch, r *http.Request, now, scope, signed, payload string) (string, error) {
	path, ok := rawPath(r.URL)
	if !w.parseQuery(r.URL.RawQuery) || !ok {
		return "", errors.New("sigv4: the URL is too long or holds an invalid escape sequence")
	}
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	if missing := w.canonical(r, path, s.rule, signed, payload); missing != "" {
		return "", errors.New("sigv4: the request has no " + missing)
	}
	key := s.derived.get(keyName{s.o.Credentials.AccessKeyID, now[:8], s.o.Region, s.o.Service}, s.o.Credentials.SecretAccessKey)
	sum := key.sign(w.stringToSign(now, scope))
	return hex.EncodeToString(sum[:]), nil
}

// signable are the names of the headers to sign: all but those that proxies and transports change.
func signable(h http.Header) string {
	names := make([]string, 1, len(h)+1)
	names[0] = "host"
	for name := range h {
		switch name = strings.ToLower(name); name {
		case "authorization", "user-agent", "connection", "expect", "x-amzn-trace-id", "transfer-encoding",
			"te", "trailer", "upgrade", "keep-alive", "accept-encoding", "cache-control", "host":
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ";")
}

// Presign is r's URL with a signature that is good for expires (at most a week), whole seconds.
// Every header that r has is signed and must be sent with it.
func (s *Signer) Presign(r *http.Request, body []byte, expires time.Duration) (string, error) {
	if expires < time.Second || expires > maxPresigned {
		return "", errors.New("sigv4: a presigned URL is good for between a second and a week")
	}
	now := iso(s.o.Clock.Now())
	signed, scope := signable(r.Header), s.scope(now)
	add := "X-Amz-Algorithm=" + algorithm + "&X-Amz-Credential=" + url.QueryEscape(s.o.Credentials.AccessKeyID+"/"+scope) +
		"&X-Amz-Date=" + now + "&X-Amz-Expires=" + strconv.Itoa(int(expires/time.Second)) +
		"&X-Amz-SignedHeaders=" + url.QueryEscape(signed)
	token := ""
	if s.o.Credentials.SessionToken != "" {
		token = "&X-Amz-Security-Token=" + url.QueryEscape(s.o.Credentials.SessionToken)
	}
	if !s.o.TokenOutside {
		add, token = add+token, ""
	}
	u := *r.URL
	if u.RawQuery != "" {
		add = "&" + add
	}
	u.RawQuery += add
	signing := *r
	signing.URL = &u
	payload := unsignedPayload
	if !s.o.S3 {
		payload = hexSum(body)
	}
	w := s.scratch.Get().(*scratch)
	defer w.release(&s.scratch)
	signature, err := s.signature(w, &signing, now, scope, signed, payload)
	if err != nil {
		return "", err
	}
	u.RawQuery += token + "&X-Amz-Signature=" + signature
	return u.String(), nil
}
