package cloudformation

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/bastide"
	api "github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/deploy"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/template"
)

// publish sets a stack's outputs and brings its exports to what they say. An export's name is
// unique in an account and region; one that another stack imports stays as it is.
func (s *Service) publish(tx *store.Tx, st *stack, outputs []template.OutputValue) error {
	want := map[string]string{}
	for _, o := range outputs {
		if o.Export == "" {
			continue
		}
		if _, twice := want[o.Export]; twice {
			return invalid("Template format error: Output %s is malformed. The export name %s is used twice.", o.Name, o.Export)
		}
		want[o.Export] = o.Value
		have, taken, err := s.t.exports.Get(tx, exportKey(st.Account, st.Region, o.Export))
		if err != nil {
			return err
		}
		if taken && have.Stack != st.UUID {
			return invalid("Export with name %s is already exported by stack %s", o.Export, s.nameOf(tx, place{st.Account, st.Region, have.Stack}))
		}
	}
	for _, o := range st.Outputs {
		if o.Export == "" {
			continue
		}
		v, stays := want[o.Export]
		if stays && v == o.Value {
			continue
		}
		users, err := s.importers(tx, st.Account, st.Region, o.Export)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return invalid("Export %s cannot be %s as it is in use by %s", o.Export, map[bool]string{true: "updated", false: "deleted"}[stays], strings.Join(users, ", "))
		}
		if _, err := s.t.exports.Delete(tx, exportKey(st.Account, st.Region, o.Export)); err != nil {
			return err
		}
	}
	for name, v := range want {
		if err := s.t.exports.Put(tx, exportKey(st.Account, st.Region, name), export{st.UUID, v}); err != nil {
			return err
		}
	}
	st.Outputs = outputs
	return nil
}

func (s *Service) nameOf(tx *store.Tx, p place) string {
	st, ok, err := s.t.stacks.Get(tx, p.key())
	if err != nil || !ok {
		return p.UUID
	}
	return st.Name
}

// importers are the names of the stacks that use an export, in order.
func (s *Service) importers(tx *store.Tx, account, region, name string) ([]string, error) {
	var out []string
	for e, err := range s.t.imports.Scan(tx, exportKey(account, region, name), store.Range{}) {
		if err != nil {
			return nil, err
		}
		out = append(out, s.nameOf(tx, place{account, region, e.Key.Text(3)}))
	}
	slices.Sort(out)
	return out, nil
}

// keepImports lets go of the exports that a stack no longer uses.
func (s *Service) keepImports(tx *store.Tx, st *stack) error {
	for e, err := range s.t.imports.Scan(tx, store.K(st.Account, st.Region), store.Range{}) {
		if err != nil {
			return err
		}
		if e.Key.Text(3) != st.UUID || slices.Contains(st.Imports, e.Key.Text(2)) {
			continue
		}
		if _, err := s.t.imports.Delete(tx, e.Key); err != nil {
			return err
		}
	}
	return nil
}

// exportsInUse words why a stack cannot be deleted, "" where nobody uses its exports.
func (o *operating) exportsInUse(ctx context.Context) (reason string, err error) {
	err = o.s.job(o.g, "Operations", o.at).View(ctx, func(tx *store.Tx) error {
		reason = ""
		for _, out := range o.st.Outputs {
			if out.Export == "" {
				continue
			}
			users, err := o.s.importers(tx, o.at.Account, o.at.Region, out.Export)
			if err != nil {
				return err
			}
			if len(users) > 0 {
				reason = fmt.Sprintf("Delete canceled. Cannot delete export %s as it is in use by %s.", out.Export, strings.Join(users, ", "))
			}
		}
		return nil
	})
	return reason, err
}

