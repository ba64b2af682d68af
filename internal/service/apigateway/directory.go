package apigateway

import (
	"context"

	rest "github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Directory is what is deployed, as the edge reads it: a read-only view of the service's rows.
type Directory struct {
	s  *Service
	db *store.DB
}

// NewDirectory reads the service's rows from db.
func NewDirectory(s *Service, db *store.DB) *Directory { return &Directory{s, db} }

// Served is one stage of an API with what was deployed to it. Policy is the API's resource policy,
// its shorthand written out.
type Served struct {
	Account, Region string
	API             rest.RestApi
	Policy          string
	Stage           rest.Stage
	Resources       []rest.Resource
	Authorizers     []rest.Authorizer
}

// Version grows with every change to the service's rows.
func (d *Directory) Version() uint64 { return d.db.Changes(space) }

// Stages are the deployed stages of an API, whose id is enough to find it; known is false where
// there is no such API.
func (d *Directory) Stages(ctx context.Context, apiID string) (stages []Served, known bool, err error) {
	err = d.db.View(ctx, store.In(space), func(tx *store.Tx) error {
		stages, known = nil, false
		row, ok, err := d.s.t.apis.By("id").Get(tx, store.K(apiID))
		if err != nil || !ok {
			return err
		}
		known = true
		r := row.Value
		for _, st := range r.Stages {
			dep, err := d.s.deployment(tx, &r, wire.Val(st.DeploymentId))
			if err != nil {
				return err
			}
			one := Served{Account: r.Account, Region: r.Region, API: dep.API, Stage: st, Resources: dep.Resources, Authorizers: dep.Authorizers}
			one.API.Tags = r.API.Tags
			if dep.API.Policy != nil {
				if one.Policy, err = r.written(*dep.API.Policy); err != nil {
					return err
				}
			}
			stages = append(stages, one)
		}
		return nil
	})
	return stages, known, err
}

// APIs are the ids of all APIs of all accounts.
func (d *Directory) APIs(ctx context.Context) (ids []string, err error) {
	err = d.db.View(ctx, store.In(space), func(tx *store.Tx) error {
		ids = nil
		for row, err := range d.s.t.apis.Scan(tx, store.K(), store.Range{}) {
			if err != nil {
				return err
			}
			ids = append(ids, *row.Value.API.Id)
		}
		return nil
	})
	return ids, err
}
