package ec2

import (
	"path"
	"slices"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/ec2"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// query is what a Describe operation asks for.
type query struct {
	kind    string
	ids     []string
	filters []api.Filter
	max     *int32
	token   *string
	dry     *bool
}

// list is a page of an owner's rows. facts gives a row's id, its tags, and what filters may ask for.
func list[T, Out any](c *gate.Call, t store.Table[T], q query, facts func(T) (string, map[string]string, map[string]string), shown func(T) Out) ([]Out, *string, error) {
	var none T
	_, _, known := facts(none)
	for _, f := range q.filters {
		name := wire.Val(f.Name)
		if _, ok := known[name]; !ok && name != "tag-key" && !strings.HasPrefix(name, "tag:") {
			return nil, nil, bad("InvalidParameterValue", "The filter '%s' is invalid", name)
		}
	}
	if err := dry(q.dry); err != nil {
		return nil, nil, err
	}
	o := owner{c.Account(), c.Region()}
	var found []T
	err := c.View(func(tx *store.Tx) (err error) {
		for _, id := range q.ids {
			if _, err := one(tx, t, o, q.kind, id); err != nil {
				return err
			}
		}
		found, err = all(tx, t, o, func(v T) bool {
			id, tags, have := facts(v)
			return (len(q.ids) == 0 || slices.Contains(q.ids, id)) && id > wire.Val(q.token) && !slices.ContainsFunc(q.filters, func(f api.Filter) bool { return !fits(f, tags, have) })
		})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	var next *string
	if q.max != nil && len(found) > int(*q.max) {
		found = found[:*q.max]
		id, _, _ := facts(found[len(found)-1])
		next = &id
	}
	out := make([]Out, 0, len(found))
	for _, v := range found {
		out = append(out, shown(v))
	}
	return out, next, nil
}

// fits tells whether one of a filter's values, in which * and ? stand for others, is the row's.
func fits(f api.Filter, tags, have map[string]string) bool {
	name := wire.Val(f.Name)
	if name == "tag-key" {
		return slices.ContainsFunc(f.Values, func(k string) bool { _, ok := tags[k]; return ok })
	}
	value, ok := have[name]
	if key, tag := strings.CutPrefix(name, "tag:"); tag {
		value, ok = tags[key]
	}
	return ok && slices.ContainsFunc(f.Values, func(p string) bool {
		match, err := path.Match(strings.NewReplacer(`[`, `\[`, `/`, "\x00").Replace(p), strings.ReplaceAll(value, "/", "\x00"))
		return err == nil && match
	})
}
