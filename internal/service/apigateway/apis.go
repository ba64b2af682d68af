package apigateway

import (
	"maps"
	"slices"
	"strconv"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) createRestAPI(c *gate.Call, in *rest.CreateRestApiInput) (*rest.RestApi, error) {
	if in.CloneFrom != nil {
		return nil, notBuilt("CloneFrom")
	}
	r := s.newRecord(c, in.Name)
	wire.Fill(&r.API, in)
	if err := r.checkAPI(); err != nil {
		return nil, err
	}
	return s.add(c, &r)
}

// newRecord is an API with its root resource.
func (s *Service) newRecord(c *gate.Call, name string) record {
	id, root, now := s.ids.Lower(10), s.ids.Lower(10), c.Now()
	return record{Account: c.Account(), Region: c.Region(),
		API: rest.RestApi{Id: &id, Name: &name, CreatedDate: &now, ApiKeySource: new("HEADER"), RootResourceId: &root,
			DisableExecuteApiEndpoint: new(false), EndpointConfiguration: &rest.EndpointConfiguration{Types: []string{"EDGE"}, IpAddressType: new("ipv4")}},
		Resources: []rest.Resource{{Id: &root, Path: new("/")}}}
}

func (s *Service) add(c *gate.Call, r *record) (*rest.RestApi, error) {
	return gate.Commit(c, func(tx *store.Tx) (*rest.RestApi, error) {
		return &r.API, s.t.apis.Put(tx, r.key(), *r)
	})
}

// checkAPI refuses settings that would not be kept.
func (r *record) checkAPI() error {
	a := &r.API
	switch {
	case wire.Val(a.Name) == "":
		return bad("Name cannot be blank")
	case a.MinimumCompressionSize != nil && *a.MinimumCompressionSize >= 0:
		return notBuilt("Compression")
	case wire.Val(a.ApiKeySource) != "HEADER":
		return notBuilt("API keys from authorizers")
	case a.EndpointAccessMode != nil && *a.EndpointAccessMode != "BASIC":
		return notBuilt("Endpoint access mode " + *a.EndpointAccessMode)
	}
	if e := a.EndpointConfiguration; e != nil {
		if e.IpAddressType == nil {
			with := *e // a copy: it may be the request's
			with.IpAddressType = new("ipv4")
			a.EndpointConfiguration = &with
		}
		if slices.Contains(e.Types, "PRIVATE") || len(e.VpcEndpointIds) > 0 {
			return notBuilt("Private endpoints")
		}
		if len(e.Types) != 1 {
			return bad("Endpoint configuration must have exactly one type")
		}
	}
	if err := checkTags(a.Tags); err != nil {
		return err
	}
	return r.checkPolicy()
}

func (s *Service) getRestAPI(c *gate.Call, in *rest.GetRestApiInput) (*rest.RestApi, error) {
	r, err := s.read(c, in.RestApiId)
	if err != nil {
		return nil, err
	}
	return &r.API, nil
}

