package audit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// disk is what a recorded run has left on a disk that lost power: everything that was synced, and
// of the rest whatever a disk may have got to. Syncing a file makes its data durable, syncing a
// directory the names in it, and nothing else does (POSIX promises no more, and some file systems
// keep no more).
type disk struct {
	files map[int][]byte
	names map[string]int
	dirs  map[string]bool
}

// fate decides what becomes of operations that were not synced.
type fate struct {
	name string
	keep func() bool // whether an unsynced write or name reached the disk
	tear bool        // whether a write that did may have reached it in part, by 512-byte sectors
	rnd  *rand.Rand
}

const sector = 512

// cut replays the events before number n, as a disk of that fate would have them after losing power.
func cut(events []event, n int, f fate) *disk {
	data, names := durable(events[:n])
	d := &disk{files: map[int][]byte{}, names: map[string]int{}, dirs: map[string]bool{".": true}}
	lost := false // names reach the disk in order, as they do under a journal
	for i, e := range events[:n] {
		switch e.kind {
		case evWrite, evTrunc:
			if i < data[e.file] || f.keep() {
				d.write(e, f, i >= data[e.file])
			}
		case evCreate, evMkdir, evRename, evUnlink:
			sure := i < names[parent(e)]
			if !sure && !lost {
				lost = !f.keep()
			}
			if sure || !lost {
				d.name(e)
			}
		}
	}
	return d
}

// parent is the directory whose sync makes the event durable.
func parent(e event) string {
	if e.kind == evRename {
		return path.Dir(e.to)
	}
	return path.Dir(e.path)
}

// durable says up to which event each file's data, and each directory's names, have been synced.
func durable(events []event) (data map[int]int, names map[string]int) {
	data, names = map[int]int{}, map[string]int{}
	for _, e := range events {
		switch e.kind {
		case evSync:
			data[e.file] = max(data[e.file], int(e.off))
		case evSyncDir:
			names[e.path] = max(names[e.path], int(e.off))
		}
	}
	return data, names
}

func (d *disk) write(e event, f fate, unsynced bool) {
	b := d.files[e.file]
	if e.kind == evTrunc {
		if int(e.off) <= len(b) {
			b = b[:e.off:e.off]
		} else {
			b = append(b, make([]byte, int(e.off)-len(b))...)
		}
		d.files[e.file] = b
		return
	}
	end := int(e.off) + len(e.data)
	if end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	for at := 0; at < len(e.data); {
		next := min(len(e.data), at+sector-(int(e.off)+at)%sector)
		if !unsynced || !f.tear || f.rnd.IntN(4) > 0 {
			copy(b[int(e.off)+at:], e.data[at:next])
		}
		at = next
	}
	d.files[e.file] = b
}

func (d *disk) name(e event) {
	switch e.kind {
	case evCreate:
		d.names[e.path] = e.file
	case evMkdir:
		d.dirs[e.path] = true
	case evUnlink:
		delete(d.names, e.path)
		delete(d.dirs, e.path)
	case evRename:
		d.names[e.to] = e.file // also when the old name had not reached the disk
		delete(d.names, e.path)
	}
}

