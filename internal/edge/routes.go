package edge

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Route is a route as people see it: its name, under which it is acknowledged, what authorises it,
// where it answers and what it leads to.
type Route struct {
	Name          string // "a1b2c3 GET /health"
	Authorization string // NONE, AWS_IAM, JWT, CUSTOM
	URL           string // by host
	PathURL       string // by path
	Stack         string // that the API belongs to
	Target        string // the function's ARN
}

// Routes are those of all applications, in order: of APIs, then of function URLs.
func (e *Edge) Routes(ctx context.Context) ([]Route, error) {
	http, err := e.HTTP.APIs(ctx)
	if err != nil {
		return nil, err
	}
	rest, err := e.REST.APIs(ctx)
	if err != nil {
		return nil, err
	}
	urls, err := e.URLs.URLs(ctx)
	if err != nil {
		return nil, err
	}
	var out []Route
	list := func(ids []string, find func(context.Context, string) (*api, error)) error {
		slices.Sort(ids)
		for _, id := range ids {
			a, err := find(ctx, id)
			if err != nil {
				return err
			}
			if a != nil {
				out = append(out, e.routesOf(a)...)
			}
		}
		return nil
	}
	if err := list(slices.Concat(http, rest), e.find); err != nil {
		return nil, err
	}
	return out, list(urls, e.findURL)
}

// routesOf lists an API's routes, each once: a name stands for the route in every stage.
func (e *Edge) routesOf(a *api) []Route {
	var out []Route
	at := map[string]int{}
	names := slices.Collect(maps.Keys(a.stages))
	slices.SortFunc(names, func(x, y string) int {
		// The SAM transform leaves a stage of this name beside the one that is meant.
		if (x == "Stage") != (y == "Stage") {
			return map[bool]int{true: 1, false: -1}[x == "Stage"]
		}
		return strings.Compare(x, y)
	})
	for _, name := range names {
		st := a.stages[name]
		byHost, byPath := APIURLs(e.Base(), a.id, name)
		if a.url != nil {
			byHost, byPath = FunctionURLs(e.Base(), a.id)
		}
		for _, r := range st.routes {
			if r.integration.mock != nil && r.method == "OPTIONS" {
				continue
			}
			path := strings.TrimSuffix(r.path, "/")
			if i, ok := at[r.name()]; ok {
				if out[i].Authorization != r.kind && r.kind == "NONE" {
					out[i].Authorization = "NONE" // the weakest stage counts
				}
				continue
			}
			at[r.name()] = len(out)
			out = append(out, Route{Name: r.name(), Authorization: r.kind, URL: byHost + path, PathURL: byPath + path, Stack: st.stack, Target: r.integration.function})
		}
	}
	slices.SortStableFunc(out, func(x, y Route) int { return strings.Compare(x.Name, y.Name) })
	return out
}
