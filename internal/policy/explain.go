package policy

// Explanation says why a request is allowed or denied, as a value that can be kept, shown and
// encoded as JSON. Allowed, Reason and Deciding are always those of Decide.
type Explanation struct {
	Allowed   bool            `json:"allowed"`
	Reason    Reason          `json:"reason"`
	Message   string          `json:"message,omitempty"` // AWS's wording of a denial
	Principal string          `json:"principal"`
	Action    string          `json:"action"`
	Resource  string          `json:"resource"`
	Deciding  *StatementRef   `json:"deciding,omitempty"`
	Policies  []PolicyOutcome `json:"policies"`           // all that were considered
	Denials   []StatementRef  `json:"denials,omitempty"`  // every explicit deny; each must go before anything is allowed
	Nearest   []NearMiss      `json:"nearest,omitempty"`  // of a denial: the Allow statements that failed last
	Remedies  []Remedy        `json:"remedies,omitempty"` // of a denial without explicit deny: all are needed
}

// StatementRef names one statement of one policy.
type StatementRef struct {
	Kind   Kind   `json:"kind"`
	Policy string `json:"policy,omitempty"`
	ARN    string `json:"arn,omitempty"`
	Where  string `json:"where,omitempty"`
	Index  int    `json:"statement"` // from 0
	Sid    string `json:"sid,omitempty"`
	Line   int    `json:"line,omitempty"` // in the policy document, from 1
	Column int    `json:"column,omitempty"`
}

// PolicyOutcome is what one policy says about the request.
type PolicyOutcome struct {
	Kind       Kind               `json:"kind"`
	Policy     string             `json:"policy,omitempty"`
	ARN        string             `json:"arn,omitempty"`
	Where      string             `json:"where,omitempty"`
	Level      int                `json:"level,omitempty"` // of an SCP or RCP: 0 is the organisation's root
	Outcome    Outcome            `json:"outcome"`
	Statements []StatementOutcome `json:"statements"`
}

// Outcome is Allow, Deny or, for neither, None.
type Outcome string

// The outcomes.
const (
	OutcomeAllow Outcome = "Allow"
	OutcomeDeny  Outcome = "Deny"
	OutcomeNone  Outcome = "None"
)

// StatementOutcome is what one statement says: its effect when it matches, or the element that does
// not.
type StatementOutcome struct {
	Index   int      `json:"statement"`
	Sid     string   `json:"sid,omitempty"`
	Effect  Outcome  `json:"effect"`
	Matches bool     `json:"matches"`
	Failing *Failing `json:"failing,omitempty"`
}

// Failing is the first element of a statement that the request does not satisfy, in the order
// Action, Resource, Principal, Condition.
type Failing struct {
	Element  string   `json:"element"` // Action, NotAction, Resource, NotResource, Principal, NotPrincipal, Condition
	Operator string   `json:"operator,omitempty"`
	Key      string   `json:"key,omitempty"`
	Wanted   []string `json:"wanted"`
	Got      []string `json:"got"` // empty: the request has no such key
}

// NearMiss is an Allow statement that would have counted but for one element.
type NearMiss struct {
	StatementRef
	Failing Failing `json:"failing"`
}

// maxNearest bounds the near misses told.
const maxNearest = 5

// Explain judges req as Decide does and says why.
func Explain(req *Request, set *Set) Explanation {
	d := Decide(req, set)
	x := explainer{out: Explanation{Allowed: d.Allowed, Reason: d.Reason, Message: d.Message(req),
		Principal: req.Principal.name(), Action: req.Action, Resource: req.Resource, Policies: []PolicyOutcome{}}}
	var room actionRoom
	x.e = evaluate(req, room[:])
	x.consider(set)
	if d.Statement != nil {
		ref := refer(d.Kind, d.By, d.Statement)
		x.out.Deciding = &ref
	}
	if !d.Allowed {
		x.nearest()
		if len(x.out.Denials) == 0 {
			x.out.Remedies = x.remedies(set)
		}
	}
	return x.out
}

type explainer struct {
	e      evaluation
	out    Explanation
	misses []miss
}

// miss is a near miss with how far the statement got: 1 past the action, 2 past the resource, 3 past
// the principal.
type miss struct {
	NearMiss
	progress int
}

