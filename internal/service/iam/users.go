package iam

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/store"
)

func (s *Service) createUser(c *gate.Call, in *iam.CreateUserInput) (*iam.CreateUserOutput, error) {
	tags, err := withTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	e := entity{Account: c.Account(), Name: in.UserName, Path: pathOf(in.Path), ID: s.ids.Unique("AIDA", 21), Created: c.Now(), Tags: tags}
	return gate.Commit(c, func(tx *store.Tx) (*iam.CreateUserOutput, error) {
		if err := s.setBoundary(tx, &e, in.PermissionsBoundary); err != nil {
			return nil, err
		}
		if err := s.t.users.add(tx, e); err != nil {
			return nil, err
		}
		return &iam.CreateUserOutput{User: new(s.user(e))}, nil
	})
}

func (s *Service) user(e entity) iam.User {
	return iam.User{Path: e.Path, UserName: e.Name, UserId: e.ID, Arn: e.arn(s.t.users), CreateDate: e.Created,
		PermissionsBoundary: boundaryOf(e), Tags: tagList(e.Tags)}
}

func (s *Service) getUser(c *gate.Call, in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	p := c.Principal()
	if in.UserName == nil && p.Kind() == identity.KindRoot {
		u := iam.User{Path: "/", UserName: "root", UserId: p.Account(), Arn: p.ARN(), CreateDate: c.Now()}
		return &iam.GetUserOutput{User: &u}, nil
	}
	e, err := s.t.users.read(c, selfName(p, in.UserName))
	if err != nil {
		return nil, err
	}
	return &iam.GetUserOutput{User: new(s.user(e))}, nil
}

func (s *Service) updateUser(c *gate.Call, in *iam.UpdateUserInput) (*iam.UpdateUserOutput, error) {
	err := c.Update(func(tx *store.Tx) error {
		e, err := s.t.users.get(tx, c.Account(), in.UserName)
		if err != nil {
			return err
		}
		if in.NewPath != nil {
			e.Path = *in.NewPath
		}
		if in.NewUserName == nil || *in.NewUserName == e.Name {
			return s.t.users.table.Put(tx, nameKey(e.Account, e.Name), e)
		}
		return s.rename(tx, e, *in.NewUserName)
	})
	return &iam.UpdateUserOutput{}, err
}

// rename moves a user and its access keys to a new name.
func (s *Service) rename(tx *store.Tx, e entity, name string) error {
	old := e.Name
	e.Name = name
	if strings.EqualFold(old, name) {
		return s.t.users.table.Put(tx, nameKey(e.Account, name), e)
	}
	if err := s.t.users.add(tx, e); err != nil {
		return err
	}
	keys, err := s.keysOf(tx, e.Account, old)
	if err != nil {
		return err
	}
	for _, k := range keys {
		k.User = name
		if err := s.t.keys.Put(tx, keyKey(k.ID), k); err != nil {
			return err
		}
	}
	_, err = s.t.users.table.Delete(tx, nameKey(e.Account, old))
	return err
}

func (s *Service) deleteUser(c *gate.Call, in *iam.DeleteUserInput) (*iam.DeleteUserOutput, error) {
	err := c.Update(func(tx *store.Tx) error {
		keys, err := s.keysOf(tx, c.Account(), in.UserName)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return conflict("Cannot delete entity, must delete access keys first.")
		}
		return s.t.users.remove(tx, c.Account(), in.UserName)
	})
	return &iam.DeleteUserOutput{}, err
}

func (s *Service) listUsers(c *gate.Call, in *iam.ListUsersInput) (*iam.ListUsersOutput, error) {
	p, err := pageOf(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	found, next, err := s.t.users.list(c, p, in.PathPrefix)
	out := &iam.ListUsersOutput{Users: []iam.User{}, Marker: next, IsTruncated: new(next != nil)}
	for _, e := range found {
		u := s.user(e)
		u.Tags, u.PermissionsBoundary = nil, nil // ListUsers leaves them out, as on AWS
		out.Users = append(out.Users, u)
	}
	return out, err
}

func (s *Service) tagUser(c *gate.Call, in *iam.TagUserInput) (*iam.TagUserOutput, error) {
	return &iam.TagUserOutput{}, s.t.users.tag(c, in.UserName, in.Tags)
}

func (s *Service) untagUser(c *gate.Call, in *iam.UntagUserInput) (*iam.UntagUserOutput, error) {
	return &iam.UntagUserOutput{}, s.t.users.untag(c, in.UserName, in.TagKeys)
}

func (s *Service) listUserTags(c *gate.Call, in *iam.ListUserTagsInput) (*iam.ListUserTagsOutput, error) {
	tags, next, err := s.t.users.tags(c, in.UserName, in.Marker, in.MaxItems)
	return &iam.ListUserTagsOutput{Tags: tags, Marker: next, IsTruncated: new(next != nil)}, err
}

func (k kind) tag(c *gate.Call, name string, add []iam.Tag) error {
	return k.change(c, name, func(_ *store.Tx, e *entity) (err error) {
		e.Tags, err = withTags(e.Tags, add)
		return err
	})
}

func (k kind) untag(c *gate.Call, name string, keys []string) error {
	return k.change(c, name, func(_ *store.Tx, e *entity) error {
		e.Tags = without(e.Tags, keys)
		return nil
	})
}

func (k kind) tags(c *gate.Call, name string, marker *string, max *int32) ([]iam.Tag, *string, error) {
	p, err := pageOf(marker, max)
	if err != nil {
		return nil, nil, err
	}
	e, err := k.read(c, name)
	if err != nil {
		return nil, nil, err
	}
	out, next := cut(tagList(e.Tags), p, func(t iam.Tag) string { return t.Key })
	if out == nil {
		out = []iam.Tag{}
	}
	return out, next, nil
}
