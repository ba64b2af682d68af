package policy

import (
	"slices"
	"strings"
)

// Kind is the place where a policy may stand; it decides which elements the document may have.
type Kind int

// The kinds.
const (
	Identity Kind = iota // of a user, group or role: no Principal
	Resource             // of a bucket, queue, function, key …: Principal required
	Trust                // of a role: Principal required, no Resource, only sts actions
	Boundary             // a permissions boundary
	Session              // passed to AssumeRole or GetFederationToken
	SCP                  // service control policy
	RCP                  // resource control policy: Principal is "*"
)

func (k Kind) String() string {
	switch k {
	case Identity:
		return "identity"
	case Resource:
		return "resource"
	case Trust:
		return "trust"
	case Boundary:
		return "boundary"
	case Session:
		return "session"
	case SCP:
		return "scp"
	case RCP:
		return "rcp"
	}
	return "unknown"
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Policy is one parsed document. It never changes and may be shared between goroutines.
type Policy struct {
	kind       Kind
	id         string
	version    string
	source     string
	statements []Statement
	index      index
}

// Kind is what the document was parsed as.
func (p *Policy) Kind() Kind { return p.kind }

// ID is the document's Id element.
func (p *Policy) ID() string { return p.id }

// Version is 2012-10-17 or 2008-10-17, which is also what a document without one has.
func (p *Policy) Version() string { return p.version }

// Source is the document as it was given.
func (p *Policy) Source() string { return p.source }

// Len is the number of statements.
func (p *Policy) Len() int { return len(p.statements) }

// Statement is the i-th statement, from 0.
func (p *Policy) Statement(i int) *Statement { return &p.statements[i] }

// Statement is one statement as written. Its slices and maps belong to the policy and are to be
// read only.
type Statement struct {
	Index        int
	Sid          string
	Allow        bool // Effect
	Actions      []string
	NotActions   []string
	Resources    []string
	NotResources []string
	// Principals and NotPrincipals are by type ("AWS", "Service", "Federated", "CanonicalUser");
	// the plain "*" is {"*": ["*"]}. nil when the statement does not have the element.
	Principals    map[string][]string
	NotPrincipals map[string][]string
	Conditions    []Condition
	Line, Column  int    // where the statement begins, from 1
	Source        string // the statement's own JSON

	actions    []actionPattern
	resources  []pattern
	principals *principalSet
	conditions []condition
}

// Condition is one operator and key of a statement, as written.
type Condition struct {
	Operator string // in IAM's spelling: ForAnyValue:StringLikeIfExists
	Key      string
	Values   []string
}

// index finds the statements that may speak about an action without looking at the others.
type index struct {
	// exact has, for each action that the document names in full, the statements whose Action or
	// NotAction element is satisfied. It is empty for documents so large that building it would
	// take long.
	exact map[string][]int32
	// services has, for each service that the document names, the statements that may match one of
	// its other actions; any has those for all other services.
	services map[string][]int32
	any      []int32
}

// exactWork bounds the comparisons spent on index.exact: it grows with the square of the document.
const exactWork = 1 << 18

func (p *Policy) buildIndex() {
	p.index.services = map[string][]int32{}
	named, patterns := map[string]bool{}, 0
	for i := range p.statements {
		for j := range p.statements[i].actions {
			a := &p.statements[i].actions[j]
			patterns++
			if service, _, ok := strings.Cut(a.text, ":"); ok && !strings.ContainsAny(service, "*?") {
				p.index.services[service] = nil
			}
			if a.shape == shapeLiteral {
				named[a.text] = true
			}
		}
	}
	for i := range p.statements {
		if p.statements[i].mayMatchService("") {
			p.index.any = append(p.index.any, int32(i))
		}
	}
	for service := range p.index.services {
		var list []int32
		for i := range p.statements {
			if p.statements[i].mayMatchService(service) {
				list = append(list, int32(i))
			}
		}
		p.index.services[service] = list
	}
	if len(named)*patterns > exactWork {
		return
	}
	p.index.exact = make(map[string][]int32, len(named))
	for action := range named {
		var list []int32
		for i := range p.statements {
			if p.statements[i].matchesAction([]byte(action)) {
				list = append(list, int32(i))
			}
		}
		p.index.exact[action] = list
	}
}

// mayMatchService says whether the statement can match any action of service; "" stands for one that
// the document does not name.
func (s *Statement) mayMatchService(service string) bool {
	if s.NotActions != nil {
		return true
	}
	return slices.ContainsFunc(s.actions, func(a actionPattern) bool {
		named, _, ok := strings.Cut(a.text, ":")
		return !ok || strings.ContainsAny(named, "*?") || named == service
	})
}

// candidates lists the statements that may match action (in lower case), and whether their action
// elements are known to.
func (p *Policy) candidates(action []byte) ([]int32, bool) {
	if list, ok := p.index.exact[string(action)]; ok {
		return list, true
	}
	for i, c := range action {
		if c == ':' {
			if list, ok := p.index.services[string(action[:i])]; ok {
				return list, false
			}
			break
		}
	}
	return p.index.any, false
}

// actionPattern is an action with wildcards, in lower case: actions are not case-sensitive.
type actionPattern struct {
	text  string
	shape shape
}

func compileAction(s string) actionPattern {
	a := actionPattern{text: strings.ToLower(s)}
	switch i := strings.IndexAny(a.text, "*?"); {
	case a.text == "*" || a.text == "*:*":
		a.shape = shapeAny
	case i < 0:
		a.shape = shapeLiteral
	case i == len(a.text)-1 && a.text[i] == '*':
		a.shape = shapePrefix
	}
	return a
}

// match takes the action in lower case as bytes, so that lowering it needs no allocation.
func (a *actionPattern) match(action []byte) bool {
	switch a.shape {
	case shapeAny:
		return true
	case shapeLiteral:
		return string(action) == a.text
	case shapePrefix:
		n := len(a.text) - 1
		return len(action) >= n && string(action[:n]) == a.text[:n]
	}
	return glob(a.text, action)
}

// glob matches bytes: action names are ASCII.
func glob(pattern string, s []byte) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