// consider judges every policy that applies to this kind of caller.
func (x *explainer) consider(set *Set) {
	for i, level := range set.RCPs {
		x.policies(RCP, level, i)
	}
	subject := x.e.who.hasIdentity()
	if subject {
		for i, level := range set.SCPs {
			x.policies(SCP, level, i)
		}
	}
	if set.Resource != nil {
		x.policy(x.e.resourceKind(set), set.Resource, 0)
	}
	if !subject {
		return
	}
	x.policies(Identity, set.Identity, 0)
	if set.Boundary != nil {
		x.policy(Boundary, set.Boundary, 0)
	}
	x.policies(Session, set.Session, 0)
}

func (x *explainer) policies(k Kind, list []Attached, level int) {
	for i := range list {
		x.policy(k, &list[i], level)
	}
}

func (x *explainer) policy(k Kind, a *Attached, level int) {
	out := PolicyOutcome{Kind: k, Policy: a.Name, ARN: a.ARN, Where: a.Where, Level: level,
		Outcome: OutcomeNone, Statements: []StatementOutcome{}}
	for i := range a.Policy.count() {
		s := &a.Policy.statements[i]
		so := StatementOutcome{Index: i, Sid: s.Sid, Effect: s.effect()}
		failing, progress := s.failing(&x.e)
		switch {
		case failing != nil:
			so.Failing = failing
			if s.Allow && progress > 0 {
				x.misses = append(x.misses, miss{NearMiss{refer(k, a, s), *failing}, progress})
			}
		default:
			so.Matches = true
			if out.Outcome != OutcomeDeny {
				out.Outcome = s.effect()
			}
			if !s.Allow {
				x.out.Denials = append(x.out.Denials, refer(k, a, s))
			}
		}
		out.Statements = append(out.Statements, so)
	}
	x.out.Policies = append(x.out.Policies, out)
}

func (p *Policy) count() int {
	if p == nil {
		return 0
	}
	return len(p.statements)
}

func (s *Statement) effect() Outcome {
	if s.Allow {
		return OutcomeAllow
	}
	return OutcomeDeny
}

func refer(k Kind, a *Attached, s *Statement) StatementRef {
	return StatementRef{Kind: k, Policy: a.Name, ARN: a.ARN, Where: a.Where, Index: s.Index, Sid: s.Sid,
		Line: s.Line, Column: s.Column}
}

// failing finds the first element that the request does not satisfy and how many were satisfied
// before it; nil when the statement matches.
func (s *Statement) failing(e *evaluation) (*Failing, int) {
	pick := func(name string, plain, negated []string, got string) *Failing {
		if negated != nil {
			return &Failing{Element: "Not" + name, Wanted: negated, Got: []string{got}}
		}
		return &Failing{Element: name, Wanted: plain, Got: []string{got}}
	}
	if !s.matchesAction(e.action) {
		return pick("Action", s.Actions, s.NotActions, e.req.Action), 0
	}
	if !s.matchesResource(e) {
		return pick("Resource", s.Resources, s.NotResources, e.req.Resource), 1
	}
	if s.matchesPrincipal(e) == grantNone {
		var not []string
		if s.principals.not {
			not = principalNames(s.NotPrincipals)
		}
		return pick("Principal", principalNames(s.Principals), not, e.who.name()), 2
	}
	for i := range s.conditions {
		if c := &s.conditions[i]; !c.holds(e) {
			written := &s.Conditions[i]
			got := e.lookup(c.key).Strings()
			if got == nil {
				got = []string{}
			}
			return &Failing{Element: "Condition", Operator: written.Operator, Key: written.Key,
				Wanted: written.Values, Got: got}, 3
		}
	}
	return nil, 4
}

// principalNames lists the values of a Principal element, types in a fixed order.
func principalNames(m map[string][]string) []string {
	out := []string{}
	for _, kind := range [...]string{"*", "AWS", "Service", "Federated", "CanonicalUser"} {
		out = append(out, m[kind]...)
	}
	return out
}

// nearest keeps the Allow statements that got furthest, in the order in which they were met.
func (x *explainer) nearest() {
	for progress := 3; progress > 0 && len(x.out.Nearest) < maxNearest; progress-- {
		for _, m := range x.misses {
			if m.progress == progress && len(x.out.Nearest) < maxNearest {
				x.out.Nearest = append(x.out.Nearest, m.NearMiss)
			}
		}
	}
}
