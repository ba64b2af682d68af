package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// TestReproducible generates everything again from the pinned models: the committed files must be
// what comes out.
func TestReproducible(t *testing.T) {
	b, err := os.ReadFile("models.lock")
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseLock(b)
	if err != nil {
		t.Fatal(err)
	}
	dir, version, err := findBotocore()
	if err != nil {
		t.Fatalf("install PyPI botocore==%s: %v", l.version, err)
	}
	if version != l.version {
		t.Fatalf("botocore %s is installed; install PyPI botocore==%s", version, l.version)
	}
	files, err := generate(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the models give; run go generate ./tools/apigen", name)
		}
	}
	committed, err := filepath.Glob(filepath.Join(root, "internal", "api", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range committed {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || files[name] == nil && bytes.HasPrefix(b, []byte("// Code generated")) {
			t.Errorf("%s is generated from nothing that served.txt lists (%v)", name, err)
		}
	}
}

func TestLockRefusesAnotherModel(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "x", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x", "1", "service-2.json"), []byte(`{"operations":{},"shapes":{}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	l := &lock{version: "1.2.3", files: map[string]pinned{"x": {path: "x/1/service-2.json.gz", sum: "00"}}}
	if _, err := l.load(os.DirFS(dir), dir, "x"); err == nil || !strings.Contains(err.Error(), "botocore==1.2.3") {
		t.Errorf("error %v", err)
	}
	if _, err := l.load(os.DirFS(dir), dir, "y"); err == nil || !strings.Contains(err.Error(), "does not pin y") {
		t.Errorf("error %v", err)
	}
}

func TestServedErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"twice", "a X\na Y X", "served.txt:2: a X is listed twice"},
		{"alone", "a", "too few words"},
		{"root", "root a X", "takes three words"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parseServed([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestShapes generates from a small model of its own and looks at the Go that comes out.
func TestShapes(t *testing.T) {
	s, err := parseServed([]byte("x Put Get\nraw x Doc"))
	if err != nil {
		t.Fatal(err)
	}
	m := &model{Metadata: metadata{EndpointPrefix: "x", Protocol: "rest-json"}}
	put := &operation{Input: &ref{Shape: "PutRequest"}, Output: &ref{Shape: "Thing"}, Errors: []ref{{Shape: "Gone"}}}
	put.HTTP.Method, put.HTTP.RequestURI = "PUT", "/things/{name}"
	get := &operation{Output: &ref{Shape: "Thing"}}
	get.HTTP.Method, get.HTTP.RequestURI = "GET", "/things"
	drop := &operation{Input: &ref{Shape: "DropRequest"}}
	drop.HTTP.Method, drop.HTTP.RequestURI = "DELETE", "/things?all"
	m.Operations = map[string]*operation{"Put": put, "Get": get, "Drop": drop}
	m.Shapes = map[string]*shape{
		"String": {Type: "string", Pattern: `[\u0020-\u00FF]+`}, "Secret": {Type: "string", Sensitive: true}, "Doc": {Type: "structure"},
		"PutRequest": {Type: "structure", Required: []string{"name"}, Members: members{
			{"name", ref{Shape: "String", Location: "uri", LocationName: "name"}}, {"secret", ref{Shape: "Secret"}}, {"doc", ref{Shape: "Doc"}},
			{"tree", ref{Shape: "Tree"}}}},
		"Tree":        {Type: "structure", Members: members{{"kids", ref{Shape: "Trees"}}}},
		"Trees":       {Type: "list", Member: &ref{Shape: "Tree"}},
		"Thing":       {Type: "structure", Members: members{{"name", ref{Shape: "String"}}}},
		"DropRequest": {Type: "structure", Required: []string{"id"}, Members: members{{"id", ref{Shape: "String", Location: "querystring", LocationName: "id"}}}},
		"Gone":        {Type: "structure", Exception: true},
	}
	g, err := newGenerator(s.services[0], m)
	if err != nil {
		t.Fatal(err)
	}
	files, err := g.files()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(strings.Fields(string(files["shapes.go"])+string(files["model.go"])+string(files["client.go"])), " ")
	for _, want := range []string{
		"type GetInput struct{}", "type GetOutput = Thing", "type PutOutput = Thing",
		"type PutInput struct { Name string `wire:\"name\" in:\"uri\" opt:\"required\" pattern:\"[\\\\x{0020}-\\\\x{00FF}]+\"` Secret *string `wire:\"secret\" opt:\"sensitive\"` Doc wire.RawJSON `wire:\"doc\"` Tree *Tree `wire:\"tree\"` }",
		"type Tree struct { Kids []Tree `wire:\"kids\"` }",
		`{Name: "Drop", Method: "DELETE", URI: "/things?all&id"}`, `Sensitive: []string{"secret"}`,
		`errGone = wire.ErrorShape{Name: "Gone", Code: "Gone", Status: 400}`,
		"func (c Client) Put(ctx context.Context, in *PutInput) (*PutOutput, error)",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("not generated: %s\n%s", want, all)
		}
	}
}
