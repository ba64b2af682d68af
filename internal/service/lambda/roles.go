package lambda

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// roleCache keeps sessions of execution roles, so that a burst of new instances takes a role once.
type roleCache struct {
	mu   sync.Mutex
	held map[Assumption]*held
}

// held is a session, or one that is being taken.
type held struct {
	mu   sync.Mutex
	cred Credentials
}

// fullLife is what a session must have left for a new instance: instances retire with theirs.
const fullLife = 45 * time.Minute

// session gives credentials of a function's role with at least life left.
func (s *Service) session(ctx context.Context, a Assumption, life time.Duration) (Credentials, error) {
	s.roles.mu.Lock()
	h := s.roles.held[a]
	if h == nil {
		if len(s.roles.held) >= maxTargets {
			clear(s.roles.held)
		}
		h = &held{}
		s.roles.held[a] = h
	}
	s.roles.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cred.Expiration.After(s.Clock.Now().Add(life)) {
		return h.cred, nil
	}
	cred, err := s.Roles.Assume(ctx, a)
	if err == nil {
		h.cred = cred
	}
	return cred, err
}

// Session gives a new instance of a function the credentials of its role.
func (s *Service) Session(ctx context.Context, f fleet.Function) (Credentials, error) {
	return s.session(ctx, assumption(f), fullLife)
}

func assumption(f fleet.Function) Assumption {
	return Assumption{Account: f.Account, Region: f.Region, RoleARN: f.Role, FunctionARN: f.ARN, SessionName: sessionName(f.Name)}
}

// sessionName is what a function's sessions are called: its name, which may be of one character where
// a session's has two at least.
func sessionName(function string) string {
	if len(function) < 2 {
		return function + "-"
	}
	return function
}

// renew replaces a session that may have been taken before the role was made anew.
func (s *Service) renew(a Assumption, cred Credentials) {
	s.roles.mu.Lock()
	defer s.roles.mu.Unlock()
	s.roles.held[a] = &held{cred: cred}
}

// logsOf acts at the door for the role that writes a stream.
func (s *Service) logsOf(ctx context.Context, st fleet.Stream) (wire.Caller, error) {
	name := st.FunctionARN[strings.LastIndexByte(st.FunctionARN, ':')+1:]
	cred, err := s.session(ctx, Assumption{st.Account, st.Region, st.Role, st.FunctionARN, sessionName(name)}, time.Minute)
	if err != nil {
		return nil, err
	}
	return s.Roles.Caller(cred, st.Region, nil)
}