// lay writes the disk's content below dir. A name whose directory was lost is lost with it.
func (d *disk) lay(dir string) error {
	var dirs []string
	for p := range d.dirs {
		dirs = append(dirs, p)
	}
	sort.Strings(dirs)
	for _, p := range dirs {
		if d.reachable(p) {
			if err := os.MkdirAll(filepath.Join(dir, p), 0o700); err != nil {
				return err
			}
		}
	}
	for p, n := range d.names {
		if d.reachable(path.Dir(p)) {
			if err := os.WriteFile(filepath.Join(dir, p), d.files[n], 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *disk) reachable(p string) bool {
	for ; p != "."; p = path.Dir(p) {
		if !d.dirs[p] {
			return false
		}
	}
	return true
}

// scratch is a place in memory if there is one: the rebuilt directories need no durability.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "bastide-powercut-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// moments are the events right before and right after which power is cut: every sync, and every
// acknowledgement.
func moments(events []event) (out []int) {
	for i, e := range events {
		switch e.kind {
		case evSync, evSyncDir:
			out = append(out, i, i+1)
		case evSay:
			out = append(out, i+1)
		}
	}
	return out
}

func fates(rnd *rand.Rand) []fate {
	half := func() bool { return rnd.IntN(2) == 0 }
	return []fate{
		{name: "nothing unsynced kept", keep: func() bool { return false }},
		{name: "everything kept", keep: func() bool { return true }},
		{name: "some kept, out of order", keep: half},
		{name: "some kept, torn", keep: half, tear: true, rnd: rnd},
		{name: "most kept, torn", keep: func() bool { return rnd.IntN(8) > 0 }, tear: true, rnd: rnd},
	}
}

// try cuts at event n and holds what is left against what had been said by then.
func try(t *testing.T, events []event, n int, f fate, root string) error {
	p := newPromise()
	for _, e := range events[:n] {
		if e.kind == evSay {
			if err := p.hear(string(e.data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := filepath.Join(root, "data")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := cut(events, n, f).lay(dir); err != nil {
		t.Fatal(err)
	}
	return p.keptIn(t.Context(), dir)
}

// TestPowerCut records a run and cuts the power at its syncs. A sample is taken, all of them with
// BASTIDE_SOAK=1.
func TestPowerCut(t *testing.T) {
	root := scratch(t)
	events := record(t, filepath.Join(root, "recorded"), "finite")
	seed := uint64(os.Getpid())
	t.Logf("seed %d; %s", seed, summary(events))
	rnd := rand.New(rand.NewPCG(seed, 2))
	at := moments(events)
	if len(at) < 100 {
		t.Fatalf("only %d moments were recorded", len(at))
	}
	wanted := 300
	if os.Getenv("BASTIDE_SOAK") != "" {
		wanted = 20 * len(at)
	}
	all := fates(rnd)
	for i := range wanted {
		n, f := at[i%len(at)], all[rnd.IntN(len(all))]
		if wanted < len(at) {
			n = at[rnd.IntN(len(at))]
		}
		if err := try(t, events, n, f, root); err != nil {
			t.Fatalf("power cut at event %d of %d, %s: %v", n, len(events), f.name, err)
		}
	}
}

func summary(events []event) string {
	var n [evSay + 1]int
	for _, e := range events {
		n[e.kind]++
	}
	return fmt.Sprintf("%d events: %d writes, %d file syncs, %d directory syncs, %d renames, %d lines", len(events), n[evWrite], n[evSync], n[evSyncDir], n[evRename], n[evSay])
}

// TestPowerCutFindsMissingSyncs shows that the suite can fail: a run from which one sort of sync is
// taken out is the run of a program that forgot it.
func TestPowerCutFindsMissingSyncs(t *testing.T) {
	root := scratch(t)
	events := record(t, filepath.Join(root, "recorded"), "finite")
	isBlob := func(p string) bool { return strings.HasPrefix(p, "blobs/") }
	paths := map[int]string{}
	for _, e := range events {
		if e.kind == evCreate {
			paths[e.file] = e.path
		}
	}
	for name, c := range map[string]struct {
		forgets func(e event) bool
		found   string
	}{
		"log not synced (synchronous=OFF)": {func(e event) bool {
			return e.kind == evSync && strings.HasPrefix(paths[e.file], "bastide.db")
		}, ""},
		"blob not synced":               {func(e event) bool { return e.kind == evSync && isBlob(paths[e.file]) }, "blob"},
		"blob directory not synced":     {func(e event) bool { return e.kind == evSyncDir && isBlob(e.path+"/") && e.path != "blobs" }, "blob"},
		"database directory not synced": {func(e event) bool { return e.kind == evSyncDir && e.path == "." }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var without []event
			for _, e := range events {
				if c.forgets(e) {
					e = event{kind: evSay} // a line that says nothing, so that event numbers stay what they were
				}
				without = append(without, e)
			}
			rnd := rand.New(rand.NewPCG(1, 3))
			all := fates(rnd)
			at := moments(events)
			for range 300 {
				err := try(t, without, at[rnd.IntN(len(at))], all[rnd.IntN(len(all))], root)
				if err != nil {
					if !strings.Contains(err.Error(), c.found) {
						t.Logf("found something else first: %v", err)
						continue
					}
					t.Logf("found: %v", err)
					return
				}
			}
			t.Error(errors.New("not found in 300 power cuts"))
		})
	}
}
