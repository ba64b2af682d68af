package sts

import (
	"context"

	"github.com/bastide-cloud/bastide/internal/api/sts"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
)

// Role is what AssumeRole must know of a role.
type Role struct {
	ARN, Account, Name, ID string
	Trust                  string
	MaxSession             int32 // seconds
	Tags                   map[string]string
}

// Roles finds roles by ARN, in any account; service/iam implements it.
type Roles interface {
	Role(ctx context.Context, roleARN string) (Role, bool, error)
}

// Deps are what the service works with.
type Deps struct {
	Roles  Roles
	Tokens *identity.Tokens
}

// Service is STS.
type Service struct{ Deps }

// New makes the service.
func New(d Deps) *Service { return &Service{d} }

// Unit is the service's table.
func (s *Service) Unit() gate.Unit {
	return gate.Unit{Model: sts.Service, Ops: s.Ops(), Reserved: reservedTag}
}

// Ops is the table: operation, access, needs, handler. Sessions leave no state behind, so all of
// them only read.
func (s *Service) Ops() []gate.Op {
	return []gate.Op{
		gate.On(sts.OpGetCallerIdentity, gate.Read, gate.Open[sts.GetCallerIdentityInput], s.getCallerIdentity),
		gate.On(sts.OpAssumeRole, gate.Read, s.needAssume, s.assumeRole),
		gate.On(sts.OpGetSessionToken, gate.Read, s.needSession, s.getSessionToken),
	}
}
