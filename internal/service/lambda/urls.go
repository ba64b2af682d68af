package lambda

import (
	"cmp"
	"net/url"
	"slices"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// urlTime is how Lambda writes the times of function URLs, in UTC.
const urlTime = "2006-01-02T15:04:05.000000000Z"

// buffered is the mode in which a URL answers once its function has ended; the other, RESPONSE_STREAM,
// answers while it runs.
const buffered = "BUFFERED"

// referURL is what an operation on a URL names: a function or an alias, never a version.
func referURL(p place, n named) (reference, error) {
	r, err := refer(p, n)
	if err != nil {
		return r, err
	}
	if _, number := name.Number(r.Qualifier); number || r.Qualifier == name.Latest {
		return r, awserr.Of(awserr.Validation, "1 validation error detected: Value '%s' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)", r.Qualifier)
	}
	return r, nil
}

// onURL is one action on a URL that is there, or may be.
func onURL[In any](s *Service, action string, of func(*In) named) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) { return s.needURL(a, action, of(in), nil) }
}

func (s *Service) needCreateURL(a *gate.Ask, in *lambda.CreateFunctionUrlConfigInput) ([]gate.Need, error) {
	return s.needURL(a, "lambda:CreateFunctionUrlConfig", named{in.FunctionName, in.Qualifier}, &in.AuthType)
}

func (s *Service) needUpdateURL(a *gate.Ask, in *lambda.UpdateFunctionUrlConfigInput) ([]gate.Need, error) {
	return s.needURL(a, "lambda:UpdateFunctionUrlConfig", named{in.FunctionName, in.Qualifier}, in.AuthType)
}

// needURL lets policies limit how a URL may be authorised: as it is asked to be, else as it is.
func (s *Service) needURL(a *gate.Ask, action string, of named, auth *string) ([]gate.Need, error) {
	r, err := referURL(a, of)
	if err != nil {
		return nil, err
	}
	n, err := s.need(a, action, r)
	if err != nil {
		return nil, err
	}
	n.Keys = map[string][]string{"lambda:FunctionArn": {r.arn()}}
	if auth == nil {
		err = a.View(func(tx *store.Tx) error {
			u, ok, err := s.t.urls.Get(tx, r.key(r.Qualifier))
			auth = nil
			if ok {
				auth = &u.AuthType
			}
			return err
		})
	}
	if auth != nil {
		n.Keys["lambda:FunctionUrlAuthType"] = []string{*auth}
	}
	return []gate.Need{n}, err
}

// checkURL refuses what a URL cannot be.
func checkURL(cors *lambda.Cors) error {
	if cors == nil {
		return nil
	}
	for _, m := range cors.AllowMethods {
		if !slices.Contains([]string{"GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*"}, m) {
			return invalid("Invalid method in cors.allowMethods: %q. Allowed values: GET, PUT, HEAD, POST, PATCH, DELETE, *", m)
		}
	}
	for _, o := range cors.AllowOrigins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "") {
			return invalid("Invalid origin in cors.allowOrigins: %q. An origin has a scheme and a host, or is *.", o)
		}
	}
	return nil
}

// corsOf is what is kept of a CORS configuration: one that says nothing is none.
func corsOf(c *lambda.Cors) *lambda.Cors {
	if c == nil || c.AllowCredentials == nil && c.AllowHeaders == nil && c.AllowMethods == nil && c.AllowOrigins == nil && c.ExposeHeaders == nil && c.MaxAge == nil {
		return nil
	}
	return c
}

func (s *Service) createURL(c *gate.Call, in *lambda.CreateFunctionUrlConfigInput) (*lambda.CreateFunctionUrlConfigOutput, error) {
	r, err := referURL(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	if err := checkURL(in.Cors); err != nil {
		return nil, err
	}
	u := functionURL{functionKey: r.functionKey, Qualifier: r.Qualifier, ID: s.IDs.Lower(32), AuthType: in.AuthType, InvokeMode: cmp.Or(wire.Val(in.InvokeMode), buffered), Cors: corsOf(in.Cors), Created: c.Now(), Modified: c.Now()}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.CreateFunctionUrlConfigOutput, error) {
		f, err := s.t.urlOwner(tx, r)
		if err != nil {
			return nil, err
		}
		if f.Tenancy != "" {
			return nil, invalid("Function URLs are not supported for functions with tenant isolation.")
		}
		if has, err := s.t.urls.Has(tx, r.key(r.Qualifier)); err != nil {
			return nil, err
		} else if has {
			return nil, conflict("Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function", r.arn())
		}
		v := s.showURL(u)
		return &lambda.CreateFunctionUrlConfigOutput{FunctionUrl: v.FunctionUrl, FunctionArn: v.FunctionArn, AuthType: v.AuthType, Cors: v.Cors,
			CreationTime: v.CreationTime, InvokeMode: v.InvokeMode}, s.t.urls.Put(tx, f, u.Qualifier, u)
	})
}

