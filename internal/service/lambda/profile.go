package lambda

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/store"
)

// tagProfile is the tag that gives a function a runtime profile: "learn" what it does, "report" what
// departs from that, or "enforce" it; "off" forgets it, as its removal does.
const tagProfile = "bastide:profile"

// Bounds of a profile; what is beyond is not learned, and so departs.
const (
	maxFacts    = 1000   // programs and hosts
	maxFiles    = 20_000 // of a package
	maxPackages = 3      // whose files are remembered
)

// profile is what was learned of a function.
type profile struct {
	functionKey
	Facts    []fleet.Fact // but for files
	Packages []loaded     // the one learned last is last
	Since    time.Time
}

// loaded are the files that were opened of one package.
type loaded struct {
	SHA256 string
	Files  []string
	Held   bool // the function is held to them, which it is from when its tag says so
}

// of is what is known of a package.
func (p profile) of(sha string) loaded {
	for _, l := range p.Packages {
		if l.SHA256 == sha {
			return l
		}
	}
	return loaded{SHA256: sha}
}

// profileMode reads the tag.
func profileMode(tags map[string]string) (fleet.ProfileMode, error) {
	mode := fleet.ProfileMode(tags[tagProfile])
	switch mode {
	case "", "off":
		return "", nil
	case fleet.Learn, fleet.Report, fleet.Enforce:
		return mode, nil
	}
	return "", invalid("The tag %s: %q is none of learn, report, enforce and off.", tagProfile, tags[tagProfile])
}

// strictness orders the tag's values: one that is less strict lets a function do more, or unseen.
func strictness(tag string) int {
	return slices.Index([]string{string(fleet.Learn), string(fleet.Report), string(fleet.Enforce)}, tag)
}

// checkProfile refuses to hold a function to a profile that has learned nothing.
func (s *Service) checkProfile(tx *store.Tx, k functionKey, tags map[string]string) error {
	mode, err := profileMode(tags)
	if err != nil || mode == "" || mode == fleet.Learn {
		return err
	}
	_, ok, err := s.t.profiles.Get(tx, k.key())
	if err != nil || ok {
		return err
	}
	return invalid("The tag %s: nothing has been learned of %s that it could %s. Tag it learn first and let it do its work.", tagProfile, k.Name, mode)
}

// profileOf is what instances of a version are judged by; nil without the tag. Its revision ends
// instances that are judged by another.
func (s *Service) profileOf(tx *store.Tx, fn function, sha string) (p *fleet.Profile, revision string, err error) {
	mode, err := profileMode(fn.Tags)
	if err != nil || mode == "" {
		return nil, "", err
	}
	known, _, err := s.t.profiles.Get(tx, fn.key())
	if err != nil {
		return nil, "", err
	}
	p = &fleet.Profile{Mode: mode, Facts: map[fleet.Fact]bool{}}
	for _, f := range known.Facts {
		p.Facts[f] = true
	}
	code := known.of(sha)
	p.Files = code.Held && mode != fleet.Learn
	for _, name := range code.Files {
		p.Facts[fleet.Fact{Kind: fleet.Loads, What: name}] = true
	}
	revision = " " + string(mode)
	if p.Files {
		revision += " files"
	}
	return p, revision, nil
}

// holdProfile holds a function to what has been learned so far, when its tag changes to say so. The
// files of a package that comes later are learned until it changes once more; a deployment, which puts
// its tags again, confirms nothing.
func (s *Service) holdProfile(tx *store.Tx, f function, tags map[string]string) error {
	k := f.functionKey
	if tags[tagProfile] == f.Tags[tagProfile] {
		return nil
	}
	if err := s.checkProfile(tx, k, tags); err != nil {
		return err
	}
	mode, err := profileMode(tags)
	if err != nil || mode == fleet.Learn {
		return err
	}
	if mode == "" { // what was learned goes with the tag
		_, err := s.t.profiles.Delete(tx, k.key())
		return err
	}
	p, _, err := s.t.profiles.Get(tx, k.key())
	if err != nil {
		return err
	}
	p.Packages = slices.Clone(p.Packages)
	for i := range p.Packages {
		p.Packages[i].Held = true
	}
	return s.t.profiles.Put(tx, k.key(), p)
}

