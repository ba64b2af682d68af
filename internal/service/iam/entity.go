package iam

import (
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

func noEntity(format string, args ...any) error {
	return awserr.New("NoSuchEntity", 404, format, args...)
}

func conflict(format string, args ...any) error {
	return awserr.New("DeleteConflict", 409, format, args...)
}

func limit(format string, args ...any) error {
	return awserr.New("LimitExceeded", 409, format, args...)
}

func (k kind) missing(name string) error {
	return noEntity("The %s with name %s cannot be found.", k.noun, name)
}

// get reads one user or role.
func (k kind) get(tx *store.Tx, account, name string) (entity, error) {
	e, ok, err := k.table.Get(tx, nameKey(account, name))
	if err == nil && !ok {
		err = k.missing(name)
	}
	return e, err
}

// read is a handler's look at one user or role.
func (k kind) read(c *gate.Call, name string) (e entity, err error) {
	err = c.View(func(tx *store.Tx) error {
		e, err = k.get(tx, c.Account(), name)
		return err
	})
	return e, err
}

// change reads, alters and writes back one user or role.
func (k kind) change(c *gate.Call, name string, alter func(*store.Tx, *entity) error) error {
	return c.Update(func(tx *store.Tx) error {
		e, err := k.get(tx, c.Account(), name)
		if err != nil {
			return err
		}
		if err := alter(tx, &e); err != nil {
			return err
		}
		return k.table.Put(tx, nameKey(c.Account(), name), e)
	})
}

// add writes a new user or role, whose name must be free.
func (k kind) add(tx *store.Tx, e entity) error {
	_, taken, err := k.table.Get(tx, nameKey(e.Account, e.Name))
	if err != nil {
		return err
	}
	if taken {
		return awserr.New("EntityAlreadyExists", 409, "%s with name %s already exists.", k.title, e.Name)
	}
	return k.table.Put(tx, nameKey(e.Account, e.Name), e)
}

// remove deletes a user or role that nothing hangs on any more.
func (k kind) remove(tx *store.Tx, account, name string) error {
	e, err := k.get(tx, account, name)
	if err != nil {
		return err
	}
	if len(e.Attached) > 0 {
		return conflict("Cannot delete entity, must detach all policies first.")
	}
	if len(e.Inline) > 0 {
		return conflict("Cannot delete entity, must delete policies first.")
	}
	_, err = k.table.Delete(tx, nameKey(account, name))
	return err
}

// list reads one page of an account's users or roles.
func (k kind) list(c *gate.Call, p page, prefix *string) (out []entity, next *string, err error) {
	err = c.View(func(tx *store.Tx) error {
		out, next = nil, nil
		for row, err := range k.table.Scan(tx, store.K(c.Account()), store.Range{}) {
			if err != nil {
				return err
			}
			e := row.Value
			if !strings.HasPrefix(e.Path, pathOf(prefix)) || !p.after(e.Name) {
				continue
			}
			if len(out) == p.max {
				next = p.mark(out[len(out)-1].Name)
				return nil
			}
			out = append(out, e)
		}
		return nil
	})
	return out, next, err
}

func boundaryOf(e entity) *iam.AttachedPermissionsBoundary {
	if e.Boundary == "" {
		return nil
	}
	return &iam.AttachedPermissionsBoundary{PermissionsBoundaryType: new("Policy"), PermissionsBoundaryArn: &e.Boundary}
}

func tagList(tags map[string]string) []iam.Tag {
	var out []iam.Tag
	for _, k := range sortedKeys(tags) {
		out = append(out, iam.Tag{Key: k, Value: tags[k]})
	}
	return out
}

const maxTags = 50

// withTags adds tags to a set; keys differ without regard to case, as on AWS.
func withTags(old map[string]string, add []iam.Tag) (map[string]string, error) {
	out := make(map[string]string, len(old)+len(add))
	for k, v := range old {
		out[k] = v
	}
	seen := map[string]bool{}
	for _, t := range add {
		low := strings.ToLower(t.Key)
		if seen[low] {
			return nil, awserr.New("InvalidInput", 400, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[low] = true
		for k := range out {
			if strings.EqualFold(k, t.Key) {
				delete(out, k)
			}
		}
		out[t.Key] = t.Value
	}
	if len(out) > maxTags {
		return nil, limit("The number of tags has reached the maximum limit.")
	}
	return out, nil
}

// reservedTag words a tag of AWS's own.
func reservedTag(string) error {
	return awserr.New("InvalidInput", 400, "aws: prefixed tag key names are not allowed for external use.")
}

func without(tags map[string]string, keys []string) map[string]string {
	out := make(map[string]string, len(tags))
	for k, v := range tags {
		if !slices.ContainsFunc(keys, func(gone string) bool { return strings.EqualFold(gone, k) }) {
			out[k] = v
		}
	}
	return out
}
