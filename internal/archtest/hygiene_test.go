package archtest

import (
	"bytes"
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// texts are the files of the repository that somebody wrote or generated into it, by path.
func texts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".tools", "bin", "node_modules", ".aws-sam", "__pycache__"}, d.Name()) {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil || bytes.IndexByte(b, 0) >= 0 {
			return err // not a text
		}
		rel, err := filepath.Rel(root, p)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 100 {
		t.Fatalf("only %d texts found: the walk is broken", len(out))
	}
	return out
}

// TestTheRepositorySpeaksOfItself: no path of anybody's machine, no private mirror, nothing left to
// be done in a comment.
func TestTheRepositorySpeaksOfItself(t *testing.T) {
	const slash = "/" // so that this file is not what it looks for
	words := []string{slash + "work" + slash, slash + "Users" + slash, slash + "opt" + slash + "wheels",
		"artifactory", "verdaccio", "devpi", "TO" + "DO", "FIX" + "ME"}
	private := regexp.MustCompile(`https?://(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)[0-9.]+`)
	for path, text := range texts(t) {
		if strings.HasPrefix(path, "tools/apigen/models/") || path == "internal/archtest/hygiene_test.go" || path == "go.sum" {
			continue // models are AWS's own words
		}
		for _, w := range words {
			if i := strings.Index(text, w); i >= 0 {
				t.Errorf("%s:%d: %q", path, 1+strings.Count(text[:i], "\n"), w)
			}
		}
		if !strings.HasSuffix(path, "_test.go") {
			if m := private.FindString(text); m != "" {
				t.Errorf("%s: %q", path, m)
			}
		}
	}
}

// sleeps are the files outside of tests that may sleep, and why.
var sleeps = map[string]string{
	"internal/sandbox/cgroup/group.go": "a cgroup tells of its emptiness by polling where there is no event",
	"internal/sandbox/instance.go":     "SIGSTOP tells of its effect by polling",
}

// TestNoSleepNoSkip: outside of tests nobody waits by the clock but who is named; no test is skipped.
func TestNoSleepNoSkip(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := sel.X.(*ast.Ident)
			if x != nil && x.Name == "time" && sel.Sel.Name == "Sleep" && !s.test && sleeps[s.path] == "" && !under(s.dir, []string{"bench", "test", "tools"}) {
				t.Errorf("%s:%d: sleeps", s.path, line(s, call.Pos()))
			}
			if s.test && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				t.Errorf("%s:%d: skips", s.path, line(s, call.Pos()))
			}
			return true
		})
	}
}

// TestEveryTestAsserts: each test can fail by its own words or those of a function that it calls;
// those that only set the stage (newRig, start…) do not count.
func TestEveryTestAsserts(t *testing.T) {
	calls := map[string]map[string][]string{} // folder → function → what it calls
	where := map[string]string{}
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		if calls[s.dir] == nil {
			calls[s.dir] = map[string][]string{}
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			name := f.Name.Name
			calls[s.dir][name] = append(calls[s.dir][name], called(f.Body)...)
			if f.Recv == nil && s.test && strings.HasPrefix(name, "Test") && name != "TestMain" {
				where[s.dir+" "+name] = s.path
			}
		}
	}
	for key, path := range where {
		dir, name, _ := strings.Cut(key, " ")
		if !asserts(calls[dir], name, map[string]bool{}) {
			t.Errorf("%s: %s asserts nothing", path, name)
		}
	}
	if len(where) < 100 {
		t.Fatalf("only %d tests found: the walk is broken", len(where))
	}
}

// failing are how a test fails, and suites are packages whose functions fail for it.
var (
	failing = []string{"Error", "Errorf", "Fatal", "Fatalf", "Fail", "FailNow"}
	suites  = []string{"storetest", "gatetest", "rapid"}
)

// called are the names of what a body calls, closures in it included.
func called(body ast.Node) (out []string) {
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f := call.Fun
		if generic, ok := f.(*ast.IndexExpr); ok {
			f = generic.X
		}
		switch f := f.(type) {
		case *ast.Ident:
			out = append(out, f.Name)
		case *ast.SelectorExpr:
			x, _ := f.X.(*ast.Ident)
			switch {
			case x != nil && slices.Contains(suites, x.Name):
				out = append(out, failing[0])
			case f.Sel.Name == "Error" && len(call.Args) == 0: // an error's own text
			case x == nil || !slices.Contains([]string{"fmt", "slog", "log", "http"}, x.Name):
				out = append(out, f.Sel.Name)
			}
		}
		return true
	})
	return out
}

func asserts(calls map[string][]string, name string, seen map[string]bool) bool {
	if seen[name] {
		return false
	}
	seen[name] = true
	return slices.ContainsFunc(calls[name], func(c string) bool {
		stage := strings.HasPrefix(c, "new") || strings.HasPrefix(c, "start") || strings.HasPrefix(c, "open")
		return slices.Contains(failing, c) || !stage && asserts(calls, c, seen)
	})
}
