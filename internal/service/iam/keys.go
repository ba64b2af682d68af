package iam

import (
	"encoding/base64"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

// keysOf are a user's access keys, oldest first.
func (s *Service) keysOf(tx *store.Tx, account, user string) (out []key, err error) {
	for row, err := range s.t.keys.By("user").Scan(tx, store.K(account, strings.ToLower(user)), store.Range{}) {
		if err != nil {
			return nil, err
		}
		out = append(out, row.Value)
	}
	return out, nil
}

const maxKeys = 2

func (s *Service) createAccessKey(c *gate.Call, in *iam.CreateAccessKeyInput) (*iam.CreateAccessKeyOutput, error) {
	name := selfName(c.Principal(), in.UserName)
	secret := base64.StdEncoding.EncodeToString(s.ids.Bytes(30)) // 40 characters, as AWS's are
	k := key{ID: s.ids.Unique("AKIA", 20), Account: c.Account(), Active: true, Created: c.Now()}
	err := c.Update(func(tx *store.Tx) error {
		u, err := s.t.users.get(tx, c.Account(), name)
		if err != nil {
			return err
		}
		have, err := s.keysOf(tx, c.Account(), u.Name)
		if err != nil {
			return err
		}
		if len(have) >= maxKeys {
			return limit("Cannot exceed quota for AccessKeysPerUser: %d", maxKeys)
		}
		k.User = u.Name
		k.Secret, err = s.sealer.Seal(tx, sealScope(k.Account), []byte(k.ID), []byte(secret))
		if err != nil {
			return err
		}
		return s.t.keys.Put(tx, keyKey(k.ID), k)
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateAccessKeyOutput{AccessKey: &iam.AccessKey{UserName: k.User, AccessKeyId: k.ID, Status: k.status(),
		SecretAccessKey: secret, CreateDate: &k.Created}}, nil
}

func sealScope(account string) sealing.Scope {
	return sealing.Scope{Account: account, Resource: "iam/access-keys"}
}

func (k key) status() string {
	if k.Active {
		return "Active"
	}
	return "Inactive"
}

// ownKey reads a key that must belong to the named user.
func (s *Service) ownKey(tx *store.Tx, c *gate.Call, user *string, id string) (key, error) {
	k, ok, err := s.t.keys.Get(tx, keyKey(id))
	if err != nil {
		return k, err
	}
	if !ok || k.Account != c.Account() || !strings.EqualFold(k.User, selfName(c.Principal(), user)) {
		return k, noEntity("The Access Key with id %s cannot be found.", id)
	}
	return k, nil
}

func (s *Service) updateAccessKey(c *gate.Call, in *iam.UpdateAccessKeyInput) (*iam.UpdateAccessKeyOutput, error) {
	return &iam.UpdateAccessKeyOutput{}, c.Update(func(tx *store.Tx) error {
		k, err := s.ownKey(tx, c, in.UserName, in.AccessKeyId)
		if err != nil {
			return err
		}
		k.Active = in.Status == "Active"
		return s.t.keys.Put(tx, keyKey(k.ID), k)
	})
}

func (s *Service) deleteAccessKey(c *gate.Call, in *iam.DeleteAccessKeyInput) (*iam.DeleteAccessKeyOutput, error) {
	return &iam.DeleteAccessKeyOutput{}, c.Update(func(tx *store.Tx) error {
		k, err := s.ownKey(tx, c, in.UserName, in.AccessKeyId)
		if err != nil {
			return err
		}
		_, err = s.t.keys.Delete(tx, keyKey(k.ID))
		return err
	})
}

func (s *Service) listAccessKeys(c *gate.Call, in *iam.ListAccessKeysInput) (*iam.ListAccessKeysOutput, error) {
	p, err := pageOf(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	name := selfName(c.Principal(), in.UserName)
	var keys []key
	err = c.View(func(tx *store.Tx) error {
		if _, err := s.t.users.get(tx, c.Account(), name); err != nil {
			return err
		}
		keys, err = s.keysOf(tx, c.Account(), name)
		return err
	})
	found, next := cut(keys, p, func(k key) string { return k.ID })
	out := &iam.ListAccessKeysOutput{AccessKeyMetadata: []iam.AccessKeyMetadata{}, Marker: next, IsTruncated: new(next != nil)}
	for _, k := range found {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, iam.AccessKeyMetadata{UserName: &k.User, AccessKeyId: &k.ID,
			Status: new(k.status()), CreateDate: &k.Created})
	}
	return out, err
}
