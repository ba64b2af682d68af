package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Report is what was seen of a function, and what follows from it.
type Report struct {
	Name, ARN       string
	Mode            fleet.ProfileMode // empty without a profile
	Since           time.Time         // of what was learned
	Processes       bool              // it starts some
	Programs, Hosts []string
	Tmp             bool // it writes to /tmp
	Files           Package
	Unpack          time.Duration // of the package, since the start of Bastide; 0 where it was not seen
	Stats           fleet.Stats
	Advice          []Advice
}

// Package is how much of $LATEST's package is used.
type Package struct {
	Known        bool // files of it were seen to be opened
	Held         bool // the function is held to them
	Files, Used  int
	Bytes, Spent int64    // of all files, and of those that were opened
	Unused       []Weight // the heaviest parts of which nothing was opened, at most ten
}

// Weight is a part of a package: a file or a folder at the top, or a folder in node_modules.
type Weight struct {
	Path  string
	Bytes int64
}

// Advice is one thing to better.
type Advice struct{ Finding, Detail, Remedy string }

// maxWalk bounds the files of a package that are looked at.
const maxWalk = 100_000

// Reports are what was seen of an account's functions in a region: of one, or of all when name is empty.
func (s *Service) Reports(ctx context.Context, g *gate.Gate, account, region, name string) ([]Report, error) {
	var found []Report
	var shas []string
	var known []profile
	j := gate.Job{Gate: g, Name: "ReportFunctions", Service: lambda.Service, Account: account, Region: region}
	err := j.View(ctx, func(tx *store.Tx) error {
		found, shas, known = nil, nil, nil
		for e, err := range s.t.functions.Scan(tx, store.K(account, region), store.Range{}) {
			if err != nil {
				return err
			}
			f := e.Value
			if name != "" && f.Name != name {
				continue
			}
			mode, err := profileMode(f.Tags)
			if err != nil {
				return err
			}
			v, _, err := s.t.versions.Get(tx, f.key(int64(0)))
			if err != nil {
				return err
			}
			p, _, err := s.t.profiles.Get(tx, f.key())
			if err != nil {
				return err
			}
			found = append(found, Report{Name: f.Name, ARN: f.arn(""), Mode: mode, Since: p.Since})
			shas, known = append(shas, v.Code.SHA256), append(known, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range found {
		r := &found[i]
		r.Stats = s.Runner.Stats(r.ARN)
		r.learned(known[i])
		r.Unpack = s.Code.Took(shas[i])
		if err := s.weigh(r, known[i].of(shas[i]), shas[i]); err != nil {
			return nil, err
		}
		r.advise()
	}
	return found, nil
}

// learned fills in the facts.
func (r *Report) learned(p profile) {
	for _, f := range p.Facts {
		switch f.Kind {
		case fleet.Forks:
			r.Processes = true
		case fleet.Runs:
			r.Programs = append(r.Programs, f.What)
		case fleet.Reaches:
			r.Hosts = append(r.Hosts, f.What)
		case fleet.Writes:
			r.Tmp = true
		}
	}
}

// weigh compares the package with what was opened of it.
func (s *Service) weigh(r *Report, code loaded, sha string) error {
	dir, ok := s.Code.Dir(sha)
	if !ok {
		return nil // an image, or not unpacked since the machine started
	}
	used := map[string]bool{}
	for _, f := range code.Files {
		used[f] = true
	}
	r.Files.Known, r.Files.Held = len(code.Files) > 0, code.Held
	parts, touched := map[string]int64{}, map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if r.Files.Files++; r.Files.Files > maxWalk {
			return fs.SkipAll
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		r.Files.Bytes += info.Size()
		parts[part(rel)] += info.Size()
		if used[rel] {
			r.Files.Used++
			r.Files.Spent += info.Size()
			touched[part(rel)] = true
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // swept meanwhile
	}
	for name, size := range parts {
		if !touched[name] {
			r.Files.Unused = append(r.Files.Unused, Weight{name, size})
		}
	}
	slices.SortFunc(r.Files.Unused, func(a, b Weight) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path))
	})
	r.Files.Unused = r.Files.Unused[:min(len(r.Files.Unused), 10)]
	return err
}

// part is the piece of a package that a file belongs to.
func part(file string) string {
	steps := strings.SplitN(file, "/", 4)
	n := 1
	if steps[0] == "node_modules" && len(steps) > 2 {
		n = 2
		if strings.HasPrefix(steps[1], "@") && len(steps) > 3 {
			n = 3
		}
	}
	return strings.Join(steps[:n], "/")
}

// What is worth saying.
const (
	mega        = 1 << 20
	weighty     = 64 << 10 // of files that are never opened, if it is a tenth of the package
	heavy       = mega     // a package
	slow        = 250 * time.Millisecond
	enoughCalls = 10
)

// advise draws the conclusions.
func (r *Report) advise() {
	f, st := r.Files, r.Stats
	if unused := f.Bytes - f.Spent; f.Known && unused > weighty && unused > f.Bytes/10 {
		detail := fmt.Sprintf("%d of %s (%s of %s, %d %%) were never opened", f.Files-f.Used, Number(int64(f.Files), "file"), Size(unused), Size(f.Bytes), unused*100/f.Bytes)
		if len(f.Unused) > 0 {
			detail += "; the heaviest: " + f.Unused[0].Path + " (" + Size(f.Unused[0].Bytes) + ")"
		}
		r.advice("files never loaded", detail, "leave them out of the package, or bundle what is used: less to unpack, to scan and to exploit")
	}
	r.clients("AWS's API", st.Connections)
	for _, host := range slices.Sorted(maps.Keys(st.Hosts)) {
		r.clients(host, st.Hosts[host])
	}
	if r.Tmp || st.TmpMost > 0 {
		r.scratch()
	}
	if st.Starts > 0 && f.Bytes > heavy && st.InitTime/time.Duration(st.Starts) > slow && st.LoadTime*2 > st.InitTime {
		each := func(d time.Duration) int64 { return (d / time.Duration(st.Starts)).Milliseconds() }
		detail := fmt.Sprintf("%s in %s; a start takes %d ms on average, and %d ms of it (%d %%) go by until the handler is loaded",
			Size(f.Bytes), Number(int64(f.Files), "file"), each(st.InitTime), each(st.LoadTime), st.LoadTime*100/st.InitTime)
		if r.Unpack > 0 {
			detail += fmt.Sprintf("; unpacking it took %d ms, once", r.Unpack.Milliseconds())
		}
		r.advice("a heavy package starts slowly", detail, "bundle the handler with what it uses, and load the rest when it is first needed")
	}
	if st.DroppedRecords > 0 {
		r.advice("output is dropped", fmt.Sprintf("%s (%s) beyond what is kept", Number(st.DroppedRecords, "log event"), Size(st.DroppedBytes)), "print less, or raise the level of the logger")
	}
}

func (r *Report) advice(finding, detail, remedy string) {
	r.Advice = append(r.Advice, Advice{finding, detail, remedy})
}

// clients judges the connections to one host: one that is kept is opened once for an instance.
func (r *Report) clients(host string, connections int64) {
	st := r.Stats
	if st.Invocations >= enoughCalls && connections*10 >= st.Invocations*8 && connections > 3*st.Starts {
		r.advice("clients made on each call", fmt.Sprintf("%s to %s in %s on %s", Number(connections, "connection"), host,
			Number(st.Invocations, "call"), Number(st.Starts, "instance")),
			"make clients outside of the handler and keep their connections alive, so that the next call finds an open one")
	}
}

// scratch says what of /tmp stays.
func (r *Report) scratch() {
	st := r.Stats
	if st.TmpMost > 0 && st.TmpLeft == 0 {
		return // it was seen to clear up
	}
	detail := "what one call leaves in /tmp is there in the next call of the same instance"
	if st.TmpLeft > 0 {
		detail = fmt.Sprintf("up to %s in /tmp, and up to %s left there when a call had ended: the next call of the same instance finds it", Size(st.TmpMost), Size(st.TmpLeft))
	}
	r.advice("/tmp is written", detail, "delete it before returning, or give every request a fresh environment")
}

// Size is a number of bytes for people to read.
func Size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < mega:
		return fmt.Sprintf("%d KB", (n+1023)/1024)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/mega)
}

// Number is a number of things, as "1 file".
func Number(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
