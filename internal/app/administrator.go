package app

import (
	"context"
	"path/filepath"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	adminName   = "admin"
	adminPolicy = "arn:aws:iam::aws:policy/AdministratorAccess"
)

// administrator makes, at the first start, a user who may do everything, through the door like
// everything else, and leaves the keys in a file for the owner of the data directory. After a
// crash between the two it makes new keys.
func (s *Server) administrator(ctx context.Context) error {
	path := filepath.Join(s.cfg.Data, credentialsFile)
	if ok, err := exists(path); ok || err != nil {
		return err
	}
	root, err := rootOf(s.cfg.Account, s.clock.Now())
	if err != nil {
		return err
	}
	c := iam.Client{Caller: gate.Client{Gate: s.gate, Principal: root, Region: s.cfg.Region, Account: s.cfg.Account}}
	_, err = c.CreateUser(ctx, &iam.CreateUserInput{UserName: adminName})
	if err != nil && !awserr.Is(err, "EntityAlreadyExists") {
		return err
	}
	if _, err := c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: adminName, PolicyArn: adminPolicy}); err != nil {
		return err
	}
	// Keys of which no file tells are of no use to anybody.
	have, err := c.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: new(adminName)})
	if err != nil {
		return err
	}
	for _, k := range have.AccessKeyMetadata {
		if _, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: new(adminName), AccessKeyId: wire.Val(k.AccessKeyId)}); err != nil {
			return err
		}
	}
	made, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new(adminName)})
	if err != nil {
		return err
	}
	return writePrivate(path, Credentials{AccessKeyID: made.AccessKey.AccessKeyId, SecretAccessKey: made.AccessKey.SecretAccessKey,
		Account: s.cfg.Account, UserName: adminName})
}

// rootOf is the account itself, for a short while.
func rootOf(account string, now time.Time) (identity.Principal, error) {
	return identity.Session{Kind: identity.KindRoot, Account: account, UserARN: arn.New("iam", "", account, "root").String(), UserID: account,
		Issued: now, Expires: now.Add(time.Hour)}.Principal()
}
