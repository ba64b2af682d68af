package s3

import (
	"strconv"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

// set gives a condition key the value of a member that the request may have.
func set(keys map[string][]string, key string, value *string) map[string][]string {
	if value == nil {
		return keys
	}
	if keys == nil {
		keys = map[string][]string{}
	}
	keys[key] = []string{*value}
	return keys
}

// named is the version of an object that a need is about.
type named struct {
	key     string
	version *string
}

// lazy answers the condition keys that cost something: those of the signature and, of an object,
// its tags. Source: Service Authorization Reference, "Condition keys for Amazon S3".
func (p *place) lazy(of *named) func(string) policy.Values {
	sig := signature(p.a)
	return func(key string) policy.Values {
		if key == "s3:resourceaccount" {
			return policy.One(p.Account)
		}
		if tag, ok := strings.CutPrefix(key, "s3:existingobjecttag/"); ok && of != nil {
			return p.objectTag(of, tag)
		}
		return sig(key)
	}
}

// objectTag compares keys without case, as condition keys are.
func (p *place) objectTag(of *named, low string) policy.Values {
	var o *object
	err := p.a.View(func(tx *store.Tx) error {
		var err error
		o, err = p.s.t.version(tx, p.bucket, of.key, of.version)
		return err
	})
	if err != nil || o == nil {
		return policy.Values{}
	}
	for _, t := range o.Tags {
		if strings.EqualFold(t.Key, low) {
			return policy.One(t.Value)
		}
	}
	return policy.Values{}
}

// signature answers the keys that tell how the request was signed. Calls within the process have
// none of them.
func signature(a *gate.Ask) func(string) policy.Values {
	return func(key string) policy.Values {
		src := a.Source()
		sig := src.Signature
		if key == "s3:tlsversion" && src.TLSVersion != "" {
			return policy.One(src.TLSVersion)
		}
		if sig == (gate.Signature{}) || anonymous(a.Principal()) {
			return policy.Values{}
		}
		switch key {
		case "s3:authtype":
			if sig.Presigned {
				return policy.One("REST-QUERY-STRING")
			}
			return policy.One("REST-HEADER")
		case "s3:signatureversion":
			if sig.Legacy {
				return policy.One("AWS")
			}
			return policy.One("AWS4-HMAC-SHA256")
		case "s3:signatureage":
			if sig.Presigned && !sig.Legacy {
				return policy.One(strconv.FormatInt(max(a.Now().Sub(sig.SignedAt).Milliseconds(), 0), 10))
			}
		case "s3:x-amz-content-sha256":
			return policy.One(sig.Payload)
		}
		return policy.Values{}
	}
}

// requestTags are the tags that a request puts on an object.
func requestTags(keys map[string][]string, tags []api.Tag) map[string][]string {
	for _, t := range tags {
		keys = set(keys, "s3:RequestObjectTag/"+t.Key, &t.Value)
		keys["s3:RequestObjectTagKeys"] = append(keys["s3:RequestObjectTagKeys"], t.Key)
	}
	return keys
}

// anonymous is a caller without credentials.
func anonymous(who interface {
	Account() string
	ServiceName() string
}) bool {
	return who.Account() == "" && who.ServiceName() == ""
}
