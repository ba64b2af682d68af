package cloudformation

import (
	"context"
	"encoding/json"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// journal keeps what an operation does to a stack's resources: each step is a row, its events and an
// audit record in one transaction.
type journal struct {
	s       *Service
	job     gate.Job
	at      place
	op      string
	runner  int64
	secrets []string
}

var _ deploy.Journal = (*journal)(nil)

func (s *Service) job(g *gate.Gate, name string, p place) gate.Job {
	return gate.Job{Gate: g, Name: name, Service: api.Service, Account: p.Account, Region: p.Region}
}

// stepped is a step as the audit trail tells it.
type stepped struct {
	StackID            string `json:"stackId"`
	LogicalResourceID  string `json:"logicalResourceId"`
	PhysicalResourceID string `json:"physicalResourceId,omitempty"`
	ResourceType       string `json:"resourceType"`
	ResourceStatus     string `json:"resourceStatus"`
	Reason             string `json:"reason,omitempty"`
}

func (j *journal) Begin(ctx context.Context, row deploy.Row, events ...deploy.Event) error {
	return j.write(ctx, &row, row.LogicalID, events, true)
}

func (j *journal) Done(ctx context.Context, row deploy.Row, events ...deploy.Event) error {
	return j.write(ctx, &row, row.LogicalID, events, false)
}

func (j *journal) Forget(ctx context.Context, logicalID string, events ...deploy.Event) error {
	return j.write(ctx, nil, logicalID, events, false)
}

func (j *journal) write(ctx context.Context, row *deploy.Row, logicalID string, events []deploy.Event, beginning bool) error {
	if row != nil {
		row.Reason = j.hide(row.Reason)
	}
	change := func(tx *store.Tx) error {
		st, ok, err := j.s.t.stacks.Get(tx, j.at.key())
		if err != nil {
			return err
		}
		if beginning && (!ok || st.Op == nil || st.Op.ID != j.op || st.Op.Runner != j.runner) {
			return deploy.ErrSuperseded
		}
		for _, e := range events {
			if err := j.s.tell(tx, &st, j.event(e)); err != nil {
				return err
			}
		}
		if row == nil {
			_, err := j.s.t.resources.Delete(tx, j.at.resource(logicalID))
			return err
		}
		kept := *row
		kept.Changed = tx.Now()
		return j.s.putRow(tx, j.at, kept)
	}
	if len(events) == 0 { // bookkeeping: no resource changed
		return j.job.Lease(ctx, change)
	}
	last := events[len(events)-1]
	what := stepped{j.at.UUID, logicalID, last.PhysicalID, last.Type, last.Status, j.hide(last.Reason)}
	return j.job.Update(ctx, what, change)
}

func (j *journal) event(e deploy.Event) event {
	out := event{LogicalID: e.LogicalID, PhysicalID: e.PhysicalID, Type: e.Type, Status: e.Status, Reason: j.hide(e.Reason)}
	if e.Properties != nil {
		if b, err := json.Marshal(j.hideIn(e.Properties)); err == nil {
			out.Properties = string(b)
		}
	}
	return out
}

// shortSecret is the length in characters below which a value is too common to be searched for in
// other text; it is hidden only where it is all there is.
const shortSecret = 4

// hide takes the values of NoEcho parameters out of a text.
func (j *journal) hide(text string) string {
	for _, s := range j.secrets {
		if text == s {
			return hidden
		}
		if len(s) >= shortSecret {
			text = strings.ReplaceAll(text, s, hidden)
		}
	}
	return text
}

func (j *journal) hideIn(v any) any {
	if len(j.secrets) == 0 {
		return v
	}
	switch v := v.(type) {
	case string:
		return j.hide(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = j.hideIn(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = j.hideIn(x)
		}
		return out
	}
	return v
}
