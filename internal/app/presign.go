package app

import (
	"net/http"
	"net/url"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

// presign is the address of a request to Lambda that stands for the caller until it expires, signed as
// AWS's presigned URLs are: the same stations verify it. It names the host that the caller reached this
// server at, which is another one inside a function.
func (s *Server) presign(c *gate.Call, r lambda.Presigned) (*string, error) {
	session, ok := c.Principal().Bounded(c.Now(), c.Now().Add(r.For))
	if !ok {
		return nil, nil
	}
	credentials := sigv4.Credentials{AccessKeyID: c.Principal().AccessKeyID()}
	if !c.Principal().OpenCredentials() {
		t, err := s.tokens.Issue(session)
		if err != nil {
			return nil, err
		}
		credentials = sigv4.Credentials{AccessKeyID: t.AccessKeyID, SecretAccessKey: t.SecretAccessKey, SessionToken: t.SessionToken}
	}
	from := c.Source()
	base, err := url.Parse(s.Address())
	if err != nil {
		return nil, err
	}
	if from.Host != "" {
		base.Host, base.Scheme = from.Host, "http"
		if from.TLS {
			base.Scheme = "https"
		}
	}
	base.Path, base.RawQuery = r.Path, r.Query
	q, err := http.NewRequestWithContext(c.Context(), http.MethodGet, base.String(), nil)
	if err != nil {
		return nil, err
	}
	signer := sigv4.NewSigner(sigv4.Signing{Credentials: credentials, Region: r.Region, Service: "lambda", Clock: s.clock})
	at, err := signer.Presign(q, nil, r.For)
	return &at, err
}
