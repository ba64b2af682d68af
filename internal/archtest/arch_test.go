package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/bastide-cloud/bastide"

// source is one parsed Go file.
type source struct {
	path      string // from the module's root, with slashes
	dir       string
	file      *ast.File
	fset      *token.FileSet
	lines     int
	generated bool
	test      bool
}

func sources(t *testing.T) []source {
	t.Helper()
	root := "../.."
	var out []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == ".git" || name == "node_modules" || name == "testdata" || name == ".aws-sam") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, src, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		out = append(out, source{rel, filepath.ToSlash(filepath.Dir(rel)), f, fset, strings.Count(string(src), "\n"),
			ast.IsGenerated(f), strings.HasSuffix(name, "_test.go")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("only %d Go files found: the walk is broken", len(out))
	}
	return out
}

// TestImports holds "Who may import whom".
func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if dir, ok := strings.CutPrefix(s.dir, "internal/"); ok {
			if _, room := roomOf(dir); rooms[room] == nil {
				t.Errorf("%s: internal/%s is no room of the house", s.path, room)
			}
		}
		for _, imp := range s.file.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			if msg := refused(s, path); msg != "" {
				t.Errorf("%s imports %q: %s", s.path, path, msg)
			}
		}
	}
}

func refused(s source, path string) string {
	if allowed, ok := guarded[path]; ok && !s.test && strings.HasPrefix(s.dir, "internal/") && !under(s.dir, allowed) {
		return "only " + strings.Join(allowed, ", ") + " may"
	}
	target, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return ""
	}
	switch {
	case strings.HasPrefix(s.dir, "cmd/init"):
		switch target {
		case "internal/sandbox/control", "internal/sandbox/tether", "internal/sandbox/rights", "internal/base/thread":
			return "" // what it says to the driver, and threads; which import as little
		}
		return "the init links the standard library and x/sys only"
	case strings.HasPrefix(s.dir, "cmd/"):
		if target != "internal/app" && !strings.HasPrefix(target, "internal/app/") && !s.test {
			return "cmd may use app only"
		}
		return ""
	case !strings.HasPrefix(s.dir, "internal/"):
		return "" // tools, tests and benchmarks look where they need to
	}
	return refusedRoom(s, strings.TrimPrefix(s.dir, "internal/"), strings.TrimPrefix(target, "internal/"))
}

func refusedRoom(s source, from, to string) string {
	own, room := roomOf(from)
	target, toRoom := roomOf(to)
	allowed, known := rooms[room]
	switch {
	case !known:
		return "internal/" + room + " is no room of the house"
	case toRoom == "base" || own == target || slices.Contains(allowed, "*"):
		return ""
	case s.test && slices.Contains([]string{"api", "gate", "store", "identity", "policy", "audit", "wire", "sigv4"}, toRoom):
		return "" // a story may set its stage with the foundations
	case room == "service" && strings.Count(from, "/") > 1 && !s.test:
		if slices.Contains(pure, toRoom) {
			return ""
		}
		return "a service's sub-package is pure"
	case toRoom == "service" && room != "app":
		return "only app knows the services"
	case slices.Contains(allowed, toRoom) || slices.Contains(extra[own], toRoom):
		return ""
	}
	return room + " may use base, " + strings.Join(append(allowed, extra[own]...), ", ")
}

// roomOf is the room of a folder under internal/, and what counts as the same place: each
// service is a place of its own.
func roomOf(dir string) (place, room string) {
	parts := strings.Split(dir, "/")
	if parts[0] == "service" && len(parts) > 1 {
		return "service/" + parts[1], "service"
	}
	return parts[0], parts[0]
}

func under(dir string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return dir == f || strings.HasPrefix(dir, f+"/") })
}

// TestSizes holds the lengths of files and functions.
func TestSizes(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		limit := 500
		if s.test {
			limit = 1000
		}
		if n := s.lines - literalLines(s, s.file); n > limit {
			t.Errorf("%s has %d lines, more than %d", s.path, n, limit)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || s.test {
				continue
			}
			n := line(s, f.End()) - line(s, f.Pos()) + 1 - literalLines(s, f.Body)
			if n > 70 {
				t.Errorf("%s: %s has %d lines, more than 70", s.path, f.Name.Name, n)
			}
		}
	}
}

// literalLines are the lines inside composite literals, which do not count.
func literalLines(s source, n ast.Node) int {
	total := 0
	ast.Inspect(n, func(n ast.Node) bool {
		c, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		total += max(0, line(s, c.Rbrace)-line(s, c.Lbrace)-1)
		return false
	})
	return total
}

func line(s source, p token.Pos) int { return s.fset.Position(p).Line }

// TestNoInitNoState refuses init functions and variables that could change while running.
func TestNoInitNoState(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated || s.test || strings.HasPrefix(s.dir, "test") {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: an init function", s.path)
			}
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				if v := spec.(*ast.ValueSpec); len(v.Values) == 0 && !embedded(g, v) && v.Names[0].Name != "version" {
					t.Errorf("%s: %s is package-level state (a variable without a value)", s.path, v.Names[0].Name)
				}
			}
		}
		reassigned(t, s)
	}
}

// embedded: go:embed fills variables that have no value in the source.
func embedded(g *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{g.Doc, v.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") }) {
			return true
		}
	}
	return false
}

// reassigned finds assignments to package-level variables of the same file.
func reassigned(t *testing.T, s source) {
	t.Helper()
	ast.Inspect(s.file, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok || a.Tok == token.DEFINE {
			return true
		}
		for _, l := range a.Lhs {
			root := l
			for {
				if x, ok := root.(*ast.IndexExpr); ok {
					root = x.X
					continue
				}
				break
			}
			id, ok := root.(*ast.Ident)
			if ok && id.Obj != nil && id.Obj.Kind == ast.Var && s.file.Scope.Lookup(id.Name) == id.Obj {
				t.Errorf("%s:%d: assigns to package-level %s", s.path, line(s, a.Pos()), id.Name)
			}
		}
		return true
	})
}

// TestPackageComments wants exactly one comment that teaches each package, and no package named
// for nothing.
func TestPackageComments(t *testing.T) {
	comments := map[string]int{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		key := fmt.Sprintf("%s (package %s)", s.dir, s.file.Name.Name)
		comments[key] += 0
		if s.file.Doc != nil && !s.generated {
			comments[key]++
		}
		if s.generated && s.file.Doc != nil {
			comments[key] = 1
		}
		if slices.Contains([]string{"utils", "util", "common", "helpers", "helper", "manager", "misc"}, s.file.Name.Name) {
			t.Errorf("%s: a package named %s says nothing", s.path, s.file.Name.Name)
		}
	}
	for pkg, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", pkg, n)
		}
	}
}
