package gate

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

// TestChangeAndRecordAreOne: a change is there with its record, and one that was rolled back has
// left only the record of its failure.
func TestChangeAndRecordAreOne(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	if _, err := r.do(ann, r.put, &noteInput{Name: "n", Text: new("first")}); err != nil {
		t.Fatal(err)
	}
	recs := r.records()
	if len(recs) != 1 || recs[0].ErrorCode != "" || r.stored("n") != "first" {
		t.Fatalf("stored %q, records %v", r.stored("n"), names(recs))
	}
	if got := string(recs[0].RequestParameters); !strings.Contains(got, `"text":"first"`) {
		t.Errorf("parameters %s", got)
	}
	if got := string(recs[0].ResponseElements); !strings.Contains(got, `"text":"first"`) {
		t.Errorf("a Commit's answer belongs in the record, got %s", got)
	}
	if recs[0].UserIdentity.ARN != ann.ARN() || recs[0].AWSRegion != region || recs[0].RequestID == "" || len(recs[0].Resources) != 1 {
		t.Errorf("record %+v", recs[0])
	}
	r.handle["PutNote"] = func(c *Call, in *noteInput) (*noteOutput, error) {
		return &noteOutput{}, c.Update(func(tx *store.Tx) error {
			if err := notes.Put(tx, noteKey(in.Name), note{Text: "second"}); err != nil {
				return err
			}
			return awserr.New("TooLate", 400, "changed my mind")
		})
	}
	if _, err := r.do(ann, r.put, &noteInput{Name: "n"}); !awserr.Is(err, "TooLate") {
		t.Fatalf("got %v", err)
	}
	if got := r.stored("n"); got != "first" {
		t.Errorf("a change that failed left %q", got)
	}
	r.wantNames("PutNote/", "PutNote/TooLate")
}

// brokenTrail cannot write.
type brokenTrail struct {
	Trail
	append, note error
}

func (b *brokenTrail) Append(tx *store.Tx, r *Record) error {
	if b.append != nil {
		return b.append
	}
	return b.Trail.Append(tx, r)
}

func (b *brokenTrail) Note(r *Record) error {
	if b.note != nil {
		return b.note
	}
	return b.Trail.Note(r)
}

// TestNoRecordNoChange: where the record cannot be written the call fails, and with it the change.
func TestNoRecordNoChange(t *testing.T) {
	var broken *brokenTrail
	r := newRigOn(t, store.Options{RunTwice: true}, func(way Trail) Trail {
		broken = &brokenTrail{Trail: way}
		return broken
	})
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	broken.append = errors.New("no room for records")
	_, err := r.do(ann, r.put, &noteInput{Name: "n", Text: new("x")})
	r.refused(err, awserr.Internal)
	if got := r.stored("n"); got != "" {
		t.Errorf("a change without a record: %q", got)
	}
	broken.append, broken.note = nil, errors.New("no room for notes")
	_, err = r.do(ann, r.get, &noteInput{Name: "n"})
	if e := r.refused(err, awserr.Internal); !errors.Is(e, broken.note) {
		t.Errorf("a read without a record gave %v", e)
	}
	_, err = r.do(r.user("eve"), r.get, &noteInput{Name: "n"})
	if e := r.refused(err, awserr.Internal); !errors.Is(e, broken.note) {
		t.Errorf("a refusal without a record gave %v", e)
	}
}

