package front

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Applications is the edge: HTTP APIs, REST APIs, function URLs.
type Applications interface {
	// Owns reports whether the request is for an application rather than for the AWS API.
	Owns(*http.Request) bool
	// Serve answers it.
	Serve(http.ResponseWriter, *http.Request, gate.Source)
}

// Strangers counts refusals of callers whom nobody knows, by source, rather than storing each.
type Strangers interface {
	CountRefusal(source, code string)
}

// Deps are what a Front works with.
type Deps struct {
	Router    *wire.Router
	Verifier  *sigv4.Verifier
	Gate      *gate.Gate
	Apps      Applications
	Strangers Strangers
	Local     http.Handler // /_bastide/health, /_localstack/health, /_bastide/reset
	IDs       ids.Source
	Log       *slog.Logger
	TLS       *tls.Config // nil serves plain HTTP only
	Hosts     []string    // further names that this server goes by
	Clock     clock.Clock // the machine's if nil
	Limits    Limits
}

// Front serves; make it with New.
type Front struct {
	Deps
	hosts      map[string]bool
	calls, app *held // bodies of each kind of traffic
	running    *held // bulky bodies whose operations run
}

// New makes a Front.
func New(d Deps) *Front {
	f := &Front{Deps: d, hosts: map[string]bool{}}
	f.Limits = d.Limits.orDefault()
	if f.Clock == nil {
		f.Clock = clock.System{}
	}
	f.calls, f.app, f.running = newHeld(f.Limits.Held, f.Limits, f.Clock), newHeld(f.Limits.Held, f.Limits, f.Clock), newHeld(f.Limits.Running, f.Limits, f.Clock)
	for _, h := range d.Hosts {
		f.hosts[h] = true
	}
	return f
}

const (
	idleTimeout = 2 * time.Minute
	maxHead     = 64 << 10 // bytes
)

// Listen opens an address. Where the name resolves to this machine only, so does the listener.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; name another address with --listen", address, err)
	}
	return l, nil
}

// Loopback reports whether an address takes connections of this machine alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Serve answers on l until ctx ends, then lets running requests finish for a moment.
func (f *Front) Serve(ctx context.Context, l net.Listener) error {
	return f.serve(ctx, l, http.HandlerFunc(f.handle))
}

// ServeApps answers applications alone on l.
func (f *Front) ServeApps(ctx context.Context, l net.Listener) error {
	return f.serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.application(w, r, sourceOf(r)) }))
}

// ServeDoor answers the AWS API and applications on a listener inside the sandbox of a function,
// given by its ARN. Its callers have no address: the sandbox's loopback is not this machine's. chain is
// the chain of events that the function is running in.
func (f *Front) ServeDoor(ctx context.Context, l net.Listener, function string, chain func() []string) error {
	return f.serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := sourceOf(r)
		from.IP, from.Function = netip.Addr{}, function
		if f.Apps.Owns(r) {
			f.application(w, r, from)
			return
		}
		from.Lineage = chain()
		f.api(w, r, from)
	}))
}

const shutdownGrace = 5 * time.Second

func (f *Front) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: continued(f.paced(h)), ReadHeaderTimeout: f.Limits.Head, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		ErrorLog: slog.NewLogLogger(f.Log.Handler(), slog.LevelDebug)}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(newMixed(l, f.TLS, f.Limits.Head))
	if stop() {
		return err // it failed by itself
	}
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// continued says 100 Continue to a client that waits for it with an empty body too, which net/http
// does not: botocore reads the next answer on a connection wrongly where it got none.
func continued(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") && r.ProtoAtLeast(1, 1) {
			w.WriteHeader(http.StatusContinue)
		}
		h.ServeHTTP(w, r)
	})
}

// handle is the developer's single port: Bastide's own paths, applications, the AWS API.
func (f *Front) handle(w http.ResponseWriter, r *http.Request) {
	if f.Apps.Owns(r) {
		f.application(w, r, sourceOf(r))
		return
	}
	if msg := f.foreign(r); msg != "" {
		f.turnAway(w, r, msg)
		return
	}
	switch r.URL.Path {
	case "/_bastide/health", "/_localstack/health", "/_bastide/reset":
		f.Local.ServeHTTP(w, r)
		return
	}
	f.api(w, r, sourceOf(r))
}

// application hands a request to the edge, which reads bodies of senders that it may never know.
func (f *Front) application(w http.ResponseWriter, r *http.Request, from gate.Source) {
	if r.Body != nil && r.Body != http.NoBody {
		body := f.app.body(r.Context(), r.Body)
		defer body.release()
		r.Body = body
	}
	f.Apps.Serve(w, r, from)
}

// sourceOf is where a request came from.
func sourceOf(r *http.Request) gate.Source {
	s := gate.Source{UserAgent: r.UserAgent(), Referer: r.Referer(), Host: r.Host, TLS: r.TLS != nil, TLSVersion: tlsVersion(r)}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		s.IP = a.Addr().Unmap()
	}
	return s
}

func tlsVersion(r *http.Request) string {
	switch {
	case r.TLS == nil:
		return ""
	case r.TLS.Version == tls.VersionTLS13:
		return "1.3"
	}
	return "1.2" // the least that is spoken
}
