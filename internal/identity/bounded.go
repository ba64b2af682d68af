package identity

import "time"

// Bounded is a session that stands for the principal for a while: from now until end, or until the
// principal's own end where that is sooner. Services, authorized callers and nobody have none.
func (p Principal) Bounded(now, end time.Time) (Session, bool) {
	s := p.facts().Session
	switch s.Kind {
	case KindUser, KindRoot, KindAssumedRole, KindFederatedUser:
	default:
		return Session{}, false
	}
	if s.Expires.IsZero() || end.Before(s.Expires) {
		s.Expires = end
	}
	if s.Issued.IsZero() {
		s.Issued = now
	}
	return s, true
}
