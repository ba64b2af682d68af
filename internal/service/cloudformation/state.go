package cloudformation

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
	"github.com/bastide-cloud/bastide/internal/template"
)

const space = "cloudformation"

// stack is a stack's row.
type stack struct {
	Account, Region, Name, UUID string

	Status, Reason            string
	Created, Updated, Deleted time.Time
	version                   // what stands; its names are the stack's own
	Outputs                   []template.OutputValue
	Role                      string // that CloudFormation acts as
	Protected                 bool   // termination protection
	DisableRollback           bool
	OnFailure                 string
	RetainExceptOnCreate      bool
	Timeout                   time.Duration
	ChangeSet                 string // that made what stands

	Op *operation // that goes on, or that was last
}

// version is a template with what it was given.
type version struct {
	Template     string
	Description  string
	Parameters   []byte // sealed JSON of map[string]string: what was given
	Shown        []parameter
	Tags         map[string]string
	Capabilities []string
	Imports      []string // exports of other stacks
}

// parameter is a parameter as it may be shown.
type parameter struct{ Name, Value string }

// operation is a change of a stack that goes on.
type operation struct {
	ID        string
	Kind      string // CREATE, UPDATE or DELETE
	Phase     phase
	Mandate   gate.Mandate
	Token     string // the client's
	Asked     []byte // of the request that brought the token
	Begun     time.Time
	Next      *version // of an UPDATE: what shall stand
	ChangeSet string
	// Runner is the claim under which the operation is carried out: one whose lease ran out may no
	// longer begin anything.
	Runner int64

	DisableRollback, RetainExceptOnCreate bool

	// Of a DELETE: Before is the status that the stack has again if the deletion is cancelled.
	Retain []string
	Force  bool
	Before string
}

// phase is how far an operation has come.
type phase string

const (
	forwards  phase = "forwards"
	backwards phase = "backwards" // a creation is deleted, an update undone
	cleaning  phase = "cleaning"  // what stands is the new version
	sweeping  phase = "sweeping"  // what stands is the old version again
	ended     phase = "ended"
)

// resource is a row of a stack's resource. What it holds is sealed: properties may hold secrets.
type resource struct{ Sealed []byte }

// event is a line of a stack's history.
type event struct {
	ID, LogicalID, PhysicalID, Type, Status, Reason, Token string

	Properties string // JSON, without secrets
	At         time.Time
}

// export is an output that other stacks may import.
type export struct{ Stack, Value string }

// changeSet is a change that was asked for and not yet made.
type changeSet struct {
	Name, UUID     string
	Type           string // CREATE or UPDATE
	Status, Reason string
	Execution      string
	Description    string
	Created        time.Time
	Version        version
	Role           string
	OnFailure      string
	Changes        []deploy.Change
	Token          string // the client's
	Asked          []byte // of the request that brought the token
}

type tables struct {
	stacks    store.Table[stack]
	resources store.Table[resource]
	events    store.Table[event]
	exports   store.Table[export]
	imports   store.Table[bool]
	changes   store.Table[changeSet]
	queue     store.Outbox // stacks whose operation goes on
}

func newTables() tables {
	byName := store.Index[stack]{Name: "name", Unique: true, Keys: func(s stack) []store.Key {
		if s.Status == "DELETE_COMPLETE" {
			return nil // the name is free again
		}
		return []store.Key{store.K(s.Account, s.Region, s.Name)}
	}}
	return tables{
		stacks:    store.NewTable(space, "stacks", byName),
		resources: store.NewTable[resource](space, "resources"),
		events:    store.NewTable[event](space, "events"),
		exports:   store.NewTable[export](space, "exports"),
		imports:   store.NewTable[bool](space, "imports"),
		changes:   store.NewTable[changeSet](space, "changesets"),
		queue:     store.NewOutbox(space, "operations"),
	}
}

// place is where a stack's rows are.
type place struct{ Account, Region, UUID string }

func (p place) key() store.Key                      { return store.K(p.Account, p.Region, p.UUID) }
func (p place) resource(logicalID string) store.Key { return p.key().With(logicalID) }
func (p place) event(seq int64) store.Key           { return p.key().With(seq) }
func (p place) change(uuid string) store.Key        { return p.key().With(uuid) }

func (s *stack) place() place { return place{s.Account, s.Region, s.UUID} }

