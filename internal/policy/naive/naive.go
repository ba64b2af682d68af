// Package naive is the IAM policy language once more, written to be read and not to be fast: it
// interprets the JSON anew for every question, in the order in which the IAM User Guide tells the
// rules, and shares no code with package policy. The tests of package policy compare the two on
// generated policies and requests; nothing else uses it. It expects documents that policy.Parse has
// accepted.
//
//	reason, err := naive.Decide(naive.Request{...}, naive.Set{Identity: []string{`{"Version":...}`}})
package naive

import (
	"encoding/json"
	"strings"
)

// Caller is who asks.
type Caller struct {
	Type, ARN, Account, ID, Origin, Service, Provider string
	Tags                                              map[string]string
}

// Request is one wish. Keys are the condition keys beyond those of the caller.
type Request struct {
	Caller          Caller
	Action          string
	Resource        string
	ResourceAccount string
	Keys            map[string][]string
	Required        bool // the resource's own policy must speak
}

// Set holds documents. A nil Boundary or Resource, or a nil Session, means that there is none.
type Set struct {
	Identity []string
	Boundary *string
	Session  []string
	SCPs     [][]string
	RCPs     [][]string
	Resource *string
}

type object = map[string]any

// How a resource policy reaches the caller.
const (
	nobody = iota
	account
	origin
	itself
)

// Decide answers with the name of policy.Reason.
func Decide(r Request, s Set) (string, error) {
	type layer struct {
		docs  []string
		binds bool
	}
	subject := r.Caller.isSubject()
	var layers []layer
	for _, l := range s.RCPs {
		layers = append(layers, layer{l, true})
	}
	for _, l := range s.SCPs {
		layers = append(layers, layer{l, subject})
	}
	layers = append(layers, layer{one(s.Resource), true}, layer{s.Identity, subject},
		layer{one(s.Boundary), subject}, layer{s.Session, subject})
	for _, l := range layers {
		if !l.binds {
			continue
		}
		for _, d := range l.docs {
			if hit, err := reach(r, d, "Deny"); err != nil || hit > nobody {
				return "ExplicitDeny", err
			}
		}
	}
	return implicit(r, s)
}

// implicit goes through what must allow, when nothing denies.
func implicit(r Request, s Set) (string, error) {
	var failed error
	says := func(docs []string) int {
		best := nobody
		for _, d := range docs {
			got, err := reach(r, d, "Allow")
			if err != nil {
				failed = err
			}
			best = max(best, got)
		}
		return best
	}
	each := func(levels [][]string) bool {
		for _, l := range levels {
			if says(l) == nobody {
				return false
			}
		}
		return true
	}
	resource := says(one(s.Resource))
	root := r.Caller.Type == "Root"
	home := r.ResourceAccount == "" || r.ResourceAccount == r.Caller.Account
	identity := root || says(s.Identity) > nobody
	limit := ""
	if s.Session != nil && says(s.Session) == nobody {
		limit = "ImplicitDenySession"
	}
	if s.Boundary != nil && !root && says(one(s.Boundary)) == nobody {
		limit = "ImplicitDenyBoundary"
	}
	answer := "Allowed"
	switch {
	case !each(s.RCPs):
		answer = "ImplicitDenyRCP"
	case !r.Caller.isSubject():
		if resource == nobody {
			answer = "ImplicitDenyResource"
		}
	case !each(s.SCPs):
		answer = "ImplicitDenySCP"
	case home && resource == itself:
	case home && resource == origin:
		if limit != "" {
			answer = limit
		}
	case home && r.Required && resource == nobody:
		answer = "ImplicitDenyResource"
	case !identity:
		answer = "ImplicitDenyIdentity"
	case !home && resource == nobody:
		answer = "ImplicitDenyResource"
	case limit != "":
		answer = limit
	}
	return answer, failed
}

func one(s *string) []string {
	if s == nil {
		return nil
	}
	return []string{*s}
}

func (c Caller) isSubject() bool {
	return c.Type == "User" || c.Type == "AssumedRole" || c.Type == "Root" || c.Type == "FederatedUser"
}

