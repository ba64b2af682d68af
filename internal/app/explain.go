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
		Statements     []struct {
			Statement int
			Sid       string
			Effect    string
			Matches   bool
			Failing   *failing
		}
	}
	Nearest []struct {
		statementRef
		Failing failing
	}
	Remedies []struct {
		Place, Where string
		Statement    json.RawMessage
		Public       bool
	}
}

// failing is the element of a statement that does not match.
type failing struct {
	Element       string
	Operator, Key string
	Wanted, Got   []string
}

func (f failing) String() string {
	switch {
	case f.Key != "":
		return fmt.Sprintf("its condition %s on %s wants %s, the request has %s", f.Operator, f.Key, list(f.Wanted), list(f.Got))
	case len(f.Wanted) > 0:
		return fmt.Sprintf("its %s is %s, the request's %s", f.Element, list(f.Wanted), list(f.Got))
	}
	return "its " + f.Element + " does not match"
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
		out = append(out, "  "+plain(p.Where))
		for _, s := range p.Statements {
			name := s.Sid
			if name == "" {
				name = fmt.Sprint("statement ", s.Statement+1)
			}
			what := s.Effect + "s"
			if !s.Matches && s.Failing != nil {
				what = "does not apply: " + s.Failing.String()
			}
			out = append(out, plain(fmt.Sprintf("    %s %s", name, what)))
		}
	}
	if e.Deciding != nil {
		out = append(out, "", t.paint(red, "decided by ")+plain(e.Deciding.String()))
	}
	for _, n := range e.Nearest {
		line := fmt.Sprintf("nearest: %s; %s", n.statementRef, n.Failing)
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
