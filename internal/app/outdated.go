package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// supportRow is one runtime: whether this machine has it, and until when Lambda supports it.
type supportRow struct {
	Runtime     string   `json:"runtime"`
	Version     string   `json:"version,omitempty"` // of the interpreter; "" where the machine has none
	SDK         string   `json:"sdk,omitempty"`
	State       string   `json:"state"` // "supported", "ending" (within 180 days) or "outdated"
	Deprecated  string   `json:"deprecated"`
	BlockCreate string   `json:"blockFunctionCreate"`
	BlockUpdate string   `json:"blockFunctionUpdate"`
	Functions   []string `json:"functions"` // ARNs of those on it; null where no server was asked
}

// endingSoon is how long before its end a runtime is called ending, as Lambda's own notices are.
const endingSoon = 180 * 24 * time.Hour

// DoctorRuntimes prints which runtimes this machine has, until when each is supported, and which
// functions of the running server are on outdated ones: then the process ends with status 1.
func DoctorRuntimes(ctx context.Context, data string, t Terminal, connect func() (*Remote, error)) error {
	list, err := known(ctx, data)
	if err != nil {
		return err
	}
	var on map[string][]string
	r, offline := connect()
	if offline == nil {
		if on, err = r.functionsByRuntime(ctx); err != nil {
			return err
		}
	}
	now, outdated := time.Now(), false
	var rows []supportRow
	for _, s := range list {
		row := supportOf(s, now)
		if on != nil {
			row.Functions = append([]string{}, on[s.Name]...)
		}
		outdated = outdated || row.State == "outdated" && len(row.Functions) > 0
		rows = append(rows, row)
	}
	if t.JSON {
		err = t.Print(rows)
	} else {
		err = printSupport(t, rows, offline)
	}
	if err == nil && outdated {
		return ExitError{Code: 1}
	}
	return err
}

func supportOf(s runtimes.Status, now time.Time) supportRow {
	ends := runtimes.SupportOf(s.Name)
	row := supportRow{Runtime: s.Name, State: "supported", SDK: s.SDK.Version, Deprecated: ends.Deprecated.Format(time.DateOnly),
		BlockCreate: ends.BlockCreate.Format(time.DateOnly), BlockUpdate: ends.BlockUpdate.Format(time.DateOnly)}
	if len(s.Found) > 0 {
		row.Version = s.Found[0].Version
	}
	switch {
	case ends.Over(now):
		row.State = "outdated"
	case ends.Over(now.Add(endingSoon)):
		row.State = "ending"
	}
	return row
}

func printSupport(t Terminal, rows []supportRow, offline error) error {
	colours := map[string]string{"supported": green, "ending": yellow, "outdated": red}
	for _, r := range rows {
		have := r.Version
		if have == "" {
			have = "-"
		}
		if strings.HasPrefix(r.Runtime, "provided") {
			have = "own"
		}
		if err := t.Line("%s %-16s %-10s no fixes from %s, no new functions on Lambda from %s", t.paint(colours[r.State], fmt.Sprintf("%-9s", r.State)), r.Runtime, have, r.Deprecated, r.BlockCreate); err != nil {
			return err
		}
		if r.State == "supported" {
			continue
		}
		for _, fn := range r.Functions {
			if err := t.Line("            %s", fn); err != nil {
				return err
			}
		}
	}
	if offline != nil {
		return t.Line("no server runs on this data directory, so that its functions are not listed: %v", offline)
	}
	return nil
}

// functionsByRuntime are the ARNs of all functions' versions in the account and region.
func (r *Remote) functionsByRuntime(ctx context.Context) (map[string][]string, error) {
	on := map[string][]string{}
	for marker := ""; ; {
		var out struct {
			Functions  []struct{ FunctionArn, Runtime string }
			NextMarker string
		}
		q := url.Values{"FunctionVersion": {"ALL"}}
		if marker != "" {
			q.Set("Marker", marker)
		}
		if err := r.REST(ctx, "lambda", http.MethodGet, "/2015-03-31/functions?"+q.Encode(), nil, &out); err != nil {
			return nil, err
		}
		for _, f := range out.Functions {
			on[f.Runtime] = append(on[f.Runtime], f.FunctionArn)
		}
		if marker = out.NextMarker; marker == "" {
			break
		}
	}
	for _, list := range on {
		slices.Sort(list)
	}
	return on, nil
}
