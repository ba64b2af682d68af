package apigatewayv2

import (
	"reflect"
	"slices"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/store"
)

const space = "apigatewayv2"

// record is an API with everything that it has but its deployments: it is changed and deployed
// as a whole.
type record struct {
	Account, Region string
	API             v2.Api
	Routes          []v2.Route
	Integrations    []v2.Integration
	Authorizers     []v2.Authorizer
	Stages          []v2.Stage
}

// deployment is an API as it was when it was deployed.
type deployment struct {
	Deployment   v2.Deployment
	Cors         *v2.Cors
	Routes       []v2.Route
	Integrations []v2.Integration
	Authorizers  []v2.Authorizer
}

type tables struct {
	apis        store.Table[record]
	deployments store.Table[deployment]
}

func newTables() tables {
	return tables{
		// Requests name an API by its id alone.
		apis: store.NewTable(space, "apis", store.Index[record]{Name: "id", Unique: true, Keys: func(r record) []store.Key {
			return []store.Key{store.K(*r.API.ApiId)}
		}}),
		deployments: store.NewTable[deployment](space, "deployments"),
	}
}

func apiKey(account, region, id string) store.Key { return store.K(account, region, id) }

func (r *record) key() store.Key { return apiKey(r.Account, r.Region, r.id()) }

func (r *record) id() string { return *r.API.ApiId }

func (r *record) deploymentKey(id string) store.Key { return r.key().With(id) }

func (t tables) get(tx *store.Tx, account, region, id string) (record, error) {
	r, ok, err := t.apis.Get(tx, apiKey(account, region, id))
	if err == nil && !ok {
		err = missing("Api", id)
	}
	return r, err
}

func missing(noun, id string) error {
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

// settle takes back what an empty value unsets: an update says "" or an empty list or map of a
// member to make it what it is where nobody ever said it.
func settle(dst any) {
	v := reflect.ValueOf(dst).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Slice, reflect.Map:
			if f.Len() == 0 {
				f.SetZero()
			}
		case reflect.Pointer:
			if s, ok := f.Interface().(*string); ok && s != nil && *s == "" {
				f.SetZero()
			}
		}
	}
}

// find is the element of a list with an id; the error says which noun there is none of.
func find[T any](list []T, id func(*T) string, noun, want string) (int, error) {
	i := slices.IndexFunc(list, func(e T) bool { return id(&e) == want })
	if i < 0 {
		return 0, missing(noun, want)
	}
	return i, nil
}

func routeID(r *v2.Route) string             { return *r.RouteId }
func integrationID(i *v2.Integration) string { return *i.IntegrationId }
func authorizerID(a *v2.Authorizer) string   { return *a.AuthorizerId }
func stageName(s *v2.Stage) string           { return s.StageName }