func exportKey(account, region, name string) store.Key { return store.K(account, region, name) }

func importKey(account, region, name, stackUUID string) store.Key {
	return exportKey(account, region, name).With(stackUUID)
}

func (s *stack) id() string {
	return arn.New("cloudformation", s.Region, s.Account, "stack/"+s.Name+"/"+s.UUID).String()
}

func (s *stack) changeSetID(c *changeSet) string {
	return arn.New("cloudformation", s.Region, s.Account, "changeSet/"+c.Name+"/"+c.UUID).String()
}

// busy reports whether an operation goes on.
func (s *stack) busy() bool { return s.Op != nil && s.Op.Phase != ended }

// named reads a stack by its id, also one that is deleted, or by its name.
func (t tables) named(tx *store.Tx, account, region, nameOrID string) (*stack, bool, error) {
	if !strings.HasPrefix(nameOrID, "arn:") {
		e, ok, err := t.stacks.By("name").Get(tx, store.K(account, region, nameOrID))
		return &e.Value, ok, err
	}
	a, err := arn.Parse(nameOrID)
	parts := strings.Split(a.Resource, "/")
	if err != nil || a.Service != "cloudformation" || a.Account != account || a.Region != region || len(parts) != 3 || parts[0] != "stack" {
		return nil, false, nil
	}
	s, ok, err := t.stacks.Get(tx, place{account, region, parts[2]}.key())
	return &s, ok && s.Name == parts[1], err
}

func (t tables) put(tx *store.Tx, s *stack) error { return t.stacks.Put(tx, s.place().key(), *s) }

// tell adds a line to a stack's history.
func (s *Service) tell(tx *store.Tx, st *stack, e event) error {
	seq := tx.NextSeq()
	e.At = tx.Now()
	if st.Op != nil {
		e.Token = st.Op.Token
	}
	if e.LogicalID == "" { // of the stack itself
		e.LogicalID, e.PhysicalID, e.Type = st.Name, st.id(), "AWS::CloudFormation::Stack"
		e.ID = s.ids.UUID()
	} else {
		e.ID = e.LogicalID + "-" + e.Status + "-" + e.At.Format("2006-01-02T15:04:05.000Z") + "-" + s.ids.Lower(4)
	}
	return s.t.events.Put(tx, st.place().event(seq), e)
}

// rows are a stack's resources.
func (s *Service) rows(tx *store.Tx, p place) (map[string]*deploy.Row, error) {
	out := map[string]*deploy.Row{}
	for e, err := range s.t.resources.Scan(tx, p.key(), store.Range{}) {
		if err != nil {
			return nil, err
		}
		plain, err := s.sealer.Open(tx, e.Key.Bytes(), e.Value.Sealed)
		if err != nil {
			return nil, err
		}
		row := &deploy.Row{}
		if err := json.Unmarshal(plain, row); err != nil {
			return nil, err
		}
		out[row.LogicalID] = row
	}
	return out, nil
}

func (s *Service) putRow(tx *store.Tx, p place, row deploy.Row) error {
	plain, err := json.Marshal(row)
	if err != nil {
		return err
	}
	k := p.resource(row.LogicalID)
	sealed, err := s.sealer.Seal(tx, sealScope(p), k.Bytes(), plain)
	if err != nil {
		return err
	}
	return s.t.resources.Put(tx, k, resource{sealed})
}

func sealScope(p place) sealing.Scope {
	return sealing.Scope{Account: p.Account, Region: p.Region, Resource: "cloudformation/stacks"}
}

// sealParameters keeps what a version was given; it opens only as this stack's.
func (s *Service) sealParameters(tx *store.Tx, p place, given map[string]string) ([]byte, error) {
	plain, err := json.Marshal(given)
	if err != nil {
		return nil, err
	}
	return s.sealer.Seal(tx, sealScope(p), p.key().Bytes(), plain)
}

func (s *Service) openParameters(tx *store.Tx, p place, v *version) (map[string]string, error) {
	if v.Parameters == nil {
		return map[string]string{}, nil
	}
	plain, err := s.sealer.Open(tx, p.key().Bytes(), v.Parameters)
	if err != nil {
		return nil, err
	}
	given := map[string]string{}
	return given, json.Unmarshal(plain, &given)
}
