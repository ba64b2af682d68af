package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/store"
)

// refusals counts what was refused before the caller was known. A flood becomes a few records a
// second, not a full disk.
type refusals struct {
	mu sync.Mutex
	by map[refusalKey]map[string]int64
}

type refusalKey struct {
	source string
	second int64 // Unix time
}

const (
	maxSources = 256 // told apart in one unflushed stretch; all further ones are counted together
	maxCodes   = 32
	anySource  = "other"
)

// CountRefusal counts a request refused before its caller was known: from source (an address, as in
// Record.SourceIPAddress), with the error code that it was answered. Counts become one record a
// source and second, within a second of Run's time.
func (t *Trail) CountRefusal(source, code string) {
	f := &t.refusals
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = map[refusalKey]map[string]int64{}
	}
	k := refusalKey{source, t.db.Clock().Now().Unix()}
	if f.by[k] == nil && len(f.by) >= maxSources {
		k.source = anySource
	}
	codes := f.by[k]
	if codes == nil {
		codes = map[string]int64{}
		f.by[k] = codes
	}
	if _, ok := codes[code]; !ok && len(codes) >= maxCodes {
		code = anySource
	}
	codes[code]++
	t.poke()
}

func (f *refusals) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.by) > 0
}

// FlushRefusals makes the counts so far into records. Counts that could not be written are kept.
func (t *Trail) FlushRefusals(ctx context.Context) error {
	f := &t.refusals
	f.mu.Lock()
	taken := f.by
	f.by = nil
	f.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}
	order := make([]refusalKey, 0, len(taken))
	for k := range taken {
		order = append(order, k)
	}
	slices.SortFunc(order, func(a, b refusalKey) int {
		if a.second != b.second {
			return int(a.second - b.second)
		}
		return strings.Compare(a.source, b.source)
	})
	err := t.db.Update(ctx, store.In(Space), func(tx *store.Tx) error {
		for _, k := range order {
			if err := t.Append(tx, refusalRecord(k, taken[k], t.opt.Account)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = taken
	} else { // counted on meanwhile: under one second and source at worst, so that the sums hold
		for k, codes := range taken {
			if f.by[k] == nil && len(f.by) >= maxSources {
				k.source = anySource
			}
			if f.by[k] == nil {
				f.by[k] = map[string]int64{}
			}
			for c, n := range codes {
				f.by[k][c] += n
			}
		}
	}
	return fmt.Errorf("audit: refusals: %w", err)
}

func refusalRecord(k refusalKey, codes map[string]int64, account string) Record {
	var total int64
	top := ""
	for c, n := range codes {
		total += n
		if top == "" || n > codes[top] || n == codes[top] && c < top {
			top = c
		}
	}
	return Record{
		EventTime: time.Unix(k.second, 0), EventSource: "bastide.amazonaws.com", EventName: "RefuseRequest",
		EventType: "AwsServiceEvent", UserIdentity: UserIdentity{Type: "Unknown"}, SourceIPAddress: k.source,
		ErrorCode: top, ReadOnly: true, ManagementEvent: true, RecipientAccountID: account,
		Additional: map[string]any{CountKey: total, "codes": codes},
	}
}
