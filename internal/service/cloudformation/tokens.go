package cloudformation

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// asking is a request with its client's token. A client that did not hear the answer sends both
// again and is told what the first was; the token with any other request is refused. A stack knows
// the token of its last operation and those of its change sets.
type asking struct {
	token string // "" where the client gave none
	sum   [sha256.Size]byte
}

func askedBy(operation string, token *string, in any) (asking, error) {
	b, err := json.Marshal(in)
	return asking{wire.Val(token), sha256.Sum256(append([]byte(operation+"\n"), b...))}, err
}

// sealAsking gives what a repeat is told by. It is sealed, for a parameter may be a secret that is
// short enough to be guessed from the sum.
func (s *Service) sealAsking(tx *store.Tx, p place, a asking) ([]byte, error) {
	if a.token == "" {
		return nil, nil
	}
	return s.sealer.Seal(tx, sealScope(p), p.key().Bytes(), a.sum[:])
}

// repeats reports whether a request is the one that token and asked were kept of; it fails where it
// brings the same token for something else.
func (s *Service) repeats(tx *store.Tx, p place, token string, asked []byte, a asking) (bool, error) {
	if a.token == "" || a.token != token {
		return false, nil
	}
	sum, err := s.sealer.Open(tx, p.key().Bytes(), asked)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(sum, a.sum[:]) {
		return false, awserr.New("TokenAlreadyExistsException", 400, "The client request token %s already exists: another request brought it.", token)
	}
	return true, nil
}

// begun reports whether the stack's operation, or its last, is what a request asks for again.
func (s *Service) begun(tx *store.Tx, st *stack, a asking) (bool, error) {
	if st.Op == nil {
		return false, nil
	}
	return s.repeats(tx, st.place(), st.Op.Token, st.Op.Asked, a)
}

// heard is the id of the stack whose operation a request asks for again, nil where it is new.
func (s *Service) heard(tx *store.Tx, c *gate.Call, name string, a asking) (*string, error) {
	st, ok, err := s.t.named(tx, c.Account(), c.Region(), name)
	if err != nil || !ok {
		return nil, err
	}
	if again, err := s.begun(tx, st, a); err != nil || !again {
		return nil, err
	}
	return new(st.id()), nil
}

// heardBefore is heard, before a request is looked at closely: what it asks for may have changed
// the answer since.
func (s *Service) heardBefore(c *gate.Call, name string, a asking) (id *string, err error) {
	err = c.View(func(tx *store.Tx) (err error) { id, err = s.heard(tx, c, name, a); return err })
	return id, err
}

// proposed is the answer to a request for a change set that is made already, nil where it is new.
func (s *Service) proposed(tx *store.Tx, c *gate.Call, name string, a asking) (*api.CreateChangeSetOutput, error) {
	st, ok, err := s.t.named(tx, c.Account(), c.Region(), name)
	if err != nil || !ok {
		return nil, err
	}
	for e, err := range s.t.changes.Scan(tx, st.place().key(), store.Range{}) {
		if err != nil {
			return nil, err
		}
		again, err := s.repeats(tx, st.place(), e.Value.Token, e.Value.Asked, a)
		if err != nil {
			return nil, err
		}
		if again {
			return &api.CreateChangeSetOutput{Id: new(st.changeSetID(&e.Value)), StackId: new(st.id())}, nil
		}
	}
	return nil, nil
}

// proposedBefore is proposed, before a request is looked at closely.
func (s *Service) proposedBefore(c *gate.Call, name string, a asking) (out *api.CreateChangeSetOutput, err error) {
	err = c.View(func(tx *store.Tx) (err error) { out, err = s.proposed(tx, c, name, a); return err })
	return out, err
}
