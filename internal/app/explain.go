package app

import (
	"encoding/json"
	"fmt"
	"strings"
)

// explanation is a refusal's explanation as the trail keeps it (policy.Explanation).
type explanation struct {
	Message   string
	Principal string
	Action    string
	Resource  string
	Deciding  *statementRef
	Policies  []struct {
		Where, Outcome string
		Statements     []json.RawMessage
	}
	Nearest []struct {
		statementRef
		Failing struct {
			Element       string
			Operator, Key string
			Wanted, Got   []string
		}
	}
	Remedies []struct {
		Place, Where string
		Statement    json.RawMessage
		Public       bool
	}
}

type statementRef struct {
	Where     string
	Statement int
	Sid       string
}

func (s statementRef) String() string {
	if s.Sid != "" {
		return fmt.Sprintf("%s, statement %s", s.Where, s.Sid)
	}
	return fmt.Sprintf("%s, statement %d", s.Where, s.Statement+1)
}

// explain prints a refusal's explanation.
func (r *Remote) explain(raw string) error {
	var e explanation
	if err := json.Unmarshal([]byte(raw), &e); err != nil {
		return fmt.Errorf("the explanation cannot be read: %w", err)
	}
	for _, l := range e.lines(r.Term) {
		if err := r.Term.Line("  %s", l); err != nil {
			return err
		}
	}
	return nil
}

func (e explanation) lines(t Terminal) []string {
	out := []string{plain(e.Message), "", "considered:"}
	if len(e.Policies) == 0 {
		out = append(out, "  no policy applies to this principal")
	}
	for _, p := range e.Policies {
		out = append(out, fmt.Sprintf("  %s: %s (%d statements)", plain(p.Where), p.Outcome, len(p.Statements)))
	}
	if e.Deciding != nil {
		out = append(out, "", t.paint(red, "decided by ")+plain(e.Deciding.String()))
	}
	for _, n := range e.Nearest {
		f := n.Failing
		line := fmt.Sprintf("nearest: %s; its %s does not match", n.statementRef, f.Element)
		if f.Key != "" {
			line = fmt.Sprintf("nearest: %s; its condition %s %s wants %s, the request has %s", n.statementRef, f.Operator, f.Key,
				list(f.Wanted), list(f.Got))
		} else if len(f.Wanted) > 0 {
			line += fmt.Sprintf(": it names %s, the request %s", list(f.Wanted), list(f.Got))
		}
		out = append(out, "", plain(line))
	}
	for _, r := range e.Remedies {
		where := r.Place + " policy"
		if r.Where != "" {
			where = r.Where
		}
		out = append(out, "", t.paint(bold, "the smallest statement that would allow it")+" (in the "+plain(where)+"):", "  "+string(r.Statement))
		if r.Public {
			out = append(out, t.paint(yellow, "  it opens the resource to everybody"))
		}
	}
	return out
}

func list(s []string) string {
	if len(s) == 0 {
		return "nothing"
	}
	return strings.Join(s, ", ")
}
