package apigateway

import (
	"slices"
	"strings"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const space = "apigateway"

// record is an API with everything that it has but its deployments: it is changed and deployed
// as a whole.
type record struct {
	Account, Region string
	API             rest.RestApi
	Resources       []rest.Resource // the root is the first; methods are within
	Authorizers     []rest.Authorizer
	Stages          []rest.Stage
}

// deployment is an API as it was when it was deployed, its policy and settings too.
type deployment struct {
	Deployment  rest.Deployment
	API         rest.RestApi
	Resources   []rest.Resource
	Authorizers []rest.Authorizer
}

type tables struct {
	apis        store.Table[record]
	deployments store.Table[deployment]
}

func newTables() tables {
	return tables{
		// Requests name an API by its id alone.
		apis: store.NewTable(space, "apis", store.Index[record]{Name: "id", Unique: true, Keys: func(r record) []store.Key {
			return []store.Key{store.K(*r.API.Id)}
		}}),
		deployments: store.NewTable[deployment](space, "deployments"),
	}
}

func apiKey(account, region, id string) store.Key { return store.K(account, region, id) }

func (r *record) key() store.Key { return apiKey(r.Account, r.Region, *r.API.Id) }

func (r *record) deploymentKey(id string) store.Key { return r.key().With(id) }

func (t tables) get(tx *store.Tx, account, region, id string) (record, error) {
	r, ok, err := t.apis.Get(tx, apiKey(account, region, id))
	if err == nil && !ok {
		err = missing("API", account+":"+id)
	}
	return r, err
}

func missing(noun, id string) error {
	if id == "" {
		return awserr.New("NotFoundException", 404, "Invalid %s identifier specified", noun)
	}
	return awserr.New("NotFoundException", 404, "Invalid %s identifier specified %s", noun, id)
}

func bad(format string, args ...any) error {
	return awserr.New("BadRequestException", 400, format, args...)
}

func conflict(format string, args ...any) error {
	return awserr.New("ConflictException", 409, format, args...)
}

func notBuilt(what string) error {
	return awserr.Of(awserr.NotImplemented, "%s: not built in this version of Bastide.", what)
}

func (r *record) resource(id string) (*rest.Resource, error) {
	i := slices.IndexFunc(r.Resources, func(x rest.Resource) bool { return wire.Val(x.Id) == id })
	if i < 0 {
		return nil, missing("Resource", "")
	}
	return &r.Resources[i], nil
}

// method is a resource's method; set writes one back, since methods are kept by value.
func (r *record) method(resourceID, verb string) (*rest.Resource, rest.Method, error) {
	res, err := r.resource(resourceID)
	if err != nil {
		return nil, rest.Method{}, err
	}
	m, ok := res.ResourceMethods[verb]
	if !ok {
		return nil, rest.Method{}, missing("Method", "")
	}
	return res, m, nil
}

func set(res *rest.Resource, verb string, m rest.Method) {
	if res.ResourceMethods == nil {
		res.ResourceMethods = map[string]rest.Method{}
	}
	res.ResourceMethods[verb] = m
}

func (r *record) stage(name string) (*rest.Stage, error) {
	i := slices.IndexFunc(r.Stages, func(x rest.Stage) bool { return wire.Val(x.StageName) == name })
	if i < 0 {
		return nil, missing("stage", "")
	}
	return &r.Stages[i], nil
}

func (r *record) authorizer(id string) (int, error) {
	i := slices.IndexFunc(r.Authorizers, func(x rest.Authorizer) bool { return wire.Val(x.Id) == id })
	if i < 0 {
		return 0, missing("Authorizer", id)
	}
	return i, nil
}

// at finds a resource by its path.
func (r *record) at(path string) *rest.Resource {
	i := slices.IndexFunc(r.Resources, func(x rest.Resource) bool { return wire.Val(x.Path) == path })
	if i < 0 {
		return nil
	}
	return &r.Resources[i]
}

func join(parent, part string) string { return strings.TrimSuffix(parent, "/") + "/" + part }
