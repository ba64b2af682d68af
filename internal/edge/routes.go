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

// Routes are those of all applications, in order.
func (e *Edge) Routes(ctx context.Context) ([]Route, error) {
	http, err := e.HTTP.APIs(ctx)
	if err != nil {
		return nil, err
	}
	rest, err := e.REST.APIs(ctx)
	if err != nil {
		return nil, err
	}
	ids := slices.Concat(http, rest)
	slices.Sort(ids)
	var out []Route
	for _, id := range ids {
		a, err := e.find(ctx, id)
		if err != nil {
			return nil, err
		}
		if a != nil {
			out = append(out, e.routesOf(a)...)
		}
	}
	return out, nil
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
		byHost, byPath := URLs(e.Base(), a.id, name)
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
