package bastide

import (
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
)

const space = "bastide"

// acknowledgement is a route without authorisation that somebody has opened to other machines.
type acknowledgement struct {
	Route, Reason string
	By            string // ARN
	At            time.Time
}

// acknowledgements are kept by account and the route's name, which holds its API's id.
func acknowledgements() store.Table[acknowledgement] {
	return store.NewTable[acknowledgement](space, "acknowledgements")
}

func routeKey(account, route string) store.Key { return store.K(account, route) }

// signingProfiles are kept by account, region, name and version.
func signingProfiles() store.Table[signingProfile] {
	return store.NewTable[signingProfile](space, "signingProfiles")
}

func profileRow(k profileKey) store.Key { return store.K(k.account, k.region, k.name, k.version) }
