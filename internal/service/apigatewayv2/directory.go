package apigatewayv2

import (
	"context"

	v2 "github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Directory is what is deployed, as the edge reads it: a read-only view of the service's rows.
type Directory struct {
	s  *Service
	db *store.DB
}

// NewDirectory reads the service's rows from db.
func NewDirectory(s *Service, db *store.DB) *Directory { return &Directory{s, db} }

// Served is one stage of an API with what was deployed to it.
type Served struct {
	Account, Region string
	API             v2.Api
	Stage           v2.Stage
	Cors            *v2.Cors
	Routes          []v2.Route
	Integrations    []v2.Integration
	Authorizers     []v2.Authorizer
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
			if st.DeploymentId == nil {
				continue
			}
			dep, err := d.s.deployment(tx, &r, *st.DeploymentId)
			if err != nil {
				return err
			}
			stages = append(stages, Served{r.Account, r.Region, r.API, st, dep.Cors, dep.Routes, dep.Integrations, dep.Authorizers})
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
			ids = append(ids, row.Value.id())
		}
		return nil
	})
	return ids, err
}
