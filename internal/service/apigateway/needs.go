package apigateway

import (
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

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
		labels := labelsOf(in)
		path, _, _ := strings.Cut(op.URI, "?") // of an import
		for k, v := range labels {
			path = strings.ReplaceAll(path, "{"+k+"}", url.PathEscape(v))
		}
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
	plain := needs[In](s, op)
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		ns, err := plain(a, in)
		given := tags(in)
		if err != nil || len(given) == 0 {
			return ns, err
		}
		keys := map[string][]string{"aws:TagKeys": slices.Sorted(maps.Keys(given))}
		for k, v := range given {
			keys["aws:RequestTag/"+k] = []string{v}
		}
		ns[0].Keys = keys
		return ns, nil
	}
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

// labelsOf are the members of an input that stand in the path.
func labelsOf(in any) map[string]string {
	v := reflect.ValueOf(in).Elem()
	out := map[string]string{}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Tag.Get("in") == "uri" {
			out[f.Tag.Get("wire")] = v.Field(i).String()
		}
	}
	return out
}

// tagKeys answers aws:ResourceTag of an API.
func (s *Service) tagKeys(a *gate.Ask, id string) func(string) policy.Values {
	return func(key string) policy.Values {
		tag, ok := strings.CutPrefix(key, "aws:resourcetag/")
		if !ok {
			return policy.Values{}
		}
		var found policy.Values
		err := a.View(func(tx *store.Tx) error {
			r, ok, err := s.t.apis.Get(tx, apiKey(a.Account(), a.Region(), id))
			if err != nil || !ok {
				return err
			}
			for k, v := range r.API.Tags {
				if strings.EqualFold(k, tag) {
					found = policy.One(v)
				}
			}
			return nil
		})
		if err != nil {
			return policy.Values{} // what cannot be read is no tag
		}
		return found
	}
}
