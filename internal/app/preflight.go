package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/app/pack"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// preflight looks at the template before a server is there: what its functions run on, and whose
// tokens it takes. With fetch it installs the SDKs that are missing.
func preflight(ctx context.Context, data string, d Deployment, fetch bool, t Terminal) (*pack.Facts, error) {
	facts, err := pack.Inspect(pack.Options{Path: d.Path, Parameters: d.Parameters})
	if err != nil {
		return nil, err
	}
	return facts, haveRuntimes(ctx, catalog(data), data, facts.Runtimes, fetch, t)
}

// supplier has and installs runtimes; *runtimes.Catalog does.
type supplier interface {
	Ready(ctx context.Context, name string) (*runtimes.Runtime, error)
	Install(ctx context.Context, name string, with []string, progress func(string)) error
}

// haveRuntimes fails where what a function runs on is not on this machine, with the command that
// installs it.
func haveRuntimes(ctx context.Context, c supplier, data string, wanted map[string][]string, fetch bool, t Terminal) error {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if _, err := runtimes.Lookup(name); err != nil {
			continue // it is refused where the template names it
		}
		_, err := c.Ready(ctx, name)
		why := ""
		if lack, ok := errors.AsType[*runtimes.MissingError](err); ok && lack.SDK && fetch {
			t.Progress("%s has no AWS SDK yet, which functions on Lambda find there; fetching it", name)
			fetched := c.Install(ctx, name, nil, func(s string) { t.Progress("  %s", plain(s)) })
			if fetched == nil {
				_, err = c.Ready(ctx, name)
			} else {
				why = "\n  fetching it failed: " + plain(fetched.Error())
			}
		}
		switch {
		case runtimes.IsMissing(err):
			hint := strings.ReplaceAll(err.Error(), "bastide runtimes install "+name, installCommand(data, name))
			missing = append(missing, name+", for "+strings.Join(wanted[name], ", ")+": "+strings.TrimPrefix(hint, "runtimes: ")+why)
		case err != nil:
			return err
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("this machine lacks what the functions run on\n  %s", strings.Join(missing, "\n  "))
	}
	return nil
}

// issuersOf finds the issuers on this machine or a private network that nobody has allowed to be
// asked for their keys, as origins.
func issuersOf(facts *pack.Facts, allowed []string) (out []string) {
	for _, i := range facts.Issuers {
		if allowedIssuer(allowed, i) {
			continue
		}
		if o, err := origin(i); err == nil && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}

// askIssuers has the user allow the issuers of a template before their server is started.
func askIssuers(ctx context.Context, cfg *Config, facts *pack.Facts, t Terminal) {
	for _, o := range issuersOf(facts, cfg.Issuers) {
		if t.Ask(ctx, "The template takes tokens of %s, which is on this machine or a private network. Fetch its keys?", o) {
			cfg.Issuers = append(cfg.Issuers, o)
			continue
		}
		t.Progress("%s", t.paint(yellow, "tokens of "+o+" will be refused: start with --allow-issuer "+o+" to have its keys fetched"))
	}
}

// askRoutes has the user open routes without authorisation by name, where anybody could call them.
func (r *Remote) askRoutes(ctx context.Context, s *Stack) error {
	if !r.run.Reachable {
		return nil
	}
	for i, route := range s.Routes {
		if route.Authorization != "NONE" || route.Acknowledged {
			continue
		}
		if !r.Term.Ask(ctx, "%s has no authorisation. Open it to every machine that reaches this server?", route.Route) {
			r.Term.Progress("%s answers this machine only; to open it: bastide acknowledge %q", route.Route, route.Route)
			continue
		}
		if err := r.Acknowledge(ctx, Acknowledgement{Route: route.Route, Reason: "asked by bastide up"}); err != nil {
			return err
		}
		s.Routes[i].Acknowledged = true
	}
	return nil
}
