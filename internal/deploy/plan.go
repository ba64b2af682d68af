package deploy

import (
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template"
)

// Change is what an operation would do to one resource.
type Change struct {
	Action      string // Add, Modify or Remove
	Replacement string // True, False or Conditional; "" but for Modify
	LogicalID   string
	PhysicalID  string
	Type        string
	Details     []Detail
}

// Detail is one thing that differs.
type Detail struct {
	Attribute string // Properties, Tags, Metadata, DeletionPolicy or UpdateReplacePolicy
	Name      string // of the property
	Recreate  string // Never, Always or Conditionally
	// Dynamic: the value depends on another resource that is made anew, Cause.
	Dynamic       bool
	Cause         string
	Before, After any
}

// unknown stands in a property for what a resource will be known by once it is made.
const unknown = "{{changeSet:KNOWN_AFTER_APPLY"

// Plan says what Forward and CleanUp would do, without doing it: an empty plan is a template that
// the stack already is.
func Plan(types Types, stack Stack, rows map[string]*Row, g *template.Graph) ([]Change, error) {
	anew := map[string]bool{}
	rows = settled(rows)
	lookup := func(id string) (string, func(string) (any, bool), bool) {
		row := rows[id]
		if anew[id] || row == nil || !row.Now.exists() {
			mark := unknown + ":" + id + "}}"
			return mark, func(string) (any, bool) { return mark, true }, true
		}
		return row.Now.PhysicalID, func(name string) (any, bool) { v, ok := row.Now.Attributes[name]; return v, ok }, true
	}
	var out []Change
	for _, res := range g.Resources {
		row := rows[res.LogicalID]
		if row == nil || !row.Now.exists() {
			anew[res.LogicalID] = true
			out = append(out, Change{Action: "Add", LogicalID: res.LogicalID, Type: res.Type})
			continue
		}
		k := types.byName[res.Type]
		c := Change{Action: "Modify", LogicalID: res.LogicalID, PhysicalID: row.Now.PhysicalID, Type: res.Type, Replacement: "False"}
		want, err := g.Properties(res.LogicalID, lookup)
		if err != nil {
			if !waits(res, anew) {
				return nil, err
			}
			// A function of a value that is not known yet.
			c.Replacement, c.Details = "Conditional", []Detail{{Attribute: "Properties", Recreate: "Conditionally", Dynamic: true}}
			out = append(out, c)
			continue
		}
		want = stack.tagged(k, res.LogicalID, res.Metadata, want)
		c.compare(k, row.Now, want, res)
		if row.Now.Type != res.Type {
			c.Replacement = "True"
		}
		if len(c.Details) > 0 || c.Replacement == "True" {
			anew[res.LogicalID] = c.Replacement != "False"
			out = append(out, c)
		}
	}
	return append(out, removals(rows, g)...), nil
}

func settled(rows map[string]*Row) map[string]*Row {
	out := make(map[string]*Row, len(rows))
	for id, r := range rows {
		c := r.clone()
		c.settle()
		out[id] = &c
	}
	return out
}

func waits(res *template.Resource, anew map[string]bool) bool {
	return slices.ContainsFunc(res.DependsOn, func(id string) bool { return anew[id] })
}

func removals(rows map[string]*Row, g *template.Graph) []Change {
	var out []Change
	for _, id := range sortedRows(rows) {
		row := rows[id]
		if g.Resource(id) == nil && (row.Now != nil || len(row.Trash) > 0) {
			out = append(out, Change{Action: "Remove", LogicalID: id, PhysicalID: row.Now.physical(), Type: row.Type()})
		}
	}
	return out
}

func sortedRows(rows map[string]*Row) []string {
	ids := make([]string, 0, len(rows))
	for id := range rows {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// compare lists what differs and whether that makes the resource anew.
func (c *Change) compare(k kind, have *Instance, want map[string]any, res *template.Resource) {
	recreate := k.replaces(have.Properties, want)
	for _, name := range changed(have.Properties, want) {
		d := Detail{Attribute: "Properties", Name: name, Recreate: "Never", Before: have.Properties[name], After: want[name]}
		if name == "Tags" {
			d.Attribute, d.Name = "Tags", ""
		}
		d.Cause = cause(want[name])
		d.Dynamic = d.Cause != ""
		if slices.Contains(recreate, name) {
			d.Recreate = "Always"
			if d.Dynamic {
				d.Recreate = "Conditionally"
			}
			if c.Replacement != "True" {
				c.Replacement = map[bool]string{true: "Conditional", false: "True"}[d.Dynamic]
			}
		}
		c.Details = append(c.Details, d)
	}
	for _, a := range []struct {
		name string
		same bool
	}{{"Metadata", same(have.Metadata, res.Metadata)}, {"DeletionPolicy", have.DeletionPolicy == res.DeletionPolicy},
		{"UpdateReplacePolicy", have.UpdateReplacePolicy == res.UpdateReplacePolicy}} {
		if !a.same {
			c.Details = append(c.Details, Detail{Attribute: a.name, Recreate: "Never"})
		}
	}
}

// cause is the resource that a value waits for, "" for none.
func cause(v any) string {
	switch v := v.(type) {
	case string:
		if _, rest, ok := strings.Cut(v, unknown+":"); ok {
			id, _, _ := strings.Cut(rest, "}}")
			return id
		}
	case []any:
		for _, x := range v {
			if c := cause(x); c != "" {
				return c
			}
		}
	case map[string]any:
		for _, x := range v {
			if c := cause(x); c != "" {
				return c
			}
		}
	}
	return ""
}
