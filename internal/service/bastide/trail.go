package bastide

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) queryAudit(c *gate.Call, in *bastide.QueryAuditInput) (*bastide.QueryAuditOutput, error) {
	f := audit.Filter{From: wire.Val(in.StartTime), To: wire.Val(in.EndTime), Principal: wire.Val(in.Principal), Account: c.Account(),
		EventName: wire.Val(in.EventName), EventSource: wire.Val(in.EventSource), ErrorCode: wire.Val(in.ErrorCode),
		RequestID: wire.Val(in.RequestId), Resource: wire.Val(in.Resource), Newest: wire.Val(in.Newest)}
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	denied := wire.Val(in.Denied)
	out := &bastide.QueryAuditOutput{Records: []bastide.AuditRecord{}}
	if in.After != nil {
		s.Live.ask(c.Now())
		s.Live.wait(c.Context(), *in.After)
		records, after, err := s.Live.after(*in.After, limit)
		if err != nil {
			return nil, err
		}
		out.After = &after
		for _, r := range records {
			if f.Matches(r) && (!denied || refused(r)) {
				if err := add(out, r); err != nil {
					return nil, err
				}
			}
		}
		return out, nil
	}
	if f.Newest {
		s.Live.ask(c.Now()) // somebody begins to follow
	}
	out.After = new(s.Live.now())
	for r, err := range s.Trail.Query(c.Context(), f) {
		if err != nil {
			return nil, err
		}
		if denied && !refused(r) {
			continue
		}
		if err := add(out, r); err != nil {
			return nil, err
		}
		if len(out.Records) == limit {
			break
		}
	}
	return out, nil
}

func refused(r audit.Record) bool { return strings.HasPrefix(r.ErrorCode, "AccessDenied") }

func add(out *bastide.QueryAuditOutput, r audit.Record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	out.Records = append(out.Records, bastide.AuditRecord{EventId: new(r.EventID), EventTime: new(r.EventTime), RequestId: new(r.RequestID), Record: new(string(raw))})
	return nil
}

func (s *Service) getAuditHead(c *gate.Call, _ *bastide.GetAuditHeadInput) (*bastide.GetAuditHeadOutput, error) {
	h, ok, err := s.Trail.Head(c.Context())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, awserr.New("NotFoundException", 404, "The trail has no record yet.")
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return &bastide.GetAuditHeadOutput{Head: new(string(raw))}, nil
}

func (s *Service) verifyAudit(c *gate.Call, in *bastide.VerifyAuditInput) (*bastide.VerifyAuditOutput, error) {
	var exported []audit.Head
	if in.Head != nil {
		var h audit.Head
		if err := json.Unmarshal([]byte(*in.Head), &h); err != nil {
			return nil, awserr.New("InvalidRequestException", 400, "The head is not one that bastide audit head printed: %v", err)
		}
		exported = append(exported, h)
	}
	report, err := s.Trail.Verify(c.Context(), exported...)
	if err != nil {
		return nil, err
	}
	out := &bastide.VerifyAuditOutput{Intact: new(report.OK()), Faults: []bastide.AuditFault{}}
	var records, unsigned int64
	for _, n := range report.Nodes {
		records, unsigned = records+n.Sealed, unsigned+n.Unsealed
	}
	out.Records, out.Unsigned = &records, &unsigned
	for _, p := range report.Problems {
		out.Faults = append(out.Faults, bastide.AuditFault{Position: new(p.First), Problem: new(p.String())})
	}
	return out, nil
}

// explainRequest finds a request's record, newest first: an id that a client sent twice belongs
// to its last call.
func (s *Service) explainRequest(c *gate.Call, in *bastide.ExplainRequestInput) (*bastide.ExplainRequestOutput, error) {
	f := audit.Filter{RequestID: in.RequestId, Account: c.Account(), Newest: true, Limit: 1}
	// Reads and refusals are written within a tenth of a second: a question asked at once waits.
	if err := s.Trail.Flush(c.Context()); err != nil {
		return nil, err
	}
	for r, err := range s.Trail.Query(c.Context(), f) {
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		out := &bastide.ExplainRequestOutput{RequestId: &in.RequestId, Record: new(string(raw))}
		if why, ok := r.Additional[audit.DecisionKey]; ok {
			text, err := json.Marshal(why)
			if err != nil {
				return nil, err
			}
			out.Explanation = new(string(text))
		}
		return out, nil
	}
	return nil, awserr.New("NotFoundException", 404, "The trail has no request %s (as of %s).", in.RequestId, c.Now().Format(time.RFC3339))
}
