package identity

import (
	"encoding/json"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// kept is a principal at rest.
type kept struct {
	Session     Session `json:"s"`
	AccessKeyID string  `json:"i,omitempty"`
	InvokedBy   string  `json:"v,omitempty"`
	Open        bool    `json:"o,omitempty"`
}

// Keep writes down who the principal is, so that work that it asked for can go on after a restart.
// It holds no credential; whoever can write it can name a principal, so it belongs where only its
// service writes. Only users, roots and sessions can be kept.
func (p Principal) Keep() ([]byte, error) {
	f := p.facts()
	switch f.Kind {
	case KindUser, KindRoot, KindAssumedRole, KindFederatedUser:
		return json.Marshal(kept{f.Session, p.accessKeyID, p.invokedBy, p.open})
	}
	return nil, awserr.Of(awserr.AccessDenied, "%s cannot ask for work that goes on without it.", p)
}

// Kept is the principal that Keep wrote down, as long as its session lasts; afterwards the error is
// of the kind ExpiredToken.
func Kept(b []byte, now time.Time) (Principal, error) {
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return Principal{}, awserr.Wrap(err)
	}
	s := k.Session
	if (s.Kind == KindUser || s.Kind == KindRoot) && s.Expires.IsZero() {
		f := ofCredential(Credential{Root: s.Kind == KindRoot, Account: s.Account, ARN: s.UserARN, UserID: s.UserID, UserName: s.UserName, Tags: s.Tags})
		return Principal{f: f, accessKeyID: k.AccessKeyID, invokedBy: k.InvokedBy, open: k.Open}, nil
	}
	f, err := newFacts(s)
	if err != nil {
		return Principal{}, err
	}
	if !now.Before(s.Expires) {
		return Principal{}, awserr.Of(awserr.ExpiredToken, "The security token included in the request is expired")
	}
	return Principal{f: f, accessKeyID: k.AccessKeyID, invokedBy: k.InvokedBy, open: k.Open}, nil
}
