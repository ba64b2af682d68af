package policy

import (
	"strings"
)

// Values are what a request holds under one condition key: none, one, or many. The zero Values
// means that the request does not have the key.
type Values struct {
	one  string
	many []string
	n    int
}

// One is a single value. It allocates nothing.
func One(v string) Values { return Values{one: v, n: 1} }

// Many are the values of a multi-valued key; an empty list is the same as no key.
func Many(v []string) Values { return Values{many: v, n: len(v)} }

// Len is the number of values; 0 when the request does not have the key.
func (v Values) Len() int { return v.n }

// At is the i-th value.
func (v Values) At(i int) string {
	if v.many == nil {
		return v.one
	}
	return v.many[i]
}

// Strings lists the values.
func (v Values) Strings() []string {
	if v.many == nil && v.n == 1 {
		return []string{v.one}
	}
	return v.many
}

// Context answers for the condition keys of one request. Lookup receives the key in lower case
// ("aws:sourceip"); keys are not case-sensitive. A Context may compute values when asked, must give
// the same answer each time within one decision, and is not asked for what the Principal itself
// says (aws:PrincipalArn, aws:PrincipalTag/…, aws:userid, …; see Principal).
type Context interface {
	Lookup(key string) Values
}

// equalFold compares ASCII text without regard to case; length and last letter differ for most
// pairs of condition keys, so they are looked at first.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lookup answers for key, which is in lower case. What the principal says of itself comes from the
// principal alone, so that no service can let a request speak about its own caller.
func (e *evaluation) lookup(key string) Values {
	if strings.HasPrefix(key, "aws:") {
		if v, ok := e.principalKey(key); ok {
			return v
		}
	}
	if e.req.Context == nil {
		return Values{}
	}
	return e.req.Context.Lookup(key)
}

// principalKey answers for the keys that describe the caller ("Properties of the principal", IAM
// User Guide, global condition context keys).
func (e *evaluation) principalKey(key string) (Values, bool) {
	p := e.who
	switch key {
	case "aws:principalarn":
		if p.Type == AssumedRole {
			return present(p.RoleARN), true
		}
		return present(p.ARN), true
	case "aws:principalaccount":
		return present(p.Account), true
	case "aws:principaltype":
		return present(p.typeKey()), true
	case "aws:userid":
		if p.Type == Root {
			return present(p.Account), true
		}
		return present(p.UserID), true
	case "aws:username":
		if p.Type != User {
			return Values{}, true
		}
		return present(p.ARN[strings.LastIndexByte(p.ARN, '/')+1:]), true
	case "aws:principalisawsservice":
		if p.Type == Service {
			return One("true"), true
		}
		return One("false"), true
	case "aws:principalservicename":
		return present(p.Service), true
	case "aws:resourceaccount":
		if e.req.ResourceAccount != "" {
			return One(e.req.ResourceAccount), true
		}
		return Values{}, false
	}
	if tag, ok := strings.CutPrefix(key, "aws:principaltag/"); ok {
		return p.tag(tag), true
	}
	return Values{}, false
}

func present(s string) Values {
	if s == "" {
		return Values{}
	}
	return One(s)
}
