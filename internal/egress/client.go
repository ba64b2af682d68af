package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// ErrTooLarge ends the reading of a response that is larger than allowed.
var ErrTooLarge = errors.New("egress: the response is too large")

// Client is an HTTP client for a purpose. It follows no redirects: where one leads is for the caller
// to see, as what it asked for was declared and that was not. It knows no proxies and keeps no
// cookies; bodies end with ErrTooLarge after Policy.MaxBody bytes.
func (d *Dialer) Client(purpose string) *http.Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return d.Dial(ctx, purpose, addr)
		},
		TLSClientConfig:        &tls.Config{RootCAs: d.p.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    d.p.DialTimeout,
		ResponseHeaderTimeout:  d.p.Timeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{Transport: limited{t, d.p.MaxBody}, Timeout: d.p.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// limited bounds the bodies of responses.
type limited struct {
	next *http.Transport
	max  int64
}

// CloseIdleConnections is what http.Client's does.
func (l limited) CloseIdleConnections() { l.next.CloseIdleConnections() }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: l.max}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	// One byte more than is allowed tells a body of just that size from a larger one.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		return int(b.left), ErrTooLarge
	}
	b.left -= int64(n)
	return n, err
}

// Fetcher gets small documents for a purpose.
type Fetcher struct{ client *http.Client }

// Fetcher makes a Fetcher; keep it, for its connections.
func (d *Dialer) Fetcher(purpose string) *Fetcher { return &Fetcher{d.Client(purpose)} }

// Get is the body of a document of at most limit bytes. Any status but 200 is an error.
func (f *Fetcher) Get(ctx context.Context, url string, limit int64) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := f.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("egress: %s answered %s", r.URL.Redacted(), resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = ErrTooLarge
	}
	return body, err
}
