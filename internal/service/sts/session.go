package sts

import (
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/sts"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
)

func lower(s string) string { return strings.ToLower(s) }

func (s *Service) getCallerIdentity(c *gate.Call, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	p := c.Principal()
	return &sts.GetCallerIdentityOutput{UserId: new(p.UserID()), Account: new(p.Account()), Arn: new(p.ARN())}, nil
}

// needSession wants no permission: a user may always have a session of its own. Source: STS API
// Reference, GetSessionToken, "Permissions".
func (s *Service) needSession(a *gate.Ask, _ *sts.GetSessionTokenInput) ([]gate.Need, error) {
	if a.Principal().Temporary() || a.Principal().Kind() != identity.KindUser && a.Principal().Kind() != identity.KindRoot {
		return nil, awserr.Of(awserr.AccessDenied, "Cannot call GetSessionToken with session credentials")
	}
	return nil, nil
}

func (s *Service) getSessionToken(c *gate.Call, in *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, awserr.Of(awserr.NotImplemented, "MFA devices are not built in this version of Bastide.")
	}
	p := c.Principal()
	seconds := int32(12 * hour)
	if in.DurationSeconds != nil {
		seconds = *in.DurationSeconds
	}
	if p.Kind() == identity.KindRoot {
		seconds = min(seconds, hour) // the account itself gets no more, whatever it asks
	}
	creds, err := s.Tokens.Issue(identity.Session{Kind: p.Kind(), Account: p.Account(), UserName: p.UserName(), UserID: p.UserID(),
		UserARN: p.ARN(), Issued: c.Now(), Expires: c.Now().Add(time.Duration(seconds) * time.Second)})
	if err != nil {
		return nil, err
	}
	return &sts.GetSessionTokenOutput{Credentials: public(creds)}, nil
}

func public(c identity.Credentials) *sts.Credentials {
	return &sts.Credentials{AccessKeyId: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expiration: c.Expiration}
}
