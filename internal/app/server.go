package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/egress"
	"github.com/bastide-cloud/bastide/internal/front"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/eventlog"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

// Server is one running Bastide: the rooms, joined.
type Server struct {
	cfg     Config
	version string
	log     *slog.Logger
	clock   clock.Clock
	ids     ids.Source
	started time.Time

	db     *store.DB
	sealer *sealing.Sealer
	trail  *audit.Trail
	// replaced: the trail's key is not the one that this installation began with.
	replaced   bool
	events     *eventlog.Log
	tokens     *identity.Tokens
	gate       *gate.Gate
	front      *front.Front
	rooms      *rooms
	refusals   *tally
	lines      *lines
	departures *departures
	names      egress.Resolver

	api, apps net.Listener
}

const rootKeyFile = "root.key"

// Open makes a server of a data directory, listening but not yet answering.
func Open(ctx context.Context, cfg Config, version string, log *slog.Logger) (s *Server, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.OpenCredentials && cfg.reachable() {
		return nil, errors.New("--open-credentials answers this machine only; listen on 127.0.0.1")
	}
	s = &Server{cfg: cfg, version: version, log: log, clock: clock.System{}}
	s.started = s.clock.Now()
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.names, err = nameResolver(cfg); err != nil {
		return s, err
	}
	if err := s.open(ctx); err != nil {
		return s, err
	}
	if err := s.wire(ctx); err != nil {
		return s, err
	}
	if s.api, err = front.Listen(ctx, cfg.Listen); err != nil {
		return s, err
	}
	if cfg.ListenApps != "" {
		if s.apps, err = front.Listen(ctx, cfg.ListenApps); err != nil {
			return s, err
		}
	}
	return s, s.administrator(ctx)
}

// open opens the foundations: database, keys, trail.
func (s *Server) open(ctx context.Context) error {
	var err error
	if s.db, err = store.Open(ctx, store.Options{Dir: s.cfg.Data, Clock: s.clock}); err != nil {
		if locked, ok := errors.AsType[*store.LockedError](err); ok {
			return fmt.Errorf("%w; commands find that server with --data %s", locked, s.cfg.Data)
		}
		return err
	}
	root, err := rootKey(s.cfg.Data)
	if err != nil {
		return err
	}
	if s.sealer, err = sealing.Open(ctx, s.db, root); err != nil {
		return err
	}
	key, err := audit.LoadKey(ctx, s.db, s.sealer, node)
	if err != nil {
		return err
	}
	if s.replaced, err = s.anotherTrail(ctx, key.Public().(ed25519.PublicKey)); err != nil {
		return err
	}
	if s.replaced {
		s.log.Error("the audit trail is not the one that this installation began with: its records have been removed")
	}
	if s.trail, err = audit.New(s.db, audit.Options{Node: node, Key: key, Account: s.cfg.Account, IDs: s.ids}); err != nil {
		return err
	}
	if s.events, err = eventlog.Open(s.cfg.Data); err != nil {
		return err
	}
	secret, err := s.secret(ctx, "session-tokens")
	if err != nil {
		return err
	}
	s.tokens, err = identity.NewTokens(secret, s.ids)
	return err
}

// node names this process's chain in the trail.
const node = "node-1"

func rootKey(data string) (sealing.RootKey, error) {
	if text := os.Getenv("BASTIDE_ROOT_KEY"); text != "" {
		return sealing.ParseRootKey(text)
	}
	return sealing.RootKeyFile(filepath.Join(data, rootKeyFile))
}

// secrets are keys of the installation itself, sealed: one for each purpose.
func secrets() store.Table[[]byte] { return store.NewTable[[]byte]("app", "secrets") }

// secret is the installation's key for a purpose, made at first use. It is not the root key, so
// that changing that one does not end every session.
func (s *Server) secret(ctx context.Context, purpose string) (key []byte, err error) {
	aad := []byte("app secret " + purpose)
	err = s.db.Update(ctx, store.In("app"), func(tx *store.Tx) error {
		sealed, ok, err := secrets().Get(tx, store.K(purpose))
		if err != nil {
			return err
		}
		if ok {
			key, err = s.sealer.Open(tx, aad, sealed)
			return err
		}
		if key, err = hkdf.Key(sha256.New, s.ids.Bytes(32), nil, purpose, 32); err != nil {
			return err
		}
		if sealed, err = s.sealer.Seal(tx, sealing.Scope{Resource: "app/" + purpose}, aad, key); err != nil {
			return err
		}
		return secrets().Put(tx, store.K(purpose), sealed)
	})
	return key, err
}

