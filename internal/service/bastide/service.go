package bastide

import (
	"context"
	"io"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// Status is what the server says of itself.
type Status struct {
	Version         string
	Account         string
	StartedAt       time.Time
	OpenCredentials bool
	Services        []string
	Waived          []string
	Goroutines      int
	Descriptors     int   // that the process has open
	Resident        int64 // memory, in bytes
	Instances, Idle int   // of functions: living, and how many of them rest
	Pool            Pool
}

// Pool is what is kept ready for functions' first events, and what became of those.
type Pool struct {
	Size, Ready, Starting        int   // ready ones at most, and now; a Size of 0: none are kept
	Memory, Held                 int64 // bytes at most, and now
	Hits, Misses, Bypasses, Died int64
	Kinds                        []PoolKind
}

// PoolKind is one sort of ready sandboxes.
type PoolKind struct {
	Name            string
	Ready, Starting int
	Held            int64
	Failure         string // why the last one could not be made; "" where it could
}

// Route is one application route. Authorization is NONE where anybody may call; URL is its
// addresses, by host and by path, with a space between.
type Route struct{ Name, Authorization, URL, Stack, Target string }

// Server is the process that the service is part of.
type Server interface {
	Status(context.Context) (Status, error)
	// Backup writes everything that is kept.
	Backup(context.Context, io.Writer) error
	// Reset empties everything, the services by empty, which records it with the change; it is refused
	// unless credentials are open.
	Reset(ctx context.Context, empty func() error) error
}

// Routes lists the routes of all applications.
type Routes interface {
	Routes(context.Context) ([]Route, error)
}

// Deps are what the service works with.
type Deps struct {
	Server Server
	Trail  *audit.Trail
	Live   *Live
	// Replaced: the trail is not the one that the installation began with.
	Replaced  bool
	Routes    Routes
	Functions Functions
}

// Service is Bastide's own.
type Service struct{ Deps }

// New makes the service.
func New(d Deps) *Service { return &Service{d} }

// Unit is the service's table.
func (s *Service) Unit() gate.Unit { return gate.Unit{Model: bastide.Service, Ops: s.Ops()} }

// Ops is the table: operation, access, needs, handler.
func (s *Service) Ops() []gate.Op {
	return []gate.Op{
		gate.On(bastide.OpGetStatus, gate.Read, need[bastide.GetStatusInput]("GetStatus"), s.getStatus),
		gate.On(bastide.OpQueryAudit, gate.Read, need[bastide.QueryAuditInput]("QueryAudit"), s.queryAudit),
		gate.On(bastide.OpGetAuditHead, gate.Read, need[bastide.GetAuditHeadInput]("GetAuditHead"), s.getAuditHead),
		gate.On(bastide.OpVerifyAudit, gate.Invoke, need[bastide.VerifyAuditInput]("VerifyAudit"), s.verifyAudit),
		gate.On(bastide.OpExplainRequest, gate.Read, need[bastide.ExplainRequestInput]("ExplainRequest"), s.explainRequest),
		gate.On(bastide.OpCreateBackup, gate.Invoke, need[bastide.CreateBackupInput]("CreateBackup"), s.createBackup),
		gate.On(bastide.OpAcknowledgeRoute, gate.Write, need[bastide.AcknowledgeRouteInput]("AcknowledgeRoute"), s.acknowledgeRoute),
		gate.On(bastide.OpRevokeAcknowledgement, gate.Write, need[bastide.RevokeAcknowledgementInput]("RevokeAcknowledgement"), s.revokeAcknowledgement),
		gate.On(bastide.OpListRoutes, gate.Read, need[bastide.ListRoutesInput]("ListRoutes"), s.listRoutes),
		gate.On(bastide.OpPutSigningProfile, gate.Write, needProfile("PutSigningProfile", func(in *bastide.PutSigningProfileInput) string { return in.ProfileName }), s.putSigningProfile),
		gate.On(bastide.OpGetSigningProfile, gate.Read, needProfileKey, s.getSigningProfile),
		gate.On(bastide.OpListSigningProfiles, gate.Read, need[bastide.ListSigningProfilesInput]("ListSigningProfiles"), s.listSigningProfiles),
		gate.On(bastide.OpRevokeSigningProfile, gate.Write, needProfile("RevokeSigningProfile", func(in *bastide.RevokeSigningProfileInput) string { return in.ProfileName }), s.revokeSigningProfile),
		gate.On(bastide.OpListFunctionProfiles, gate.Read, need[bastide.ListFunctionProfilesInput]("ListFunctionProfiles"), s.listFunctionProfiles),
		gate.Emptying(gate.On(bastide.OpReset, gate.Write, need[bastide.ResetInput]("Reset"), s.reset)),
	}
}

// need is the operation's own action; none of them has resources of its own.
func need[In any](action string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, _ *In) ([]gate.Need, error) {
		return []gate.Need{{Action: "bastide:" + action, Resource: "arn:aws:bastide::" + a.Account() + ":*"}}, nil
	}
}
