package identity

import "time"

// Bounded is a session that stands for the principal for a while: from now until end, or until the
// principal's own end where that is sooner. One of a long-term key lasts no longer than the key does: it is
// refused while the key is gone or inactive. Services, authorized callers and nobody have none.
func (p Principal) Bounded(now, end time.Time) (Session, bool) {
	s := p.facts().Session
	switch s.Kind {
	case KindUser, KindRoot, KindAssumedRole, KindFederatedUser:
	default:
		return Session{}, false
	}
	if s.Expires.IsZero() && !p.open { // open credentials have no key that could be taken away
		s.IssuingKey = p.accessKeyID
	}
	if s.Expires.IsZero() || end.Before(s.Expires) {
		s.Expires = end
	}
	if s.Issued.IsZero() {
		s.Issued = now
	}
	return s, true
}
