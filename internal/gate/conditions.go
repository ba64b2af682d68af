package gate

import (
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/policy"
)

// conditions answers condition keys for one need: the request's own keys, then the global ones
// that a local system can know; those of the principal the policy package answers itself.
// Source: IAM User Guide, "AWS global condition context keys".
type conditions struct {
	ask  *Ask
	need *Need
}

// Lookup answers one key, in lower case.
func (c *conditions) Lookup(key string) policy.Values {
	for _, keys := range [...]map[string][]string{c.ask.entry.Keys, c.need.Keys} {
		for k, v := range keys {
			if strings.EqualFold(k, key) {
				return policy.Many(v)
			}
		}
	}
	if key == "aws:calledvia" {
		return policy.Many(c.ask.entry.Source.Via)
	}
	if v, ok := c.network(key); ok {
		return present(v)
	}
	if v, ok := c.call(key); ok {
		return present(v)
	}
	if c.need.Lazy != nil {
		return c.need.Lazy(key)
	}
	return policy.Values{}
}

// present is the value of a key that exists only where there is something to say.
func present(v string) policy.Values {
	if v == "" {
		return policy.Values{}
	}
	return policy.One(v)
}

// network answers what the connection says.
func (c *conditions) network(key string) (string, bool) {
	src := &c.ask.entry.Source
	switch key {
	case "aws:sourceip":
		if !src.IP.IsValid() || len(src.Via) > 0 {
			return "", true // a service calls from an address of its own
		}
		return src.IP.String(), true
	case "aws:useragent":
		return src.UserAgent, true
	case "aws:referer":
		return src.Referer, true
	case "aws:securetransport":
		return strconv.FormatBool(src.secure()), true
	case "aws:viaawsservice":
		return strconv.FormatBool(len(src.Via) > 0), true
	case "aws:calledviafirst":
		if len(src.Via) == 0 {
			return "", true
		}
		return src.Via[0], true
	case "aws:calledvialast":
		if len(src.Via) == 0 {
			return "", true
		}
		return src.Via[len(src.Via)-1], true
	}
	return "", false
}

// secure is what aws:SecureTransport asks: that nobody on the way could read or change the call. One
// that a service makes, or a function at the door of its own sandbox, is on no network, where AWS has
// them on TLS; a bucket that refuses plain HTTP would else be one that no function can read and no
// stack can delete.
func (s *Source) secure() bool {
	return s.TLS || len(s.Via) > 0 || !s.IP.IsValid()
}

// call answers what the call itself says, its time and its session.
func (c *conditions) call(key string) (string, bool) {
	e, p := c.ask.entry, c.ask.entry.Principal
	switch key {
	case "aws:currenttime":
		return c.ask.now.Format(time.RFC3339), true
	case "aws:epochtime":
		return strconv.FormatInt(c.ask.now.Unix(), 10), true
	case "aws:requestedregion":
		return e.Region, true
	case "aws:resourceaccount":
		if c.need.Account != "" {
			return c.need.Account, true
		}
		return e.Account, true
	case "aws:sourcearn":
		return e.SourceARN, true
	case "aws:sourceaccount":
		return e.SourceAccount, true
	case "aws:sourceidentity":
		return p.SourceIdentity(), true
	case "aws:multifactorauthpresent":
		if !p.Temporary() {
			return "", true // absent for long-term keys, as on AWS
		}
		return strconv.FormatBool(p.MFA()), true
	case "aws:tokenissuetime":
		if !p.Temporary() {
			return "", true
		}
		return p.CreatedAt().Format(time.RFC3339), true
	}
	return "", false
}
