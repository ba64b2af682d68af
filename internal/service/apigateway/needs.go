package apigateway

import (
	"slices"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// needs is API Gateway's one rule: the action is the HTTP method, the resource is the path.
// Source: Service Authorization Reference, "Amazon API Gateway Management".
func needs[In any](s *Service, op *wire.Operation) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		path, labels := op.Path(in)
		n := gate.Need{Action: "apigateway:" + op.Method, Resource: arn.New("apigateway", a.Region(), "", path).String()}
		id := labels["restapi_id"]
		if id == "" {
			id = idOf(labels["resource_arn"])
		}
		if id != "" {
			n.Lazy = s.tagKeys(a, id)
		}
		return []gate.Need{n}, nil
	}
}

// tagged is needs for an operation that brings tags.
func tagged[In any](s *Service, op *wire.Operation, tags func(*In) map[string]string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return gate.Tagging(needs[In](s, op), tags)
}

// needPolicy is needs, and for a change of the resource policy the permission for just that.
// Source: Service Authorization Reference, "UpdateRestApiPolicy".
func needPolicy(s *Service, op *wire.Operation) func(*gate.Ask, *rest.UpdateRestApiInput) ([]gate.Need, error) {
	plain := needs[rest.UpdateRestApiInput](s, op)
	return func(a *gate.Ask, in *rest.UpdateRestApiInput) ([]gate.Need, error) {
		ns, err := plain(a, in)
		if err == nil && slices.ContainsFunc(in.PatchOperations, func(p rest.PatchOperation) bool { return wire.Val(p.Path) == "/policy" }) {
			n := ns[0]
			n.Action = "apigateway:UpdateRestApiPolicy"
			ns = append(ns, n)
		}
		return ns, err
	}
}

// tagKeys answers aws:ResourceTag of an API.
func (s *Service) tagKeys(a *gate.Ask, id string) func(string) policy.Values {
	return a.ResourceTags(func(tx *store.Tx) (map[string]string, error) {
		r, _, err := s.t.apis.Get(tx, apiKey(a.Account(), a.Region(), id))
		return r.API.Tags, err
	})
}
