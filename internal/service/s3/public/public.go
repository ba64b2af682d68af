// Package public tells whether a bucket policy is public: whether it gives anything to callers
// whom it does not name.
//
// A policy is public unless each of its Allow statements names its principals, or narrows
// everybody down by a condition on fixed values of a key that a stranger cannot choose: where a
// request comes from, on whose behalf, or which organisation the caller belongs to. A value with
// a wildcard or a variable is not fixed, an address range must not be wider than /8 (IPv6: /32).
// Where the test cannot tell, the policy is public.
//
// Source: Amazon S3 User Guide, "Blocking public access to your Amazon S3 storage", "The meaning
// of public".
package public

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/policy"
)

// Policy reports whether p is public.
func Policy(p *policy.Policy) bool {
	for i := range p.Len() {
		if s := p.Statement(i); s.Allow && everybody(s) && !narrowed(s.Conditions) {
			return true
		}
	}
	return false
}

// everybody: the statement may speak to principals that it does not name.
func everybody(s *policy.Statement) bool {
	if len(s.NotPrincipals) > 0 || len(s.Principals) == 0 {
		return true
	}
	for _, names := range s.Principals {
		if slices.ContainsFunc(names, func(name string) bool { return name == "" || strings.ContainsAny(name, "*?$") }) {
			return true
		}
	}
	return false
}

// fixing are the keys whose fixed values tell callers apart, in lower case. s3:x-amz-… keys,
// referer and user agent are the caller's to choose.
var fixing = map[string]bool{"aws:sourcearn": true, "aws:sourcevpc": true, "aws:sourcevpce": true, "aws:sourceowner": true,
	"aws:sourceaccount": true, "aws:userid": true, "aws:principalorgid": true, "aws:principalarn": true, "aws:principalaccount": true,
	"s3:dataaccesspointarn": true, "s3:dataaccesspointaccount": true}

// narrowed: one condition is enough, since all must hold.
func narrowed(conditions []policy.Condition) bool {
	return slices.ContainsFunc(conditions, narrows)
}

func narrows(c policy.Condition) bool {
	op := strings.ToLower(c.Operator)
	// A request without the key passes …IfExists, and ForAllValues of nothing is true.
	if strings.HasSuffix(op, "ifexists") || strings.HasPrefix(op, "forallvalues:") || len(c.Values) == 0 {
		return false
	}
	key := strings.ToLower(c.Key)
	switch strings.TrimPrefix(op, "foranyvalue:") {
	case "ipaddress":
		return key == "aws:sourceip" && !slices.ContainsFunc(c.Values, wide)
	case "stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike":
		return fixing[key] && !slices.ContainsFunc(c.Values, func(v string) bool { return v == "" || strings.ContainsAny(v, "*?$") })
	}
	return false
}

// wide is an address range that holds too many strangers.
func wide(text string) bool {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Zone() != ""
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return true
	case p.Addr().Is4():
		return p.Bits() < 8
	}
	return p.Bits() < 32
}
