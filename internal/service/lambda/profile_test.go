package lambda

import (
	"fmt"
	"slices"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

func factsOf(list ...fleet.Fact) map[fleet.Fact]bool {
	m := map[fleet.Fact]bool{}
	for _, f := range list {
		m[f] = true
	}
	return m
}

// TestProfileGrows: facts are kept once, files by their package, and no more packages than are
// remembered; a package that comes later is not held to files that nobody has confirmed.
func TestProfileGrows(t *testing.T) {
	var p profile
	p = p.with("a", factsOf(fleet.Fact{Kind: fleet.Loads, What: "x"}, fleet.Fact{Kind: fleet.Reaches, What: "h:1"}))
	p.Packages[0].Held = true
	before := p
	p = p.with("a", factsOf(fleet.Fact{Kind: fleet.Loads, What: "b"}, fleet.Fact{Kind: fleet.Loads, What: "x"}, fleet.Fact{Kind: fleet.Reaches, What: "h:1"}))
	if a := p.of("a"); !slices.Equal(a.Files, []string{"b", "x"}) || !a.Held || len(p.Facts) != 1 {
		t.Errorf("%+v", p)
	}
	if len(before.Packages[0].Files) != 1 {
		t.Error("the profile before has changed with the one after")
	}
	for i := range maxPackages {
		p = p.with(fmt.Sprint(i), factsOf(fleet.Fact{Kind: fleet.Loads, What: "y"}))
	}
	if len(p.Packages) != maxPackages || len(p.of("a").Files) != 0 || p.of("0").Held {
		t.Errorf("%+v", p.Packages)
	}
}

// TestPart: a package is weighed by what it is made of.
func TestPart(t *testing.T) {
	for file, want := range map[string]string{
		"index.js": "index.js", "lib/a/b.js": "lib", "node_modules/left-pad/index.js": "node_modules/left-pad",
		"node_modules/@aws-sdk/client-s3/dist/index.js": "node_modules/@aws-sdk/client-s3", "node_modules/.package-lock.json": "node_modules",
	} {
		if got := part(file); got != want {
			t.Errorf("%s is part of %s, want %s", file, got, want)
		}
	}
}

// TestAdvice: each finding comes from its figures, and a function that does well gets none.
func TestAdvice(t *testing.T) {
	well := Report{Files: Package{Known: true, Files: 3, Used: 3, Bytes: 20 << 20, Spent: 20 << 20}, Stats: fleet.Stats{Invocations: 100, Starts: 2, InitTime: 1e8, Connections: 2}}
	for name, c := range map[string]struct {
		change func(*Report)
		want   string
	}{
		"well":    {func(*Report) {}, ""},
		"unused":  {func(r *Report) { r.Files.Spent = 1 << 20 }, "files never loaded"},
		"unknown": {func(r *Report) { r.Files.Spent, r.Files.Known = 0, false }, ""},
		"clients": {func(r *Report) { r.Stats.Connections = 95 }, "clients made on each call"},
		"hosts":   {func(r *Report) { r.Stats.Hosts = map[string]int64{"db.example:5432": 99, "kept.example:443": 2} }, "clients made on each call"},
		"tenth":   {func(r *Report) { r.Files.Spent -= 1 << 20 }, ""},
		"fifth":   {func(r *Report) { r.Files.Bytes, r.Files.Spent = 1<<20, 800<<10 }, "files never loaded"},
		"cleared": {func(r *Report) { r.Tmp, r.Stats.TmpMost = true, 1<<20 }, ""},
		"left":    {func(r *Report) { r.Stats.TmpMost, r.Stats.TmpLeft = 1<<20, 1<<20 }, "/tmp is written"},
		"dropped": {func(r *Report) { r.Stats.DroppedRecords = 1 }, "output is dropped"},
		"sandbox": {func(r *Report) { r.Stats.InitTime, r.Stats.LoadTime = 3e9, 1e9 }, ""},
		"few":     {func(r *Report) { r.Stats.Invocations, r.Stats.Connections = 9, 9 }, ""},
		"tmp":     {func(r *Report) { r.Tmp = true }, "/tmp is written"},
		"slow":    {func(r *Report) { r.Stats.InitTime, r.Stats.LoadTime = 3e9, 2e9 }, "a heavy package starts slowly"},
	} {
		r := well
		c.change(&r)
		r.advise()
		if c.want == "" && len(r.Advice) > 0 || c.want != "" && (len(r.Advice) != 1 || r.Advice[0].Finding != c.want || r.Advice[0].Remedy == "") {
			t.Errorf("%s: %+v", name, r.Advice)
		}
	}
}