func (s *Service) getRestAPIs(c *gate.Call, in *rest.GetRestApisInput) (*rest.GetRestApisOutput, error) {
	var all []rest.RestApi
	err := c.View(func(tx *store.Tx) error {
		all = nil
		for row, err := range s.t.apis.Scan(tx, store.K(c.Account(), c.Region()), store.Range{}) {
			if err != nil {
				return err
			}
			all = append(all, row.Value.API)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	items, next, err := page(all, in.Limit, in.Position)
	return &rest.GetRestApisOutput{Items: items, Position: next}, err
}

// Pages are of 25 unless a caller asks for up to 500.
const (
	usualPage = 25
	maxPage   = 500
)

// page is the part of a list that a caller asked for; a position is the number of the next item.
func page[T any](all []T, limit *int32, position *string) ([]T, *string, error) {
	from, size := 0, usualPage
	var err error
	if position != nil {
		if from, err = strconv.Atoi(*position); err != nil || from < 0 {
			return nil, nil, bad("Invalid position parameter specified")
		}
	}
	if limit != nil && *limit > 0 {
		size = int(min(*limit, maxPage))
	}
	from = min(from, len(all))
	end := min(from+size, len(all))
	out := all[from:end]
	if out == nil {
		out = []T{}
	}
	if end < len(all) {
		return out, new(strconv.Itoa(end)), nil
	}
	return out, nil, nil
}

func (s *Service) updateRestAPI(c *gate.Call, in *rest.UpdateRestApiInput) (*rest.RestApi, error) {
	return change(s, c, in.RestApiId, func(_ *store.Tx, r *record) (*rest.RestApi, error) {
		var ops []rest.PatchOperation
		for _, op := range in.PatchOperations {
			if kind, ok := endpointType(wire.Val(op.Path)); ok {
				r.API.EndpointConfiguration = &rest.EndpointConfiguration{Types: []string{wire.Val(op.Value)}, IpAddressType: new("ipv4")}
				if !slices.Contains([]string{"EDGE", "REGIONAL", "PRIVATE"}, wire.Val(op.Value)) || kind == "" {
					return nil, bad("Invalid endpoint type %s", wire.Val(op.Value))
				}
				continue
			}
			if wire.Val(op.Path) == "/endpointConfiguration/ipAddressType" {
				e := rest.EndpointConfiguration{}
				if r.API.EndpointConfiguration != nil {
					e = *r.API.EndpointConfiguration
				}
				if err := patch(&e, []string{"ipAddressType"}, []rest.PatchOperation{{Op: op.Op, Path: new("/ipAddressType"), Value: op.Value}}); err != nil {
					return nil, err
				}
				if t := wire.Val(e.IpAddressType); t != "" && t != "ipv4" && t != "dualstack" {
					return nil, bad("Invalid IP address type %s", t)
				}
				r.API.EndpointConfiguration = &e
				continue
			}
			ops = append(ops, op)
		}
		if err := patch(&r.API, []string{"name", "description", "policy", "apiKeySource", "disableExecuteApiEndpoint", "minimumCompressionSize", "binaryMediaTypes", "version"}, ops); err != nil {
			return nil, err
		}
		return &r.API, r.checkAPI()
	})
}

// endpointType reads /endpointConfiguration/types/EDGE.
func endpointType(path string) (string, bool) {
	const prefix = "/endpointConfiguration/types/"
	if len(path) <= len(prefix) || path[:len(prefix)] != prefix {
		return "", false
	}
	return path[len(prefix):], true
}

func (s *Service) deleteRestAPI(c *gate.Call, in *rest.DeleteRestApiInput) (*rest.DeleteRestApiOutput, error) {
	err := c.Update(func(tx *store.Tx) error {
		r, err := s.t.get(tx, c.Account(), c.Region(), in.RestApiId)
		if err != nil {
			return err
		}
		var gone []store.Key
		for row, err := range s.t.deployments.Scan(tx, r.key(), store.Range{}) {
			if err != nil {
				return err
			}
			gone = append(gone, row.Key)
		}
		for _, k := range gone {
			if _, err := s.t.deployments.Delete(tx, k); err != nil {
				return err
			}
		}
		_, err = s.t.apis.Delete(tx, r.key())
		return err
	})
	return &rest.DeleteRestApiOutput{}, err
}

const maxTags = 50

// reservedTag words a tag of AWS's own.
func reservedTag(string) error { return bad("Invalid tag key. Tag keys cannot start with 'aws:'") }

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return bad("The number of tags has reached the maximum limit of %d", maxTags)
	}
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 {
			return bad("Invalid tag %q", k)
		}
	}
	return nil
}

// tagsOf finds the tags of the API or stage that an ARN names.
func (r *record) tagsOf(resourceARN string) (*map[string]string, error) {
	_, name, _ := named(resourceARN)
	if name == "" {
		return &r.API.Tags, nil
	}
	st, err := r.stage(name)
	if err != nil {
		return nil, err
	}
	return &st.Tags, nil
}

func (s *Service) tagResource(c *gate.Call, in *rest.TagResourceInput) (*rest.TagResourceOutput, error) {
	return changeTags[rest.TagResourceOutput](s, c, in.ResourceArn, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

func (s *Service) untagResource(c *gate.Call, in *rest.UntagResourceInput) (*rest.UntagResourceOutput, error) {
	return changeTags[rest.UntagResourceOutput](s, c, in.ResourceArn, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

func changeTags[Out any](s *Service, c *gate.Call, resourceARN string, alter func(map[string]string)) (*Out, error) {
	id, _, ok := named(resourceARN)
	if !ok {
		return nil, bad("Invalid resource ARN: %s", resourceARN)
	}
	return change(s, c, id, func(_ *store.Tx, r *record) (*Out, error) {
		at, err := r.tagsOf(resourceARN)
		if err != nil {
			return nil, err
		}
		tags := map[string]string{}
		maps.Copy(tags, *at)
		alter(tags)
		if *at = tags; len(tags) == 0 {
			*at = nil
		}
		return new(Out), checkTags(tags)
	})
}

func (s *Service) getTags(c *gate.Call, in *rest.GetTagsInput) (*rest.GetTagsOutput, error) {
	id, _, ok := named(in.ResourceArn)
	if !ok {
		return nil, bad("Invalid resource ARN: %s", in.ResourceArn)
	}
	r, err := s.read(c, id)
	if err != nil {
		return nil, err
	}
	tags, err := r.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &rest.GetTagsOutput{Tags: *tags}, nil
}
