package bastide

import (
	"context"
	"slices"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) acknowledgeRoute(c *gate.Call, in *bastide.AcknowledgeRouteInput) (*bastide.AcknowledgeRouteOutput, error) {
	routes, err := s.Routes.Routes(c.Context())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(routes, func(r Route) bool { return r.Name == in.Route })
	if i < 0 {
		return nil, awserr.New("NotFoundException", 404, "There is no route %q; bastide acknowledge lists them.", in.Route)
	}
	if routes[i].Authorization != "NONE" {
		return nil, awserr.New("InvalidRequestException", 400, "The route %q is authorised by %s; there is nothing to acknowledge.", in.Route, routes[i].Authorization)
	}
	a := acknowledgement{Route: in.Route, Reason: wire.Val(in.Reason), By: c.Principal().ARN(), At: c.Now()}
	return gate.Commit(c, func(tx *store.Tx) (*bastide.AcknowledgeRouteOutput, error) {
		if err := acknowledgements().Put(tx, routeKey(c.Account(), in.Route), a); err != nil {
			return nil, err
		}
		return &bastide.AcknowledgeRouteOutput{Route: new(public(routes[i], a, true))}, nil
	})
}

func public(r Route, a acknowledgement, acknowledged bool) bastide.Route {
	return bastide.Route{Route: &r.Name, Authorization: &r.Authorization, Url: &r.URL, Stack: &r.Stack, Target: &r.Target,
		Acknowledged: &acknowledged, By: &a.By, Reason: &a.Reason}
}

func (s *Service) revokeAcknowledgement(c *gate.Call, in *bastide.RevokeAcknowledgementInput) (*bastide.RevokeAcknowledgementOutput, error) {
	return &bastide.RevokeAcknowledgementOutput{}, c.Update(func(tx *store.Tx) error {
		had, err := acknowledgements().Delete(tx, routeKey(c.Account(), in.Route))
		if err == nil && !had {
			return awserr.New("NotFoundException", 404, "The route %q is not acknowledged.", in.Route)
		}
		return err
	})
}

func (s *Service) listRoutes(c *gate.Call, _ *bastide.ListRoutesInput) (*bastide.ListRoutesOutput, error) {
	routes, err := s.Routes.Routes(c.Context())
	if err != nil {
		return nil, err
	}
	out := &bastide.ListRoutesOutput{Routes: []bastide.Route{}}
	err = c.View(func(tx *store.Tx) error {
		out.Routes = out.Routes[:0]
		for _, r := range routes {
			a, ok, err := acknowledgements().Get(tx, routeKey(c.Account(), r.Name))
			if err != nil {
				return err
			}
			out.Routes = append(out.Routes, public(r, a, ok))
		}
		return nil
	})
	return out, err
}

// Acknowledged reads whether a route stands open, for the edge.
type Acknowledged struct{ DB *store.DB }

// Acknowledged reports whether the account's route was opened by name.
func (a Acknowledged) Acknowledged(ctx context.Context, account, route string) (ok bool, err error) {
	err = a.DB.View(ctx, store.In(space), func(tx *store.Tx) error {
		ok, err = acknowledgements().Has(tx, routeKey(account, route))
		return err
	})
	return ok, err
}
