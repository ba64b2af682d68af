package logs

import (
	"time"

	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/store"
)

const space = "logs"

// group is a log group.
type group struct {
	Account, Region, Name string
	ID                    string // of its events: a group made anew under an old name is another
	Created               time.Time
	Retention             int32 // days; 0 keeps events for ever
	Class                 string
	Protected             bool
	Tags                  map[string]string
}

// stream is a log stream.
type stream struct {
	Name    string
	Created time.Time
}

type tables struct {
	groups  store.Table[group]
	streams store.Table[stream]
}

func newTables() tables {
	return tables{groups: store.NewTable[group](space, "groups"), streams: store.NewTable[stream](space, "streams")}
}

func groupKey(account, region, name string) store.Key { return store.K(account, region, name) }

func groupsKey(account, region string) store.Key { return store.K(account, region) }

func streamKey(groupID, name string) store.Key { return store.K(groupID, name) }

func streamsKey(groupID string) store.Key { return store.K(groupID) }

func (g group) arn() string {
	return arn.New("logs", g.Region, g.Account, "log-group:"+g.Name).String()
}

func (g group) streamARN(name string) string { return g.arn() + ":log-stream:" + name }
