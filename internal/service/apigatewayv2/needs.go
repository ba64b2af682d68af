package apigatewayv2

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// needs is API Gateway's one rule: the action is the HTTP method, the resource is the path.
// Source: Service Authorization Reference, "Amazon API Gateway Management V2".
func needs[In any](s *Service, op *wire.Operation) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		path, labels := op.Path(in)
		n := gate.Need{Action: "apigateway:" + op.Method, Resource: arn.New("apigateway", a.Region(), "", strings.TrimPrefix(path, "/v2")).String()}
		id := labels["apiId"]
		if id == "" {
			id = idOf(labels["resource-arn"])
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

// tagKeys answers aws:ResourceTag of an API.
func (s *Service) tagKeys(a *gate.Ask, id string) func(string) policy.Values {
	return a.ResourceTags(func(tx *store.Tx) (map[string]string, error) {
		r, _, err := s.t.apis.Get(tx, apiKey(a.Account(), a.Region(), id))
		return r.API.Tags, err
	})
}
