package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	bastideapi "github.com/bastide-cloud/bastide/internal/api/bastide"
	logsapi "github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/edge"
	"github.com/bastide-cloud/bastide/internal/front"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/sandbox/pool"
	"github.com/bastide-cloud/bastide/internal/service/apigateway"
	"github.com/bastide-cloud/bastide/internal/service/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/service/bastide"
	"github.com/bastide-cloud/bastide/internal/service/cloudformation"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb"
	"github.com/bastide-cloud/bastide/internal/service/ec2"
	"github.com/bastide-cloud/bastide/internal/service/iam"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
	"github.com/bastide-cloud/bastide/internal/service/logs"
	"github.com/bastide-cloud/bastide/internal/service/s3"
	"github.com/bastide-cloud/bastide/internal/service/sts"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// rooms are the services and what runs beside them.
type rooms struct {
	units     []gate.Unit
	resources []gate.Resource
	jobs      []func(context.Context) error
	stop      func()
	instances func() (living, resting int)
	pool      func() pool.Stats

	directory *iam.Directory
	edge      *edge.Edge
	networks  *ec2.Service
}

// wire makes every service and joins them: the one list.
func (s *Server) wire(ctx context.Context) error {
	r := &rooms{stop: func() {}}
	s.rooms = r
	s.lines = newLines()
	s.refusals = newTally(func(h gate.Happening) error { return s.gate.Happened(h) })
	s.departures = newDepartures(s.clock, func(h gate.Happening) error { return s.gate.Happened(h) })
	r.jobs = append(r.jobs, s.refusals.run, s.departures.run)
	iamService, err := iam.New(iam.Deps{IDs: s.ids, Sealer: s.sealer})
	if err != nil {
		return err
	}
	r.directory = iam.NewDirectory(iamService, s.db)
	live := bastide.NewLive()
	logsService := logs.New(logs.Deps{IDs: s.ids, Events: s.events})
	ddb := dynamodb.New(dynamodb.Deps{IDs: s.ids})
	var functions *lambda.Service
	r.networks = ec2.New(ec2.Deps{IDs: s.ids, Used: func(ctx context.Context, account, region, id string) (bool, error) {
		return lambda.NewDirectory(functions, s.db).InNetwork(ctx, account, region, id)
	}})
	if functions, err = s.lambda(r); err != nil {
		return err
	}
	httpAPIs := apigatewayv2.New(apigatewayv2.Deps{IDs: s.ids, Endpoint: s.endpoint})
	buckets := s3.New(s3.Deps{IDs: s.ids, Blobs: s.db.Blobs(), Sealer: s.sealer})
	restAPIs := apigateway.New(apigateway.Deps{IDs: s.ids})
	r.units = []gate.Unit{
		iamService.Unit(),
		sts.New(sts.Deps{Roles: roles{r.directory}, Tokens: s.tokens}).Unit(),
		ddb.Unit(),
		functions.Unit(),
		functions.Packages(),
		r.networks.Unit(),
		logsService.Unit(),
		buckets.Unit(),
		bastide.New(bastide.Deps{Server: s, Trail: s.trail, Live: live, Replaced: s.replaced, Routes: routes{s}, Functions: profiles{s, functions}}).Unit(),
		httpAPIs.Unit(),
		restAPIs.Unit(),
	}
	r.units = append(r.units, edge.Units()...)
	r.resources = slices.Concat(r.resources, iamService.Resources(), ddb.Resources(), functions.Resources(), r.networks.Resources(), logsService.Resources(), httpAPIs.Resources(), buckets.Resources(), restAPIs.Resources(), cloudformation.Resources())
	stacks, err := s.cloudFormation(r)
	if err != nil {
		return err
	}
	r.units = append(r.units, stacks.Unit())
	r.jobs = append(r.jobs, func(ctx context.Context) error { return live.Run(ctx, s.trail, s.clock) })
	r.jobs = append(r.jobs, func(ctx context.Context) error { return ddb.Run(ctx, s.gate) })
	r.jobs = append(r.jobs, func(ctx context.Context) error {
		return logsService.Run(ctx, gate.Job{Gate: s.gate, Name: "ExpireEvents", Service: logsapi.Service, Account: s.cfg.Account, Region: s.cfg.Region})
	})
	r.jobs = append(r.jobs, s.sweep)
	if s.gate, err = gate.New(gate.Deps{Store: s.db, Trail: gate.NewTrail(s.trail, s.cfg.marks()...), Directory: r.directory, Principals: r.directory, Clock: s.clock, IDs: s.ids}, r.units...); err != nil {
		return err
	}
	if r.edge, err = s.applications(httpAPIs, restAPIs, functions); err != nil {
		return err
	}
	s.front, err = s.makeFront(ctx)
	return err
}