// learned gathers what instances tell until it is written.
type learned struct {
	mu      sync.Mutex
	pending map[functionKey]map[string]map[fleet.Fact]bool // by package
	wake    chan struct{}
}

// gatherFacts is how long facts wait for others.
const gatherFacts = 200 * time.Millisecond

// Learned implements fleet.Profiles.
func (s *Service) Learned(fn *fleet.Function, facts []fleet.Fact) {
	k := functionKey{fn.Account, fn.Region, fn.Name}
	sha := filepath.Base(fn.Code) // packages lie under their hashes
	s.learned.mu.Lock()
	defer s.learned.mu.Unlock()
	if s.learned.pending[k] == nil {
		s.learned.pending[k] = map[string]map[fleet.Fact]bool{}
	}
	if s.learned.pending[k][sha] == nil {
		s.learned.pending[k][sha] = map[fleet.Fact]bool{}
	}
	for _, f := range facts {
		s.learned.pending[k][sha][f] = true
	}
	select {
	case s.learned.wake <- struct{}{}:
	default:
	}
}

// Departed implements fleet.Profiles.
func (s *Service) Departed(fn *fleet.Function, f fleet.Fact, refused bool) {
	if s.Departure != nil {
		s.Departure(fn, f.String(), refused)
	}
}

// keepProfiles writes what is learned, until ctx ends.
func (s *Service) keepProfiles(ctx context.Context, g *gate.Gate) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			s.report("keep what functions were seen to do", s.writeProfiles(last, g))
			cancel()
			return
		case <-s.learned.wake:
		}
		timer := time.NewTimer(gatherFacts)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		s.report("keep what functions were seen to do", s.writeProfiles(ctx, g))
	}
}

func (s *Service) writeProfiles(ctx context.Context, g *gate.Gate) error {
	s.learned.mu.Lock()
	all := s.learned.pending
	s.learned.pending = map[functionKey]map[string]map[fleet.Fact]bool{}
	s.learned.mu.Unlock()
	for k, packages := range all {
		j := gate.Job{Gate: g, Name: "LearnProfile", Service: lambda.Service, Account: k.Account, Region: k.Region}
		err := j.Update(ctx, map[string]any{"functionName": k.Name}, func(tx *store.Tx) error {
			fn, ok, err := s.t.functions.Get(tx, k.key())
			if err != nil || !ok {
				return err // it has been deleted
			}
			p, had, err := s.t.profiles.Get(tx, k.key())
			if err != nil {
				return err
			}
			if !had {
				p = profile{functionKey: k, Since: s.Clock.Now()}
			}
			for _, sha := range slices.Sorted(maps.Keys(packages)) {
				p = p.with(sha, packages[sha])
			}
			if err := s.t.profiles.Put(tx, k.key(), p); err != nil {
				return err
			}
			return s.t.functions.Put(tx, k.key(), fn) // what is kept of it in memory ends
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// with is the profile with more facts.
func (p profile) with(sha string, facts map[fleet.Fact]bool) profile {
	code := p.of(sha)
	code.Files = slices.Clone(code.Files)
	for _, f := range slices.SortedFunc(maps.Keys(facts), func(a, b fleet.Fact) int {
		return strings.Compare(string(a.Kind)+a.What, string(b.Kind)+b.What)
	}) {
		switch {
		case f.Kind == fleet.Loads:
			if at, had := slices.BinarySearch(code.Files, f.What); !had && len(code.Files) < maxFiles {
				code.Files = slices.Insert(code.Files, at, f.What)
			}
		case len(p.Facts) < maxFacts && !slices.Contains(p.Facts, f):
			p.Facts = append(slices.Clone(p.Facts), f)
		}
	}
	p.Packages = slices.DeleteFunc(slices.Clone(p.Packages), func(l loaded) bool { return l.SHA256 == sha })
	if len(p.Packages) >= maxPackages {
		p.Packages = p.Packages[1:]
	}
	p.Packages = append(p.Packages, code)
	return p
}
