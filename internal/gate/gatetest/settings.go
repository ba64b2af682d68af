package gatetest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bastide-cloud/bastide/internal/gate"
)

// Settings are what the template of one resource may say.
type Settings struct {
	Resource gate.Resource
	Making   gate.Making
	// Least is what a template has to say: made anew for each resource, as what it stands in cannot
	// have two alike.
	Least func() map[string]any
	// More are the properties that it may say beside, each with a value that shows. A value that
	// stands on other properties has them with it. "all" is all of them, put together where it is
	// left out.
	More map[string]map[string]any
	// Fixed are properties that one operation alone looks at, or that have one value.
	Fixed []string
	// Read is what the service says of the resource.
	Read func(id string, props map[string]any) any
	// Changing are members of that which no two resources have alike.
	Changing []string
}

// Check makes the resource with the least, updates it to each setting and to all, and back: what
// comes out is each time what a creation from the same properties would be.
func (s Settings) Check(t *testing.T) {
	t.Helper()
	s.complete(t)
	all := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.More)) {
		maps.Copy(all, s.More[name])
	}
	fresh := s.show(t, s.create(t, s.Least()))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(s.More)), "all")))) {
		more := s.More[name]
		if name == "all" && more == nil {
			more = all
		}
		t.Run(name, func(t *testing.T) {
			least := s.Least()
			full := maps.Clone(least)
			maps.Copy(full, more)
			it := s.create(t, least)
			s.update(t, &it, full)
			said := s.show(t, it)
			if said == fresh {
				t.Errorf("an update to %s shows nothing", name)
			}
			other := s.Least()
			maps.Copy(other, more)
			if d := cmp.Diff(s.show(t, s.create(t, other)), said); d != "" {
				t.Errorf("an update to %s makes another than a creation (-created +updated):\n%s", name, d)
			}
			s.update(t, &it, least)
			if d := cmp.Diff(fresh, s.show(t, it)); d != "" {
				t.Errorf("an update that drops %s leaves it in force (-fresh +updated):\n%s", name, d)
			}
		})
	}
}

// complete wants every property that can be updated.
func (s Settings) complete(t *testing.T) {
	t.Helper()
	least := s.Least()
	for _, p := range s.Resource.Properties {
		top, _, _ := strings.Cut(p, ".")
		if _, ok := least[top]; !ok && s.More[top] == nil && !slices.Contains(s.Fixed, top) && !slices.Contains(s.Resource.Replace, top) {
			t.Errorf("%s: property %s is not in the table", s.Resource.Type, top)
		}
	}
}

type instance struct {
	id    string
	props map[string]any
}

func (s Settings) create(t *testing.T, props map[string]any) instance {
	t.Helper()
	made, err := s.Resource.Create(t.Context(), s.Making, props)
	if err != nil {
		t.Fatalf("create %v: %v", props, err)
	}
	return instance{made.ID, props}
}

func (s Settings) update(t *testing.T, it *instance, props map[string]any) {
	t.Helper()
	made, err := s.Resource.Update(t.Context(), s.Making, it.id, it.props, props)
	if err != nil || made.ID != it.id {
		t.Fatalf("update to %v: %q, %v", props, made.ID, err)
	}
	it.props = props
}

func (s Settings) show(t *testing.T, it instance) string {
	t.Helper()
	b, err := json.Marshal(s.Read(it.id, it.props))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if b, err = json.MarshalIndent(without(v, s.Changing), "", " "); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// without is a JSON value without its nulls and the members with these names.
func without(v any, names []string) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil || slices.Contains(names, k) {
				delete(v, k)
			} else {
				v[k] = without(e, names)
			}
		}
	case []any:
		for i := range v {
			v[i] = without(v[i], names)
		}
	}
	return v
}
