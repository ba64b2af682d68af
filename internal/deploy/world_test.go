package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/template"
)

// world is a service whose things exist outside of any run, and a journal; a crash can be set for
// before or after any of its effects, after which nothing has an effect until the world is revived.
type world struct {
	t      *testing.T
	mu     sync.Mutex
	things map[string]*thing // by physical id
	rows   map[string][]byte
	events []string
	made   int // how many were ever made

	left    int // effects until the crash; negative: none
	crashed bool
	refuse  map[string]bool // logical ids that cannot be made or changed
	keep    map[string]bool // physical ids that cannot be deleted
	taken   bool            // another operation has the stack
}

type thing struct {
	value string
	owner string

	uses []string
}

var errCrash = errors.New("the process was killed")

func newWorld(t *testing.T) *world {
	return &world{t: t, things: map[string]*thing{}, rows: map[string][]byte{}, left: -1, refuse: map[string]bool{}, keep: map[string]bool{}}
}

// effect happens unless the process dies before it; it may also die right after it.
func (w *world) effect(do func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.crashed || w.tick() {
		return errCrash
	}
	if err := do(); err != nil {
		return err
	}
	if w.tick() {
		return errCrash
	}
	return nil
}

func (w *world) tick() bool {
	if w.left < 0 {
		return false
	}
	w.left--
	w.crashed = w.crashed || w.left < 0
	return w.crashed
}

func (w *world) types(t *testing.T) Types {
	t.Helper()
	res := gate.Resource{Type: "Test::World::Thing", Attributes: []string{"Arn", "Value"}, Properties: []string{"Name", "Value", "Kind", "Uses", "Tags", "Tags.Key", "Tags.Value", "Open", "Nested.Inner"},
		Unbuilt: map[string]map[string]string{"Nested.Inner": {"deep": "Inner deep needs a sea, which is not built"}},
		Lacks: func(props map[string]any) []gate.Lack {
			if list, _ := props["Uses"].([]any); len(list) == 2 && list[1] == "wind" {
				return []gate.Lack{{Path: []string{"Uses", "1"}, What: "wind is not built"}, {Path: []string{"Uses", "1"}, What: "wind is not built"}, {Path: []string{"Uses", "7", "x"}, What: "rain is not built"}}
			}
			return nil
		},
		Replace: []string{"Name", "Kind"}, Create: w.create, Update: w.update, Delete: w.delete}
	types, err := NewTypes(res)
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func text(props map[string]any, name string) string {
	if props[name] == nil {
		return ""
	}
	return fmt.Sprint(props[name])
}

func uses(props map[string]any) []string {
	var out []string
	list, _ := props["Uses"].([]any)
	for _, x := range list {
		out = append(out, fmt.Sprint(x))
	}
	return out
}

func (w *world) create(_ context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	id := m.Name
	if text(props, "Name") != "" {
		id = text(props, "Name")
	}
	made := gate.Made{ID: id, Attributes: map[string]any{"Value": text(props, "Value"), "Arn": "arn:" + id}}
	err := w.effect(func() error {
		if w.refuse[m.LogicalID] {
			return awserr.New("Refused", 400, "%s is refused", m.LogicalID)
		}
		if have := w.things[id]; have != nil {
			if m.Owns(id, map[string]string{gate.TagStackID: m.StackID, gate.TagLogicalID: have.owner}) {
				return nil
			}
			return awserr.New("AlreadyExists", 409, "%s exists", id)
		}
		for _, u := range uses(props) {
			if w.things[u] == nil {
				w.t.Errorf("%s was made before %s, which it uses", id, u)
			}
		}
		w.made++
		w.things[id] = &thing{value: text(props, "Value"), owner: m.LogicalID, uses: uses(props)}
		return nil
	})
	if err != nil {
		return gate.Made{}, err
	}
	return made, nil
}

func (w *world) update(_ context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	err := w.effect(func() error {
		if w.refuse[m.LogicalID] && text(after, "Value") != "old" {
			return awserr.New("Refused", 400, "%s is refused", m.LogicalID)
		}
		if w.things[id] == nil {
			return awserr.New("NotFound", 404, "%s is gone", id)
		}
		w.things[id].value, w.things[id].uses = text(after, "Value"), uses(after)
		return nil
	})
	return gate.Made{ID: id, Attributes: map[string]any{"Value": text(after, "Value"), "Arn": "arn:" + id}}, err
}

func (w *world) delete(_ context.Context, _ gate.Making, id string, _ map[string]any) error {
	return w.effect(func() error {
		if w.keep[id] {
			return awserr.New("InUse", 400, "%s is kept", id)
		}
		for other, th := range w.things {
			if other != id && slices.Contains(th.uses, id) {
				w.t.Errorf("%s was deleted before %s, which uses it", id, other)
			}
		}
		delete(w.things, id)
		return nil
	})
}

func (w *world) Begin(_ context.Context, row Row, events ...Event) error {
	if w.taken {
		return ErrSuperseded
	}
	return w.write(row.LogicalID, &row, events)
}

func (w *world) Done(_ context.Context, row Row, events ...Event) error {
	return w.write(row.LogicalID, &row, events)
}

func (w *world) Forget(_ context.Context, id string, events ...Event) error {
	return w.write(id, nil, events)
}

func (w *world) write(id string, row *Row, events []Event) error {
	return w.effect(func() error {
		for _, e := range events {
			w.events = append(w.events, e.LogicalID+" "+e.Status)
		}
		if row == nil {
			delete(w.rows, id)
			return nil
		}
		b, err := json.Marshal(row)
		w.rows[id] = b
		return err
	})
}

// run is a new process's run over what the journal has.
func (w *world) run(op string) *Run {
	w.t.Helper()
	r := &Run{Stack: Stack{ID: "arn:stack/s/1", Name: "s", Account: "123456789012", Region: "eu-west-1"}, Types: w.types(w.t), Journal: w, Op: op, Rows: map[string]*Row{}}
	for id, b := range w.rows {
		row := &Row{}
		if err := json.Unmarshal(b, row); err != nil {
			w.t.Fatal(err)
		}
		r.Rows[id] = row
	}
	return r
}

func bound(t *testing.T, body string) *template.Graph {
	t.Helper()
	tpl, err := template.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	g, err := tpl.Bind(template.Inputs{Account: "123456789012", Region: "eu-west-1", StackName: "s", StackID: "arn:stack/s/1"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// state is what exists, by the logical ids that made it.
func (w *world) state() string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(w.things)) {
		out = append(out, w.things[id].owner+"="+w.things[id].value)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