// reach is the closest way in which a statement of the wanted effect matches the request.
func reach(r Request, document, effect string) (int, error) {
	var d object
	in := json.NewDecoder(strings.NewReader(document))
	in.UseNumber()
	if err := in.Decode(&d); err != nil {
		return nobody, err
	}
	variables := d["Version"] == "2012-10-17"
	best := nobody
	for _, s := range list(d["Statement"]) {
		st := s.(object)
		if st["Effect"] != effect || !actionMatches(r, st) || !resourceMatches(r, st, variables) {
			continue
		}
		how := principalMatches(r.Caller, st)
		if how > best && conditionsHold(r, st, variables) {
			best = how
		}
	}
	return best, nil
}

// list reads "a thing or a list of things".
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func actionMatches(r Request, st object) bool {
	any := func(v any) bool {
		for _, p := range list(v) {
			if matches(strings.ToLower(p.(string)), strings.ToLower(r.Action), plain, nil) {
				return true
			}
		}
		return false
	}
	if v, ok := st["Action"]; ok {
		return any(v)
	}
	return !any(st["NotAction"])
}

func resourceMatches(r Request, st object, variables bool) bool {
	var look func(string) ([]string, bool)
	if variables {
		look = r.lookup
	}
	any := func(v any) bool {
		for _, p := range list(v) {
			if matches(p.(string), r.Resource, resource, look) {
				return true
			}
		}
		return false
	}
	if v, ok := st["Resource"]; ok {
		return any(v)
	}
	if v, ok := st["NotResource"]; ok {
		return !any(v)
	}
	return true
}

// principalMatches says how a statement reaches the caller.
func principalMatches(c Caller, st object) int {
	if v, ok := st["Principal"]; ok {
		return names(c, v)
	}
	v, ok := st["NotPrincipal"]
	if !ok {
		return itself
	}
	if everybody(v) {
		return nobody
	}
	all := true // every name that the caller has is listed
	for _, n := range c.namesOf() {
		if !listed(v, n) {
			all = false
		}
	}
	if st["Effect"] == "Deny" && len(c.namesOf()) > 0 && all {
		return nobody
	}
	if st["Effect"] == "Allow" && names(c, v) > nobody {
		return nobody
	}
	return itself
}

// namesOf lists all the ways of naming the caller, each as its alternatives.
func (c Caller) namesOf() [][]string {
	root := []string{"AWS " + c.Account, "AWS arn:aws:iam::" + c.Account + ":root"}
	id, _, _ := strings.Cut(c.ID, ":")
	switch c.Type {
	case "Root":
		return [][]string{root}
	case "User":
		return [][]string{root, {"AWS " + c.ARN, "AWS " + c.ID}}
	case "FederatedUser":
		return [][]string{root, {"AWS " + c.ARN}}
	case "AssumedRole":
		return [][]string{root, {"AWS " + c.Origin, "AWS " + id}, {"AWS " + c.ARN}}
	case "Service":
		return [][]string{{"Service " + c.Service, "Service *"}}
	case "WebIdentityUser", "SAMLUser":
		return [][]string{{"Federated " + c.Provider}}
	}
	return nil
}

func names(c Caller, v any) int {
	if everybody(v) {
		return itself
	}
	for i, n := range c.namesOf() {
		closest := i == len(c.namesOf())-1
		if closest && c.Type != "Root" && listed(v, n) {
			return itself
		}
	}
	switch n := c.namesOf(); {
	case !c.isSubject():
		return nobody
	case c.Type == "AssumedRole" && listed(v, n[1]), c.Type == "FederatedUser" && listed(v, []string{"AWS " + c.Origin}):
		return origin
	case listed(v, n[0]):
		return account
	}
	return nobody
}

func everybody(v any) bool { return v == "*" || listed(v, []string{"AWS *"}) }

func listed(v any, alternatives []string) bool {
	byType, ok := v.(object)
	if !ok {
		return false
	}
	for kind, values := range byType {
		for _, x := range list(values) {
			for _, a := range alternatives {
				if kind+" "+x.(string) == a {
					return true
				}
			}
		}
	}
	return false
}