func (s *Service) listExports(c *gate.Call, in *api.ListExportsInput) (*api.ListExportsOutput, error) {
	out := &api.ListExportsOutput{}
	err := c.View(func(tx *store.Tx) error {
		out.Exports = []api.Export{}
		for e, err := range s.t.exports.Scan(tx, store.K(c.Account(), c.Region()), store.Range{}) {
			if err != nil {
				return err
			}
			owner, ok, err := s.t.stacks.Get(tx, place{c.Account(), c.Region(), e.Value.Stack}.key())
			if err != nil {
				return err
			}
			if ok {
				out.Exports = append(out.Exports, api.Export{ExportingStackId: new(owner.id()), Name: new(e.Key.Text(2)), Value: new(e.Value.Value)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Exports, out.NextToken, err = page(out.Exports, in.NextToken)
	return out, err
}

func (s *Service) listImports(c *gate.Call, in *api.ListImportsInput) (*api.ListImportsOutput, error) {
	out := &api.ListImportsOutput{}
	err := c.View(func(tx *store.Tx) (err error) {
		out.Imports, err = s.importers(tx, c.Account(), c.Region(), in.ExportName)
		return err
	})
	if err == nil && len(out.Imports) == 0 {
		err = invalid("Export '%s' is not imported by any stack.", in.ExportName)
	}
	if err != nil {
		return nil, err
	}
	out.Imports, out.NextToken, err = page(out.Imports, in.NextToken)
	return out, err
}

// acknowledge opens the routes that the template's metadata names: those of an API or function URL
// that carries the metadata, those of a function's own URLs, or of whichever of the stack has them.
func (o *operating) acknowledge(ctx context.Context) error {
	c := bastide.Client{Caller: o.run.Base.Caller}
	var all []string
	for _, res := range o.graph.Resources {
		all = append(all, openable(o.run.Rows[res.LogicalID].Now)...)
	}
	for _, res := range o.graph.Resources {
		now := o.run.Rows[res.LogicalID].Now
		for _, route := range now.Acknowledged() {
			of := openable(now)
			if len(of) == 0 {
				of = slices.Concat(o.urlsOf(now), all)
			}
			if err := acknowledgeRoute(ctx, c, of, route, o.st.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// openable is the id under which the routes of an API or function URL are acknowledged.
func openable(i *deploy.Instance) []string {
	switch {
	case isAPI(i.Type):
		return []string{i.PhysicalID}
	case i.Type == "AWS::Lambda::Url":
		address, _ := i.Attributes["FunctionUrl"].(string)
		if u, err := url.Parse(address); err == nil {
			id, _, _ := strings.Cut(u.Host, ".")
			return []string{id}
		}
	}
	return nil
}

// urlsOf are the ids of the URLs of a function and of its aliases.
func (o *operating) urlsOf(function *deploy.Instance) (ids []string) {
	arn, _ := function.Attributes["Arn"].(string)
	for _, res := range o.graph.Resources {
		i := o.run.Rows[res.LogicalID].Now
		if i.Type == "AWS::Lambda::Url" && arn != "" && (i.PhysicalID == arn || strings.HasPrefix(i.PhysicalID, arn+":")) {
			ids = append(ids, openable(i)...)
		}
	}
	return ids
}

func isAPI(typ string) bool {
	return typ == "AWS::ApiGatewayV2::Api" || typ == "AWS::ApiGateway::RestApi"
}

// acknowledgeRoute opens the first route of the name that stands open; one that something authorises
// is no error where another is meant.
func acknowledgeRoute(ctx context.Context, c bastide.Client, ids []string, route, stackName string) error {
	refused := awserr.New("NotFoundException", 404, "No API or function URL of the stack has the route %q that the template acknowledges.", route)
	for _, id := range ids {
		_, err := c.AcknowledgeRoute(ctx, &bastide.AcknowledgeRouteInput{Route: id + " " + route, Reason: new("template of the stack " + stackName)})
		switch {
		case awserr.Is(err, "InvalidRequestException"):
			refused = awserr.Wrap(err)
		case !awserr.Is(err, "NotFoundException"):
			return err
		}
	}
	return refused
}
