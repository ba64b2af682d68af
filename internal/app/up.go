package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/app/pack"
	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/drivers"
)

// Up runs `bastide up`: attach or start, deploy, show, deploy again on change.
func Up(ctx context.Context, cfg Config, d Deployment, version string, t Terminal) error {
	facts, err := preflight(ctx, cfg.Data, d, !d.Offline, t)
	if err != nil {
		return err // before anything is started
	}
	serving, stop, err := attach(ctx, cfg, facts, version, t)
	if err != nil {
		return err
	}
	r, err := Connect(cfg.Data, cfg.Region, t)
	if err == nil {
		d.Waive = cfg.Waive
		err = r.upBuilding(serving, d)
	}
	return errors.Join(err, stop())
}

// attach finds the data directory's server, or starts one within this process. The context that it
// returns ends with the server; stop ends the server where it is ours.
func attach(ctx context.Context, cfg Config, facts *pack.Facts, version string, t Terminal) (context.Context, func() error, error) {
	if run, err := ReadRun(cfg.Data); err == nil && healthy(ctx, run.Address) {
		t.Progress("using the server at %s", run.Address)
		for _, o := range issuersOf(facts, run.Issuers) {
			t.Progress("%s", t.paint(yellow, "tokens of "+o+" will be refused: that server was started without --allow-issuer "+o))
		}
		return ctx, func() error { return nil }, nil
	}
	askIssuers(ctx, &cfg, facts, t)
	s, err := Open(ctx, cfg, version, slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return nil, nil, err
	}
	if !cfg.isolates() {
		t.Progress("%s", t.paint(red, "no isolation: functions run as processes of this user, on this machine's files and network (--driver process)"))
	} else if w := weaker(sandbox.Doctor(sandbox.Config{Waive: cfg.Waive})); cfg.driverName() == drivers.Namespace && len(w) > 0 {
		t.Progress("this machine isolates functions less than it could; bastide doctor says how to mend it: %s", strings.Join(w, ", "))
	}
	serving, cancel := context.WithCancelCause(ctx)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		err := s.Run(serving, func() { close(ready) })
		err = errors.Join(err, s.Close())
		cancel(err)
		done <- err
	}()
	select {
	case <-ready:
	case err := <-done:
		return nil, nil, err
	}
	t.Progress("serving at %s, data in %s", s.Address(), cfg.Data)
	if cfg.reachable() {
		t.Progress("other machines can reach this server; routes without authorisation answer them only once acknowledged")
	}
	return serving, func() error {
		t.Progress("stopping; what was deployed is kept in %s", cfg.Data)
		cancel(nil)
		return <-done
	}, nil
}

func healthy(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/_bastide/health", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (r *Remote) upBuilding(ctx context.Context, d Deployment) error {
	stop, err := r.builder(&d)
	if err != nil {
		return err
	}
	return errors.Join(r.up(ctx, d), stop())
}

func (r *Remote) up(ctx context.Context, d Deployment) error {
	s, p, err := r.deploy(ctx, d)
	if err != nil && (d.Once || p == nil || ctx.Err() != nil) {
		return err
	}
	if err != nil {
		r.Term.Progress("%s", r.Term.paint(red, err.Error()))
	} else if err := errors.Join(r.askRoutes(ctx, s), r.showStack(s)); err != nil {
		return err
	}
	if d.Once {
		return nil
	}
	r.Term.Progress("showing calls and refusals; saving a file deploys again; Ctrl-C stops")
	failed := make(chan error, 1)
	go func() { failed <- r.follow(ctx, AuditQuery{}, r.live) }()
	marks := r.packed
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
		}
		now := marksOf(d.Path, p)
		if now == marks {
			continue
		}
		marks = now
		r.Term.Progress("a file has changed; deploying")
		s, again, err := r.deploy(ctx, d)
		if again != nil {
			p = again
			marks = r.packed
		}
		if err != nil {
			r.Term.Progress("%s", r.Term.paint(red, err.Error()))
			continue
		}
		if err := errors.Join(r.askRoutes(ctx, s), r.showStack(s)); err != nil {
			return err
		}
	}
}

// live shows the calls of applications and functions, and every refusal; not those of the person
// who watches.
func (r *Remote) live(raw string) error {
	rec, err := readRecord(raw)
	if err != nil {
		return err
	}
	own := strings.HasSuffix(rec.UserIdentity.ARN, ":user/"+adminName)
	if own && !rec.denied() || rec.inner() {
		return nil
	}
	return r.show(raw)
}

// marks are the times and sizes of everything that a deployment was made of, folded to a text.
type marks string

func marksOf(path string, p *pack.Package) marks {
	var b strings.Builder
	note := func(file string, info fs.FileInfo) {
		fmt.Fprintf(&b, "%s %d %d\n", file, info.Size(), info.ModTime().UnixNano())
	}
	if p == nil {
		return ""
	}
	if file, err := pack.Find(path); err == nil {
		if info, err := os.Stat(file); err == nil {
			note(file, info)
		}
	}
	for _, folder := range p.Folders {
		// What cannot be read is a change that the next packaging names.
		_ = filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == ".git" || d.Name() == "__pycache__") {
				return filepath.SkipDir
			}
			if info, err := d.Info(); err == nil && !d.IsDir() {
				note(file, info)
			}
			return nil
		})
	}
	return marks(b.String())
}