// urlOwner is the function that is to have a URL; its alias must exist too.
func (t *tables) urlOwner(tx *store.Tx, r reference) (function, error) {
	f, err := t.find(tx, r)
	if awserr.Is(err, "ResourceNotFoundException") {
		err = notFound("Function does not exist")
	}
	return f, err
}

// url is a URL that must exist, with its function.
func (t *tables) url(tx *store.Tx, r reference) (function, functionURL, error) {
	f, _, err := t.functions.Get(tx, r.key())
	if err != nil {
		return f, functionURL{}, err
	}
	u, ok, err := t.urls.Get(tx, r.key(r.Qualifier)) // there is none without its function
	if err == nil && !ok {
		err = notFound("The resource you requested does not exist.")
	}
	return f, u, err
}

func (s *Service) showURL(u functionURL) *lambda.GetFunctionUrlConfigOutput {
	return &lambda.GetFunctionUrlConfigOutput{FunctionUrl: s.URL(u.ID), FunctionArn: u.reference().arn(), AuthType: u.AuthType, Cors: u.Cors, InvokeMode: new(u.mode()),
		CreationTime: u.Created.UTC().Format(urlTime), LastModifiedTime: u.Modified.UTC().Format(urlTime)}
}

func (s *Service) getURL(c *gate.Call, in *lambda.GetFunctionUrlConfigInput) (*lambda.GetFunctionUrlConfigOutput, error) {
	r, err := referURL(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	var u functionURL
	if err := c.View(func(tx *store.Tx) error {
		_, u, err = s.t.url(tx, r)
		return err
	}); err != nil {
		return nil, err
	}
	return s.showURL(u), nil
}

func (s *Service) updateURL(c *gate.Call, in *lambda.UpdateFunctionUrlConfigInput) (*lambda.UpdateFunctionUrlConfigOutput, error) {
	r, err := referURL(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	if err := checkURL(in.Cors); err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.UpdateFunctionUrlConfigOutput, error) {
		f, u, err := s.t.url(tx, r)
		if err != nil {
			return nil, err
		}
		set(&u.AuthType, in.AuthType)
		set(&u.InvokeMode, in.InvokeMode)
		if in.Cors != nil {
			u.Cors = corsOf(in.Cors)
		}
		u.Modified = c.Now()
		v := lambda.UpdateFunctionUrlConfigOutput(*s.showURL(u))
		return &v, s.t.urls.Put(tx, f, u.Qualifier, u)
	})
}

func (s *Service) deleteURL(c *gate.Call, in *lambda.DeleteFunctionUrlConfigInput) (*lambda.DeleteFunctionUrlConfigOutput, error) {
	r, err := referURL(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.DeleteFunctionUrlConfigOutput, error) {
		f, u, err := s.t.url(tx, r)
		if err != nil {
			return nil, err
		}
		return &lambda.DeleteFunctionUrlConfigOutput{}, s.t.urls.Delete(tx, f, u.Qualifier)
	})
}

func (s *Service) listURLs(c *gate.Call, in *lambda.ListFunctionUrlConfigsInput) (*lambda.ListFunctionUrlConfigsOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	p, err := pageOf(in.Marker, in.MaxItems, 50)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionUrlConfigsOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.FunctionUrlConfigs = []lambda.FunctionUrlConfig{}
		if _, err := s.t.urlOwner(tx, reference{k, ""}); err != nil {
			return err
		}
		for e, err := range s.t.urls.Scan(tx, k.key(), p.from()) {
			if err != nil {
				return err
			}
			if len(out.FunctionUrlConfigs) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			v := s.showURL(e.Value)
			out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, lambda.FunctionUrlConfig{FunctionUrl: v.FunctionUrl, FunctionArn: v.FunctionArn,
				CreationTime: v.CreationTime, LastModifiedTime: v.LastModifiedTime, Cors: v.Cors, AuthType: v.AuthType, InvokeMode: v.InvokeMode})
			p.last = e.Key
		}
		return nil
	})
	return out, err
}
