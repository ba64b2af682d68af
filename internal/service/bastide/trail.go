package bastide

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// queryAudit searches the trail, or follows it. A search oldest first gives a mark to go on from
// while there may be more; one newest first gives the live position to follow from.
func (s *Service) queryAudit(c *gate.Call, in *bastide.QueryAuditInput) (*bastide.QueryAuditOutput, error) {
	f := audit.Filter{From: wire.Val(in.StartTime), To: wire.Val(in.EndTime), Principal: wire.Val(in.Principal), Account: c.Account(),
		EventName: wire.Val(in.EventName), EventSource: wire.Val(in.EventSource), ErrorCode: wire.Val(in.ErrorCode),
		RequestID: wire.Val(in.RequestId), Resource: wire.Val(in.Resource), Newest: wire.Val(in.Newest)}
	wanted := func(r audit.Record) bool { return f.Matches(r) && (!wire.Val(in.Denied) || refused(r)) }
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	mark, search := strings.CutPrefix(wire.Val(in.After), searchMark)
	if in.After != nil && !search {
		return s.follow(c, *in.After, limit, wanted)
	}
	skip := 0
	if search {
		var err error
		if skip, err = strconv.Atoi(mark); err != nil || skip < 0 || f.Newest {
			return nil, awserr.New("InvalidRequestException", 400, "After is not a mark of this search.")
		}
	}
	out := &bastide.QueryAuditOutput{Records: []bastide.AuditRecord{}}
	if f.Newest {
		s.Live.ask(c.Now()) // somebody begins to follow
		out.After = new(s.Live.now())
	}
	seen := 0
	for r, err := range s.Trail.Query(c.Context(), f) {
		if err != nil {
			return nil, err
		}
		if !wanted(r) {
			continue
		}
		if seen++; seen <= skip {
			continue
		}
		if len(out.Records) == limit {
			if !f.Newest {
				out.After = new(searchMark + strconv.Itoa(skip+limit))
			}
			break
		}
		if err := add(out, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// searchMark begins the mark of a search: how many records it has given. The trail only grows at its
// end, so that counting is exact unless retention takes its beginning away meanwhile.
const searchMark = "search:"

func (s *Service) follow(c *gate.Call, position string, limit int, wanted func(audit.Record) bool) (*bastide.QueryAuditOutput, error) {
	s.Live.ask(c.Now())
	s.Live.wait(c.Context(), position)
	records, after, err := s.Live.after(position, limit)
	if err != nil {
		return nil, err
	}
	out := &bastide.QueryAuditOutput{Records: []bastide.AuditRecord{}, After: &after}
	for _, r := range records {
		if !wanted(r) {
			continue
		}
		if err := add(out, r); err != nil {
			return nil, err
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
	if s.Replaced {
		out.Intact = new(false)
		out.Faults = append(out.Faults, bastide.AuditFault{Position: new(int64(1)), Problem: new("the trail's key is not the one that this installation began with: the records before are gone")})
	}
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
