package app

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/bastide-cloud/bastide/internal/front"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/service/iam"
	"github.com/bastide-cloud/bastide/internal/service/sts"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// rooms are the services and what runs beside them.
type rooms struct {
	units []gate.Unit
	jobs  []func(context.Context) error
	stop  func()

	directory *iam.Directory
	apps      front.Applications
}

// wire makes every service and joins them: the one list.
func (s *Server) wire(ctx context.Context) error {
	r := &rooms{stop: func() {}}
	s.rooms = r
	iamService, err := iam.New(iam.Deps{IDs: s.ids, Sealer: s.sealer})
	if err != nil {
		return err
	}
	r.directory = iam.NewDirectory(iamService, s.db)
	r.units = []gate.Unit{
		iamService.Unit(),
		sts.New(sts.Deps{Roles: roles{r.directory}, Tokens: s.tokens}).Unit(),
	}
	r.apps = noApplications{}
	if s.gate, err = gate.New(gate.Deps{Store: s.db, Trail: gate.NewTrail(s.trail), Directory: r.directory, Clock: s.clock, IDs: s.ids}, r.units...); err != nil {
		return err
	}
	s.front = s.makeFront()
	return nil
}

func (s *Server) makeFront() *front.Front {
	ring := &identity.Keyring{Directory: s.rooms.directory, Tokens: s.tokens}
	if s.cfg.OpenCredentials {
		ring.Open = &identity.Credential{Active: true, Account: s.cfg.Account, UserName: adminName, UserID: "AIDA" + "OPENCREDENTIALS00",
			ARN: "arn:aws:iam::" + s.cfg.Account + ":user/" + adminName}
	}
	var models []*wire.Service
	for _, u := range s.rooms.units {
		models = append(models, u.Model)
	}
	return front.New(front.Deps{
		Router:    wire.NewRouter(s.cfg.Region, models),
		Verifier:  sigv4.New(sigv4.Options{Keys: ring, Clock: s.clock}),
		Gate:      s.gate,
		Apps:      s.rooms.apps,
		Strangers: s.trail,
		Local:     http.HandlerFunc(s.local),
		IDs:       s.ids,
		Log:       s.log,
	})
}

// roles shows IAM's roles to STS.
type roles struct{ *iam.Directory }

func (r roles) Role(ctx context.Context, roleARN string) (sts.Role, bool, error) {
	info, ok, err := r.Directory.Role(ctx, roleARN)
	return sts.Role(info), ok, err
}

// noApplications is the edge of a server without any.
type noApplications struct{}

func (noApplications) Owns(*http.Request) bool { return false }

func (noApplications) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// local answers the paths that are Bastide's own and carry no signature.
func (s *Server) local(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	services := map[string]string{}
	for _, u := range s.rooms.units {
		services[u.Model.ID] = "running"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "running", "version": s.version, "edition": "bastide",
		"services": services, "openCredentials": s.cfg.OpenCredentials}) // a caller who has gone away needs no answer
}
