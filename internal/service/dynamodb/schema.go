package dynamodb

import (
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/expression"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

const invalidParam = "One or more parameter values were invalid: "

func invalid(format string, args ...any) error { return expression.Invalid(format, args...) }

func notFound() error {
	return awserr.New("ResourceNotFoundException", 400, "Requested resource not found")
}

func noTable(name string) error {
	return awserr.New("ResourceNotFoundException", 400, "Requested resource not found: Table: %s not found", name)
}

func notBuilt(what string) error {
	return awserr.Of(awserr.NotImplemented, "%s is not built in this version of Bastide.", what)
}

// ARN is the table's name in policies and answers.
func (t *table) ARN() string {
	return arn.New("dynamodb", t.Region, t.Account, "table/"+t.Name).String()
}

func (t *table) indexARN(ix *index) string { return t.ARN() + "/index/" + ix.Name }

// typeOf is the declared type of a key attribute.
func (t *table) typeOf(name string) item.Type {
	for _, a := range t.Attributes {
		if a.Name == name {
			return item.TypeOf(a.Type)
		}
	}
	return item.Absent
}

// index is the index of that name.
func (t *table) index(name string) (*index, bool) {
	for i := range t.Indexes {
		if t.Indexes[i].Name == name {
			return &t.Indexes[i], true
		}
	}
	return nil, false
}

func (t *table) hasLocal() bool {
	for i := range t.Indexes {
		if t.Indexes[i].Local {
			return true
		}
	}
	return false
}

// names are the key's attributes.
func (k keySchema) names() []string {
	if k.Range == "" {
		return []string{k.Hash}
	}
	return []string{k.Hash, k.Range}
}

func (k keySchema) has(name string) bool { return name != "" && (name == k.Hash || name == k.Range) }

// Limits of key values, in bytes (Developer Guide, "Partition keys and sort keys").
const (
	maxHashKey  = 2048
	maxRangeKey = 1024
)

// checkKey checks a Key parameter: the table's key attributes, no more and no less.
func (t *table) checkKey(key item.Item) error {
	names := t.Key.names()
	if len(key) != len(names) {
		return invalid("The provided key element does not match the schema")
	}
	for _, n := range names {
		v := key.Get(n)
		if !v.Exists() || v.Type() != t.typeOf(n) {
			return invalid("The provided key element does not match the schema")
		}
	}
	return t.checkKeyValues(key)
}

// checkItem checks the key attributes of a whole item, those of its indexes included.
func (t *table) checkItem(it item.Item) error {
	for _, n := range t.Key.names() {
		v := it.Get(n)
		if !v.Exists() {
			return invalid(invalidParam+"Missing the key %s in the item", n)
		}
		if want := t.typeOf(n); v.Type() != want {
			return invalid(invalidParam+"Type mismatch for key %s expected: %s actual: %s", n, want, v.Type())
		}
	}
	if err := t.checkKeyValues(it); err != nil {
		return err
	}
	return t.checkIndexKeys(it)
}

func (t *table) checkKeyValues(it item.Item) error {
	for _, n := range t.Key.names() {
		v := it.Get(n)
		if empty := emptyKind(v); empty != "" {
			return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", empty, n)
		}
		if v.Type() == item.Number {
			continue
		}
		if n == t.Key.Hash && len(v.Text()) > maxHashKey { // the missing space is the service's own
			return invalid(invalidParam+"Size of hashkey has exceeded the maximum size limit of%d bytes", maxHashKey)
		}
		if n != t.Key.Hash && len(v.Text()) > maxRangeKey {
			return invalid(invalidParam+"Aggregated size of all range keys has exceeded the size limit of %d bytes", maxRangeKey)
		}
	}
	return nil
}

func emptyKind(v item.Value) string {
	switch {
	case v.Text() != "":
	case v.Type() == item.String:
		return "string"
	case v.Type() == item.Binary:
		return "binary"
	}
	return ""
}

// checkIndexKeys refuses values that an index cannot hold; an item without an index's keys is
// simply not in the index.
func (t *table) checkIndexKeys(it item.Item) error {
	for i := range t.Indexes {
		if err := t.fits(&t.Indexes[i], it); err != nil {
			return err
		}
	}
	return nil
}

// fits refuses values that one index cannot hold.
func (t *table) fits(ix *index, it item.Item) error {
	for _, n := range ix.Key.names() {
		v := it.Get(n)
		if !v.Exists() {
			continue
		}
		if want := t.typeOf(n); v.Type() != want {
			return invalid(invalidParam+"Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", n, want, v.Type(), ix.Name)
		}
		if empty := emptyKind(v); empty != "" {
			return invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. "+
				"The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s", empty, ix.Name, n)
		}
		if limit := ix.Key.limit(n); v.Type() != item.Number && len(v.Text()) > limit {
			return invalid(invalidParam+"Size of %s has exceeded the maximum size limit of %d bytes for index %s", n, limit, ix.Name)
		}
	}
	return nil
}

func (k keySchema) limit(name string) int {
	if name == k.Hash {
		return maxHashKey
	}
	return maxRangeKey
}

// holds reports whether the item has a row in the index.
func (ix *index) holds(it item.Item) bool {
	return it != nil && it.Get(ix.Key.Hash).Exists() && (ix.Key.Range == "" || it.Get(ix.Key.Range).Exists())
}

// project is the item as the index keeps it.
func (t *table) project(ix *index, it item.Item) item.Item {
	if ix.Projection == "ALL" {
		return it
	}
	names := append(t.Key.names(), ix.Key.names()...)
	return it.Pick(append(names, ix.NonKey...)...)
}

// projects reports whether the index keeps the attribute.
func (t *table) projects(ix *index, name string) bool {
	if ix.Projection == "ALL" || t.Key.has(name) || ix.Key.has(name) {
		return true
	}
	for _, n := range ix.NonKey {
		if n == name {
			return true
		}
	}
	return false
}

// checkPath refuses document paths into key attributes, which are scalars.
func (t *table) checkPath(head string, nested bool) error {
	if !nested {
		return nil
	}
	if t.Key.has(head) {
		return invalid("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: %s", head)
	}
	for i := range t.Indexes {
		if t.Indexes[i].Key.has(head) {
			return invalid("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: %s", head)
		}
	}
	return nil
}

func (t *table) checkPredicate(p *expression.Predicate) error {
	var err error
	p.Paths(func(head string, nested bool) {
		if err == nil {
			err = t.checkPath(head, nested)
		}
	})
	return err
}

// checkChange refuses updates of the key, then paths into key attributes.
func (t *table) checkChange(c *expression.Change) error {
	var err error
	c.Paths(func(head string, _, target bool) {
		if err == nil && target && t.Key.has(head) {
			err = invalid(invalidParam+"Cannot update attribute %s. This attribute is part of the key", head)
		}
	})
	c.Paths(func(head string, nested, _ bool) {
		if err == nil {
			err = t.checkPath(head, nested)
		}
	})
	return err
}