// verifier checks signatures with the keys of IAM and of sessions.
func (s *Server) verifier() *sigv4.Verifier {
	ring := &identity.Keyring{Directory: s.rooms.directory, Tokens: s.tokens}
	if s.cfg.OpenCredentials {
		ring.Open = &identity.Credential{Active: true, Account: s.cfg.Account, UserName: adminName, UserID: "AIDA" + "OPENCREDENTIALS00",
			ARN: "arn:aws:iam::" + s.cfg.Account + ":user/" + adminName}
	}
	return sigv4.New(sigv4.Options{Keys: ring, Clock: s.clock})
}

func (s *Server) makeFront(ctx context.Context) (*front.Front, error) {
	config, err := s.tlsConfig(ctx)
	if err != nil {
		return nil, err
	}
	var models []*wire.Service
	for _, u := range s.rooms.units {
		if u.Model == edge.Service || u.Model == edge.URLService {
			continue // applications are reached by their own addresses
		}
		models = append(models, u.Model)
	}
	return front.New(front.Deps{
		Router:    wire.NewRouter(s.cfg.Region, models),
		Verifier:  s.verifier(),
		Gate:      s.gate,
		Apps:      s.rooms.edge,
		Strangers: s.trail,
		Local:     http.HandlerFunc(s.local),
		IDs:       s.ids,
		Log:       s.log,
		TLS:       config,
		Hosts:     s.cfg.Hosts,
	}), nil
}

// roles shows IAM's roles to STS.
type roles struct{ *iam.Directory }

func (r roles) Role(ctx context.Context, roleARN string) (sts.Role, bool, error) {
	info, ok, err := r.Directory.Role(ctx, roleARN)
	return sts.Role(info), ok, err
}

// local answers the paths that are Bastide's own and carry no signature.
func (s *Server) local(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/_bastide/reset" {
		s.reset(w, r)
		return
	}
	services := map[string]string{}
	for _, u := range s.rooms.units {
		services[u.Model.ID] = "running"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "running", "version": s.version, "edition": "bastide",
		"services": services, "openCredentials": s.cfg.OpenCredentials, "driver": s.cfg.driverName(), "isolation": s.cfg.isolates()}) // a caller who has gone away needs no answer
}

// Backup writes everything that is kept; never the root key.
func (s *Server) Backup(ctx context.Context, w io.Writer) error { return s.db.Backup(ctx, w, s.events) }

// Reset empties every service and makes a new administrator; the trail and the installation's own
// keys stay. Only under open credentials.
func (s *Server) Reset(ctx context.Context, empty func() error) error {
	if !s.cfg.OpenCredentials {
		return awserr.Of(awserr.AccessDenied, "Reset is refused unless the server runs with --open-credentials.")
	}
	// The events and the file of the keys go first, so that a crash in between leaves no events of
	// groups and no file of keys that nobody knows any more (without it, the next start makes new
	// ones); the events again, since functions go on speaking meanwhile.
	if err := s.events.Clear(ctx); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.cfg.Data, credentialsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	emptied := empty()
	return errors.Join(emptied, s.events.Clear(ctx), s.administrator(ctx))
}

// resetHeader must come with a reset, so that no form of a web page can send one.
const resetHeader = "X-Bastide-Reset"

// reset is POST /_bastide/reset, unsigned as conformance suites send it, as the administrator whom
// open credentials make of everybody.
func (s *Server) reset(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, why string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": why}) // a caller who has gone away needs no answer
	}
	switch {
	case r.Method != http.MethodPost:
		refuse(http.StatusMethodNotAllowed, "POST resets.")
	case !s.cfg.OpenCredentials:
		refuse(http.StatusForbidden, "Reset is refused unless the server runs with --open-credentials.")
	case r.Header.Get(resetHeader) == "":
		refuse(http.StatusForbidden, "A reset needs the header "+resetHeader+".")
	default:
		root, err := rootOf(s.cfg.Account, s.clock.Now())
		if err == nil {
			c := bastideapi.Client{Caller: gate.Client{Gate: s.gate, Principal: root, Region: s.cfg.Region, Account: s.cfg.Account}}
			_, err = c.Reset(r.Context(), &bastideapi.ResetInput{})
		}
		if err != nil {
			s.log.Error("reset failed", "error", err)
			refuse(http.StatusInternalServerError, "The reset failed; the server's log says why.")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
