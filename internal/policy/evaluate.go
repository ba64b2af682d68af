package policy

// evaluation is one request being judged. It lives on the stack.
type evaluation struct {
	req    *Request
	who    *Principal
	action []byte // in lower case
}

// actionRoom holds the action of a request in lower case; longer ones (there are none in AWS) cost an
// allocation.
type actionRoom [96]byte

// evaluate begins to judge req. The room belongs to the caller, so that it can stay on the stack.
func evaluate(req *Request, room []byte) evaluation {
	e := evaluation{req: req, who: req.Principal}
	if e.who == nil {
		e.who = anonymous
	}
	e.action = append(room[:0], req.Action...)
	for i, c := range e.action {
		e.action[i] = lower(c)
	}
	return e
}

func (s *Statement) matchesAction(action []byte) bool {
	for i := range s.actions {
		if s.actions[i].match(action) {
			return s.NotActions == nil
		}
	}
	return s.NotActions != nil
}

// matchesResource: a statement without the element speaks about the resource it stands on.
func (s *Statement) matchesResource(e *evaluation) bool {
	if s.resources == nil {
		return true
	}
	for i := range s.resources {
		if s.resources[i].match(e.req.Resource, e) {
			return s.NotResources == nil
		}
	}
	return s.NotResources != nil
}

// matchesPrincipal: a statement without the element speaks about whoever the policy is attached to.
func (s *Statement) matchesPrincipal(e *evaluation) grant {
	if s.principals == nil {
		return grantDirect
	}
	return s.principals.applies(e.who, s.Allow)
}

func (s *Statement) conditionsHold(e *evaluation) bool {
	for i := range s.conditions {
		if !s.conditions[i].holds(e) {
			return false
		}
	}
	return true
}

// verdict is what one list of policies says.
type verdict struct {
	deny    *Statement
	allow   *Statement
	in      *Attached // the policy of deny or else of allow
	granted grant     // of allow
}

// read adds one policy to the verdict. The first denying statement ends it; of the allowing ones the
// closest grant counts.
func (v *verdict) read(e *evaluation, a *Attached) {
	p := a.Policy
	if p == nil {
		return
	}
	list, known := p.candidates(e.action)
	for _, i := range list {
		s := &p.statements[i]
		if s.Allow && v.granted == grantDirect {
			continue
		}
		if !known && !s.matchesAction(e.action) || !s.matchesResource(e) {
			continue
		}
		g := s.matchesPrincipal(e)
		if g == grantNone || s.Allow && g <= v.granted || !s.conditionsHold(e) {
			continue
		}
		v.in = a
		if !s.Allow {
			v.deny = s
			return
		}
		v.allow, v.granted = s, g
	}
}

func (v *verdict) readAll(e *evaluation, list []Attached) {
	for i := range list {
		if v.read(e, &list[i]); v.deny != nil {
			return
		}
	}
}

// readLevels reads the policies of an organisation from its root down: each level must allow.
func (v *verdict) readLevels(e *evaluation, levels [][]Attached) {
	all := true
	var last verdict
	for _, level := range levels {
		last = verdict{}
		if last.readAll(e, level); last.deny != nil {
			*v = last
			return
		}
		all = all && last.allow != nil
	}
	if all {
		*v = last
	}
}
