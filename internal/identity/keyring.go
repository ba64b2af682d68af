package identity

import (
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

// Keyring finds the secret of an access key: of a long-term key in the directory, of a temporary
// one in its token. It implements sigv4.Keys.
type Keyring struct {
	Directory Directory
	Tokens    *Tokens
	// Open, only under --open-credentials, is whom every key stands for that is neither in the
	// directory nor comes with a token of ours. Its signatures are not compared.
	Open *Credential
}

// Key finds the secret. A deleted, inactive or unknown key and a foreign token are told apart by
// nothing but their kind.
func (k *Keyring) Key(accessKeyID, sessionToken string, now time.Time) (sigv4.Secret, error) {
	secret, err := k.find(accessKeyID, sessionToken, now)
	if e, ok := err.(*awserr.Error); ok && k.Open != nil && (e.Kind == awserr.UnknownAccessKey || e.Kind == awserr.InvalidToken) {
		return sigv4.Secret{Owner: ofCredential(*k.Open), Open: true}, nil
	}
	return secret, err
}

func (k *Keyring) find(accessKeyID, sessionToken string, now time.Time) (sigv4.Secret, error) {
	if sessionToken != "" {
		o, err := k.Tokens.open(accessKeyID, sessionToken, now)
		if err != nil {
			return sigv4.Secret{}, err
		}
		if id := o.Session.IssuingKey; id != "" {
			if c, ok := k.Directory.Lookup(id); !ok || !c.Active {
				return sigv4.Secret{}, invalidToken()
			}
		}
		return sigv4.Secret{Key: o.Secret, Owner: o.facts}, nil
	}
	c, ok := k.Directory.Lookup(accessKeyID)
	if !ok || !c.Active || c.Secret == "" {
		return sigv4.Secret{}, awserr.Of(awserr.UnknownAccessKey, "The security token included in the request is invalid.")
	}
	return sigv4.Secret{Key: c.Secret, Owner: ofCredential(c)}, nil
}

var _ sigv4.Keys = (*Keyring)(nil)