// Address is where the AWS API answers.
func (s *Server) Address() string {
	return "http://" + reachable(s.api.Addr())
}

// reachable is an address that clients on this machine can call: a server that listens on every
// address is called on loopback.
func reachable(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil || !at.Addr().Unmap().IsUnspecified() {
		return a.String()
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
}

// garbage is how much may be allocated between two collections, in percent of what is alive. That is
// a few megabytes: at Go's default of 100 a busy server collects dozens of times a second.
const garbage = 300

// Run answers until ctx ends. Ready is called once it does.
func (s *Server) Run(ctx context.Context, ready func()) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	run := Run{Address: s.Address(), PID: os.Getpid(), Started: s.started, Account: s.cfg.Account, Region: s.cfg.Region, Open: s.cfg.OpenCredentials, Issuers: s.cfg.Issuers,
		Reachable: s.cfg.reachable()}
	if s.apps != nil {
		run.Apps = "http://" + reachable(s.apps.Addr())
	}
	path := filepath.Join(s.cfg.Data, runFile)
	if err := writePrivate(path, run); err != nil {
		return err
	}
	defer os.Remove(path)
	// What runs in the background outlives the listeners, so that the last requests are recorded.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	behind, background := errgroup.WithContext(background)
	behind.Go(func() error { s.trail.Run(background, s.log); return nil })
	for _, job := range s.rooms.jobs {
		behind.Go(func() error { return job(background) })
	}
	ahead, serving := errgroup.WithContext(ctx)
	ahead.Go(func() error { return s.front.Serve(serving, s.api) })
	if s.apps != nil {
		ahead.Go(func() error { return s.front.ServeApps(serving, s.apps) })
	}
	ahead.Go(func() error {
		select {
		case <-background.Done():
			return context.Cause(background)
		case <-serving.Done():
			return nil
		}
	})
	ready()
	err := ahead.Wait()
	s.rooms.stop()
	stop()
	if berr := behind.Wait(); berr != nil && !errors.Is(berr, context.Canceled) {
		err = errors.Join(err, berr)
	}
	return err
}

// Close gives everything back; it is called once, after Run.
func (s *Server) Close() error {
	var errs []error
	for _, l := range []net.Listener{s.api, s.apps} {
		if l != nil {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if s.events != nil {
		errs = append(errs, s.events.Close())
	}
	if s.trail != nil {
		errs = append(errs, s.trail.Close(context.Background()))
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// Serve runs `bastide serve`.
func Serve(ctx context.Context, cfg Config, version string, t Terminal) error {
	log := slog.New(slog.NewTextHandler(t.err, nil))
	s, err := Open(ctx, cfg, version, log)
	if err != nil {
		return err
	}
	if cfg.OpenCredentials {
		log.Warn("open credentials: every access key is the administrator's")
	}
	err = s.Run(ctx, func() {
		_ = t.Line("ready %s", s.api.Addr()) // a closed output is no reason not to serve
	})
	return errors.Join(err, s.Close())
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// sweep removes blobs that nothing refers to any more, every few minutes until ctx ends.
func (s *Server) sweep(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := s.db.Blobs().Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("unused blobs stay", "error", err)
		}
	}
}

// anotherTrail compares the trail's key with the one that was noted, sealed, when the installation
// began: who removes the whole trail, its key too, is found by that.
func (s *Server) anotherTrail(ctx context.Context, key ed25519.PublicKey) (another bool, err error) {
	const purpose = "trail-key"
	aad := []byte("app secret " + purpose)
	err = s.db.Update(ctx, store.In("app"), func(tx *store.Tx) error {
		sealed, ok, err := secrets().Get(tx, store.K(purpose))
		if err != nil {
			return err
		}
		if ok {
			noted, err := s.sealer.Open(tx, aad, sealed)
			another = !bytes.Equal(noted, key)
			return err
		}
		if sealed, err = s.sealer.Seal(tx, sealing.Scope{Resource: "app/" + purpose}, aad, key); err != nil {
			return err
		}
		return secrets().Put(tx, store.K(purpose), sealed)
	})
	return another, err
}
