package iam

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/store"
)

const space = "iam"

// entity is a user or a role: whatever policies attach to.
type entity struct {
	Account, Name, Path, ID string
	Created                 time.Time
	Boundary                string            // ARN of a managed policy
	Attached                []string          // ARNs of managed policies, sorted
	Inline                  map[string]string // name → document
	Tags                    map[string]string

	// Roles only.
	Description string
	Trust       string            // with users and roles by unique ids; by ARN in rows from before that
	TrustNames  map[string]string // unique id in Trust → the ARN that the caller gave
	MaxSession  int32             // seconds
}

// key is an access key; the secret is sealed and bound to the key's id.
type key struct {
	ID, Account, User string
	Active            bool
	Created           time.Time
	Secret            []byte
}

// managed is a customer-managed policy.
type managed struct {
	Account, Name, Path, ID string
	Description             string
	Created, Updated        time.Time
	Versions                []version // oldest first
	Default                 string    // "v3"
	Next                    int       // number of the next version
	Tags                    map[string]string
}

type version struct {
	ID, Document string
	Created      time.Time
}

// kind tells users and roles apart in names, messages and tables.
type kind struct {
	noun, title string
	prefix      string // of unique ids
	table       store.Table[entity]
}

// tables are IAM's own; names are unique without regard to case within an account.
type tables struct {
	users, roles kind
	keys         store.Table[key]
	policies     store.Table[managed]
}

func newTables() tables {
	attached := store.Index[entity]{Name: "attached", Keys: func(e entity) []store.Key {
		var out []store.Key
		for _, a := range withBoundary(e) {
			out = append(out, store.K(e.Account, a))
		}
		return out
	}}
	return tables{
		users: kind{"user", "User", "AIDA", store.NewTable(space, "users", attached)},
		roles: kind{"role", "Role", "AROA", store.NewTable(space, "roles", attached)},
		keys: store.NewTable(space, "keys", store.Index[key]{Name: "user", Keys: func(k key) []store.Key {
			return []store.Key{store.K(k.Account, strings.ToLower(k.User))}
		}}),
		policies: store.NewTable[managed](space, "policies"),
	}
}

func withBoundary(e entity) []string {
	out := slices.Clone(e.Attached)
	if e.Boundary != "" && !slices.Contains(out, e.Boundary) {
		out = append(out, e.Boundary)
	}
	return out
}

func nameKey(account, name string) store.Key { return store.K(account, strings.ToLower(name)) }

func keyKey(id string) store.Key { return store.K(id) }

func (e entity) arn(k kind) string {
	return arn.New("iam", "", e.Account, k.noun+e.Path+e.Name).String()
}

func (p managed) arn() string {
	return arn.New("iam", "", p.Account, "policy"+p.Path+p.Name).String()
}

func (p managed) document() string {
	for _, v := range p.Versions {
		if v.ID == p.Default {
			return v.Document
		}
	}
	return ""
}

// policyKey is the key of a customer-managed policy by its ARN: names are unique in an account
// whatever their path.
func policyKey(policyARN string) (store.Key, bool) {
	a, err := arn.Parse(policyARN)
	if err != nil || a.Service != "iam" || !strings.HasPrefix(a.Resource, "policy/") {
		return store.Key{}, false
	}
	return nameKey(a.Account, a.Last()), true
}

func sortedKeys(m map[string]string) []string { return slices.SortedFunc(maps.Keys(m), order) }