// TestHandlerRules: what a handler may not do is an internal error, not a second lane.
func TestHandlerRules(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	nothing := func(*store.Tx) error { return nil }
	for _, c := range []struct {
		name string
		op   func(*Call) error
		read bool
		want error
	}{
		{"a Read op updates", func(c *Call) error { return c.Update(nothing) }, true, errReading},
		{"another op empties everything", (*Call).Empty, false, errEmpties},
		{"two Updates", func(c *Call) error { return errors.Join(c.Update(nothing), c.Update(nothing)) }, false, errTwice},
		{"View in Update", func(c *Call) error { return c.Update(func(*store.Tx) error { return c.View(nothing) }) }, false, errNested},
		{"Update in Update", func(c *Call) error { return c.Update(func(*store.Tx) error { return c.Update(nothing) }) }, false, errNested},
		{"Update in View", func(c *Call) error { return c.View(func(*store.Tx) error { return c.Update(nothing) }) }, false, errNested},
		{"a client of the call in Update", func(c *Call) error {
			return c.Update(func(*store.Tx) error {
				_, err := c.Forward("notes.amazonaws.com").Call(c.Context(), r.get, &noteInput{Name: "n"})
				return err
			})
		}, false, errNested},
		{"a client as a principal in View", func(c *Call) error {
			return c.View(func(*store.Tx) error {
				_, err := c.As(r.role("app")).Call(c.Context(), r.get, &noteInput{Name: "n"})
				return err
			})
		}, true, errNested},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := r.put
			if c.read {
				op = r.get
			}
			h := func(call *Call, _ *noteInput) (*noteOutput, error) { return &noteOutput{}, c.op(call) }
			r.handle["PutNote"], r.handle["GetNote"] = h, h
			if _, err := r.do(ann, op, &noteInput{Name: "n"}); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestOthersTablesAreOutOfReach: a handler has its own service's tables only, not even the trail's.
func TestOthersTablesAreOutOfReach(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	for _, space := range []string{audit.Space, "iam"} {
		table := store.NewTable[string](space, "records")
		r.handle["PutNote"] = func(c *Call, in *noteInput) (*noteOutput, error) {
			return &noteOutput{}, c.Update(func(tx *store.Tx) error { return table.Put(tx, store.K("x"), "forged") })
		}
		_, err := r.do(ann, r.put, &noteInput{Name: "n"})
		if _, ok := errors.AsType[*store.ScopeError](err); !ok {
			t.Errorf("writing to %s gave %v, want a ScopeError", space, err)
		}
	}
}

// TestClosuresRunTwice: a rig's closures do, so that what they leave outside shows in every test.
func TestClosuresRunTwice(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	runs := 0
	r.handle["PutNote"] = func(c *Call, in *noteInput) (*noteOutput, error) {
		return &noteOutput{}, c.Update(func(tx *store.Tx) error {
			runs++
			n, _, err := notes.Get(tx, noteKey(in.Name))
			if err != nil {
				return err
			}
			return notes.Put(tx, noteKey(in.Name), note{Text: n.Text + "."})
		})
	}
	if _, err := r.do(ann, r.put, &noteInput{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	if runs != 2 || r.stored("n") != "." || len(r.records()) != 1 {
		t.Errorf("%d runs left %q and %d records", runs, r.stored("n"), len(r.records()))
	}
}

// TestDecidedAgainOnChange: a permission that was taken away between the decision and the commit
// stops the commit, whether it stood in a row that Needs read or with the principal.
func TestDecidedAgainOnChange(t *testing.T) {
	const (
		open = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"notes:*","Resource":"*"}]}`
		shut = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"notes:PutNote","Resource":"*"}]}`
	)
	for _, c := range []struct {
		name    string
		between func(*rig, identity.Principal)
		allowed bool
	}{
		{"nothing changes", func(*rig, identity.Principal) {}, true},
		{"the note's policy denies", func(r *rig, _ identity.Principal) { r.keep("n", note{Policy: shut}) }, false},
		{"the note is touched, still open", func(r *rig, _ identity.Principal) { r.keep("n", note{Text: "other", Policy: open}) }, true},
		{"another note changes", func(r *rig, _ identity.Principal) { r.keep("other", note{Policy: shut}) }, true},
		{"the caller loses what it had", func(r *rig, who identity.Principal) {
			r.dir.grant(r, who, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`)
		}, false},
		{"the caller's policies change and still allow", func(r *rig, who identity.Principal) { r.dir.grant(r, who, mayAll) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			ann := r.user("ann")
			r.dir.grant(t, ann, "")
			r.keep("n", note{Text: "before", Policy: open})
			r.needs = needByNote
			var once sync.Once
			r.handle["PutNote"] = func(call *Call, in *noteInput) (*noteOutput, error) {
				once.Do(func() { c.between(r, ann) })
				return putNote(call, in)
			}
			_, err := r.do(ann, r.put, &noteInput{Name: "n", Text: new("mine")})
			if c.allowed {
				if err != nil || r.stored("n") != "mine" {
					t.Errorf("stored %q, %v", r.stored("n"), err)
				}
				return
			}
			r.refused(err, awserr.AccessDenied)
			if r.stored("n") == "mine" {
				t.Error("a change was committed after its permission had gone")
			}
			recs := r.records()
			if len(recs) != 1 || recs[0].ErrorCode != "AccessDeniedException" {
				t.Fatalf("records %v", names(recs))
			}
			if why := explained(t, recs[0]); why.Allowed {
				t.Errorf("explanation %+v", why)
			}
		})
	}
}

// needByNote asks the note's own policy.
func needByNote(a *Ask, in *noteInput) ([]Need, error) {
	n := Need{Action: "notes:" + a.op.Wire.Name, Resource: a.ARN("note/" + in.Name)}
	err := a.View(func(tx *store.Tx) error {
		row, ok, err := notes.Get(tx, noteKey(in.Name))
		if err != nil || !ok || row.Policy == "" {
			return err
		}
		p, err := a.Policy(policy.Resource, row.Policy)
		n.Policy = &policy.Attached{Policy: p, Where: "note " + in.Name}
		return err
	})
	return []Need{n}, err
}

// TestCallerWhoGoesAway: a call that ends with its caller is in the trail too.
func TestCallerWhoGoesAway(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	ctx, gone := context.WithCancel(t.Context())
	r.handle["GetNote"] = func(c *Call, in *noteInput) (*noteOutput, error) {
		gone()
		return nil, c.Context().Err()
	}
	in, err := r.get.Accept(&noteInput{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = r.gate.Do(ctx, Entry{Principal: ann, In: in, Region: region}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	r.wantNames("GetNote/InternalServerError")
}

// TestPanicIsAnError: a handler that panics fails its call, with a record, and takes nobody along.
func TestPanicIsAnError(t *testing.T) {
	r := newRig(t)
	ann := r.user("ann")
	r.dir.grant(t, ann, mayAll)
	r.handle["PutNote"] = func(c *Call, in *noteInput) (*noteOutput, error) {
		return &noteOutput{}, c.Update(func(tx *store.Tx) error {
			if err := notes.Put(tx, noteKey(in.Name), note{Text: "half"}); err != nil {
				return err
			}
			panic("secret thought")
		})
	}
	_, err := r.do(ann, r.put, &noteInput{Name: "n"})
	if e := r.refused(err, awserr.Internal); strings.Contains(e.Message, "thought") || e.Cause == nil {
		t.Errorf("message %q, cause %v", e.Message, e.Cause)
	}
	if got := r.stored("n"); got != "" {
		t.Errorf("a panic left %q", got)
	}
	r.wantNames("PutNote/InternalServerError")
}
