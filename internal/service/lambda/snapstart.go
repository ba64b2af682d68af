package lambda

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// SnapStart's settings are kept and shown as AWS does. Where Lambda restores a snapshot that it took
// of an initialised environment, Bastide holds one such environment ready and frozen: for the newest
// version that has the setting, and for each that an alias points to. Its variables are that
// environment's own, so that what a snapshot would share between environments (seeds, connections)
// is not shared.

// snap marks a published version with SnapStart.
type snap struct{ Number int64 }

// snapPublished is ApplyOn for SnapStart.
const snapPublished = "PublishedVersions"

// snapStart shows a version's setting.
func (v version) snapStart() *lambda.SnapStartResponse {
	out := &lambda.SnapStartResponse{ApplyOn: new("None"), OptimizationStatus: new("Off")}
	if v.Snap {
		out.ApplyOn = new(snapPublished)
		if v.Number > 0 {
			out.OptimizationStatus = new("On")
		}
	}
	return out
}

// checkSnap refuses what SnapStart does not go with. Source: AWS Lambda Developer Guide, "Improving
// startup performance with Lambda SnapStart".
func checkSnap(v *version) error {
	if !v.Snap {
		return nil
	}
	minor, python := strings.CutPrefix(v.Runtime, "python3.")
	switch {
	case v.Image != nil:
		return invalid("Container images are not supported for SnapStart enabled functions.")
	case !python || len(minor) < 2 || minor < "12":
		return invalid("%s is not supported for SnapStart enabled functions.", v.Runtime)
	case v.Tmp > defaultTmp:
		return invalid("SnapStart is not supported for functions with ephemeral storage of more than %d MB.", defaultTmp)
	}
	return nil
}

// snapped are the versions with SnapStart that are in use: of each function the newest, and those that
// an alias points to.
func (t *tables) snapped(tx *store.Tx) ([]wished, error) {
	var all []wished
	var last functionKey
	for e, err := range t.snaps.Scan(tx, store.Key{}, store.Range{Reverse: true}) { // newest first
		if err != nil {
			return nil, err
		}
		k := functionKey{e.Key.Text(0), e.Key.Text(1), e.Key.Text(2)}
		newest := k != last
		last = k
		if !newest {
			pointed, err := t.pointed(tx, k, e.Value.Number)
			if err != nil {
				return nil, err
			}
			if len(pointed) == 0 {
				continue
			}
		}
		all = append(all, wished{k, e.Value.Number, 1, fleet.SnapStart})
	}
	return all, nil
}

// pointed are the aliases that point to a version.
func (t *tables) pointed(tx *store.Tx, k functionKey, version int64) (aliases []string, err error) {
	for e, err := range t.aliases.Scan(tx, k.key(), store.Range{}) {
		if err != nil {
			return nil, err
		}
		if e.Value.Version == version || e.Value.Other == version {
			aliases = append(aliases, e.Value.Name)
		}
	}
	return aliases, nil
}
