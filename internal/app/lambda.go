package app

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"

	stsapi "github.com/bastide-cloud/bastide/internal/api/sts"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/sandbox/ca"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
	"github.com/bastide-cloud/bastide/internal/service/ec2"
	"github.com/bastide-cloud/bastide/internal/service/lambda"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const lambdaPrincipal = "lambda.amazonaws.com"

// lambda makes the service and the fleet that runs its functions; each needs the other.
func (s *Server) lambda(r *rooms) (*lambda.Service, error) {
	data, err := filepath.Abs(s.cfg.Data)
	if err != nil {
		return nil, err
	}
	code, err := pack.OpenStore(filepath.Join(data, "code"), bootID())
	if err != nil {
		return nil, err
	}
	images, err := pack.OpenStore(filepath.Join(data, "images"), bootID())
	if err != nil {
		return nil, err
	}
	fetching, err := s.registries()
	if err != nil {
		return nil, err
	}
	authority, err := ca.New(s.clock)
	if err != nil {
		return nil, err
	}
	driver, err := s.driver(data)
	if err != nil {
		return nil, err
	}
	have := catalog(data)
	available := func(ctx context.Context, name string) error {
		_, err := have.Ready(ctx, name)
		return err
	}
	var service *lambda.Service
	runner, err := fleet.New(fleet.Deps{
		Driver: driver, Runtimes: ready{have}, Logs: logsTo{&service}, CA: authority, Clock: s.clock, IDs: s.ids, Dir: filepath.Join(data, "fleet"),
		Pool: s.cfg.pool(), PoolMemory: s.cfg.PoolMemory, Store: filepath.Join(data, "code"),
		Credentials: func(ctx context.Context, f fleet.Function) (fleet.Credentials, error) {
			c, err := service.Session(ctx, f)
			return fleet.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expires: c.Expiration}, err
		},
		Serve: func(f fleet.Function, chain func() []string, l net.Listener) {
			// The listener ends with its sandbox, which is no error.
			if err := s.front.ServeDoor(context.Background(), l, f.ARN, chain); err != nil && !errors.Is(err, net.ErrClosed) {
				s.log.Debug("a function's door", "function", f.ARN, "error", err)
			}
		},
		Dial: func(ctx context.Context, f fleet.Function, address string) (net.Conn, error) {
			return s.dial(ctx, service, f, address)
		},
		Profiles: profilesTo{&service},
		Refused:  func(f fleet.Function, r fleet.Refusal) { s.refused(service, f, r) },
	})
	if err != nil {
		return nil, err
	}
	r.instances, r.pool = runner.Count, runner.Pool
	service = lambda.New(lambda.Deps{Expect: runner.Expect, IDs: s.ids, Clock: s.clock, Sealer: s.sealer, Blobs: s.db.Blobs(), Code: code, Images: images, Registries: fetching, Arch: processor(),
		Networks: ec2.NewDirectory(r.networks, s.db), Changes: func() uint64 { return s.db.Changes("lambda") + s.db.Changes("ec2") }, Runner: runner, Isolation: isolationOf(driver), Runtime: available, RuntimeVersion: have.VersionOf, Publishers: signingProfiles{s}, Roles: executionRoles{s}, Alone: true, Chance: rand.Float64, URL: s.functionURL, Presign: s.presign, Log: s.log,
		Departure: func(f *fleet.Function, what string, refused bool) { s.departed(service, f, what, refused) }})
	r.jobs = append(r.jobs, func(ctx context.Context) error { return service.Run(ctx, s.gate) })
	r.jobs = append(r.jobs, func(ctx context.Context) error { return s.withdraw(ctx, service) }, func(ctx context.Context) error {
		<-ctx.Done() // first, so that no event counts as failed because its instance is ended
		err := errors.Join(runner.Close(), driver.Close())
		service.Drain() // what instances have said at their end
		return err
	})
	return service, nil
}

// ready are the runtimes that functions run on: those with the SDK that Lambda supplies.
type ready struct{ *runtimes.Catalog }

func (r ready) Resolve(ctx context.Context, name string) (*runtimes.Runtime, error) {
	return r.Ready(ctx, name)
}

// logsTo is the service that writes functions' logs, once it is made.
type logsTo struct{ service **lambda.Service }

func (l logsTo) Append(st fleet.Stream, events []fleet.LogEvent) { (*l.service).Append(st, events) }

// profilesTo is the service that keeps functions' profiles, once it is made.
type profilesTo struct{ service **lambda.Service }

func (p profilesTo) Learned(f *fleet.Function, facts []fleet.Fact) { (*p.service).Learned(f, facts) }

func (p profilesTo) Departed(f *fleet.Function, fact fleet.Fact, refused bool) {
	(*p.service).Departed(f, fact, refused)
}

// executionRoles takes roles for functions, at the door, as Lambda's service principal.
type executionRoles struct{ s *Server }

func (r executionRoles) Assume(ctx context.Context, a lambda.Assumption) (lambda.Credentials, error) {
	caller := gate.Client{Gate: r.s.gate, Principal: identity.Service(lambdaPrincipal, a.Account), Region: a.Region, Account: a.Account,
		SourceARN: a.FunctionARN, SourceAccount: a.Account}
	out, err := stsapi.Client{Caller: caller}.AssumeRole(ctx, &stsapi.AssumeRoleInput{RoleArn: a.RoleARN, RoleSessionName: a.SessionName})
	if err != nil {
		return lambda.Credentials{}, err
	}
	c := out.Credentials
	return lambda.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expiration: c.Expiration}, nil
}

func (r executionRoles) Caller(c lambda.Credentials, region string, keys map[string][]string) (wire.Caller, error) {
	p, err := r.s.principal(c)
	if err != nil {
		return nil, err
	}
	return gate.Client{Gate: r.s.gate, Principal: p, Region: region, Keys: keys}, nil
}

// principal is whom a role's credentials stand for.
func (s *Server) principal(c lambda.Credentials) (identity.Principal, error) {
	session, _, err := s.tokens.Open(c.AccessKeyID, c.SessionToken, s.clock.Now())
	if err != nil {
		return identity.Anonymous(), err
	}
	return session.Principal()
}

// processor is this machine's architecture in Lambda's words.
func processor() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// bootID tells one run of the machine from the next; "" where it cannot be known.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return string(b)
}
