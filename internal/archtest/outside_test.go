package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// outside are the files of services that read outside the door, each a directory for the edge or
// for identity. There is no other: see decision 0027.
var outside = []string{
	"internal/service/apigateway/directory.go",
	"internal/service/apigatewayv2/directory.go",
	"internal/service/bastide/routes.go",
	"internal/service/iam/directory.go",
	"internal/service/ec2/directory.go",
	"internal/service/lambda/directory.go",
}

// database are the names of store with which a service could reach rows without a call.
var database = []string{"DB", "Open", "In", "Scope"}

// reading are the methods of a database that a directory may use; none of them writes.
var reading = []string{"View", "Changes", "Watch"}

// TestWhoReadsOutsideTheDoor: the files above and no other of a service name the database, and they
// only read.
func TestWhoReadsOutsideTheDoor(t *testing.T) {
	var found []string
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.dir, "internal/service/") || s.test {
			continue
		}
		if len(names(s.file)) > 0 {
			found = append(found, s.path)
		}
		for _, m := range writes(s.file) {
			t.Errorf("%s uses %s of the database: a directory only reads", s.path, m)
		}
	}
	slices.Sort(found)
	for _, path := range found {
		if !slices.Contains(outside, path) {
			t.Errorf("%s reads outside the door: data comes from call.View and call.Update alone (decision 0027)", path)
		}
	}
	for _, path := range outside {
		if !slices.Contains(found, path) {
			t.Errorf("%s no longer reads outside the door: take it off the list", path)
		}
	}
}

// names are what a file mentions of store that reaches rows without a call.
func names(f *ast.File) (found []string) {
	store := ""
	for _, imp := range f.Imports {
		if path, _ := strconv.Unquote(imp.Path.Value); path == module+"/internal/store" {
			if store = "store"; imp.Name != nil {
				store = imp.Name.Name
			}
		}
	}
	if store == "." {
		return []string{"everything"} // a dot import hides what is mentioned
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains(database, sel.Sel.Name) {
			if x, ok := sel.X.(*ast.Ident); ok && store != "" && x.Name == store {
				found = append(found, sel.Sel.Name)
			}
		}
		return true
	})
	return found
}

// writes are the methods that a file uses of a field db or DB and that do more than read.
func writes(f *ast.File) (found []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		outer, ok := n.(*ast.SelectorExpr)
		if !ok || slices.Contains(reading, outer.Sel.Name) {
			return true
		}
		if inner, ok := outer.X.(*ast.SelectorExpr); ok && strings.EqualFold(inner.Sel.Name, "db") {
			found = append(found, outer.Sel.Name)
		}
		return true
	})
	return found
}

// TestASixthReaderIsSeen: the search finds every way of naming the database, and no comment.
func TestASixthReaderIsSeen(t *testing.T) {
	const own = `"` + module + `/internal/store"`
	for _, c := range []struct{ name, src, names, writes string }{
		{"a field", "package x\nimport " + own + "\ntype d struct{ db *store.DB }", "DB", ""},
		{"another name", "package x\nimport rows " + own + "\nfunc f(db *rows.DB) {}", "DB", ""},
		{"a dot", "package x\nimport . " + own, "everything", ""},
		{"an interface of its own", "package x\nimport " + own + "\nvar _ = v.View(ctx, store.In(space), nil)", "In", ""},
		{"a writer", "package x\nimport " + own + "\nfunc f(d dir) { d.db.Update(ctx, store.Scope{}, nil) }", "Scope", "Update"},
		{"a comment", "package x\nimport " + own + "\n// store.DB\nvar _ store.Key", "", ""},
		{"another store", "package x\nimport \"example.com/store\"\nvar _ *store.DB", "", ""},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", c.src, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(names(f), " "); got != c.names {
			t.Errorf("%s: names %q, want %q", c.name, got, c.names)
		}
		if got := strings.Join(writes(f), " "); got != c.writes {
			t.Errorf("%s: writes %q, want %q", c.name, got, c.writes)
		}
	}
}
