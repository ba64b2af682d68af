// Package pack turns a template and the folders that it names into what a deployment uploads: a
// template whose code is in a bucket, and the archives. The template's lines stay where they are,
// so that an error of the deployment names the line that its author wrote.
//
//	p, err := pack.Make(pack.Options{Path: "examples/tasks", Bucket: "artifacts"})
package pack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Options say what to package.
type Options struct {
	Path   string // a template, or a folder that holds one
	Bucket string // where the artifacts will be
	// Parameters are those that the deployment gives; the template's defaults count for the others.
	Parameters map[string]string
	// Build makes a folder deployable (installs what it depends on) and returns where the result
	// is; nil takes folders as they are.
	Build func(folder, runtime string) (string, error)
	// Image loads an image of this machine, which the resource with that id names, and gives the
	// reference that takes its place; nil leaves such names as they are.
	Image func(id, file string) (string, error)
	// Supplies tells whether a runtime of this machine has a package beside what Lambda's has; nil: none.
	Supplies func(runtime, name string) bool
	// Data is the data directory that an advice to install something has to name; empty: the default.
	Data string
}

// Package is a template ready to deploy, with its artifacts.
type Package struct {
	File      string // the template that was read
	Template  string
	Artifacts []Artifact
	Folders   []string // what the artifacts were made of, to watch
}

// Artifact is an archive or definition to upload.
type Artifact struct {
	LogicalID string // the first resource that uses it
	Source    string
	Key       string // its SHA-256, so that what is unchanged is not uploaded again
	Body      []byte
}

const maxTemplate = 1 << 20 // bytes

// Find gives the template file of a path: the file itself, or the folder's built or written one.
func Find(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range []string{".aws-sam/build/template.yaml", "template.yaml", "template.yml", "template.json", "sam.yaml", "serverless.template"} {
		file := filepath.Join(path, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s holds no template.yaml; name the template: bastide up DIR/TEMPLATE", path)
}

// Make reads the template and packages what it names.
func Make(o Options) (*Package, error) {
	file, t, src, err := read(o.Path)
	if err != nil {
		return nil, err
	}
	m := &maker{Options: o, dir: filepath.Dir(file), pkg: &Package{File: file}, made: map[string]string{}, from: map[string]string{}}
	edits, err := m.walk(t.Root())
	if err != nil {
		return nil, err
	}
	m.pkg.Template, err = splice(string(src), edits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m.pkg, nil
}

type maker struct {
	Options
	dir  string
	pkg  *Package
	made map[string]string // source and runtime → key
	from map[string]string // the same → the folder that was packaged
}

// place is where each type of resource names a local path, and how its answer is written.
type place struct {
	property string
	object   bool // {"S3Bucket", "S3Key"} rather than s3://bucket/key
	file     bool // a file as it is rather than an archive
}

var places = map[string]place{
	"AWS::Serverless::Function":     {property: "CodeUri"},
	"AWS::Serverless::LayerVersion": {property: "ContentUri"},
	"AWS::Serverless::Api":          {property: "DefinitionUri", file: true},
	"AWS::Serverless::HttpApi":      {property: "DefinitionUri", file: true},
	"AWS::Lambda::Function":         {property: "Code", object: true},
	"AWS::Lambda::LayerVersion":     {property: "Content", object: true},
}

func (m *maker) walk(root *tree.Node) ([]edit, error) {
	edits := unbootstrapped(root)
	var faults []error
	global := root.Get("Globals").Get("Function")
	one := func(id, runtime string, n *tree.Node, p place) {
		e, ok, err := m.one(id, runtime, n, p)
		if err != nil {
			faults = append(faults, err)
		} else if ok {
			edits = append(edits, e)
		}
	}
	if n := global.Get("CodeUri"); n.Is(tree.String) {
		one("Globals", m.text(root, global.Get("Runtime")), n, places["AWS::Serverless::Function"])
	}
	resources := root.Get("Resources")
	if resources == nil {
		return nil, nil
	}
	for _, f := range resources.Fields {
		typ := f.Value.Get("Type")
		if !typ.Is(tree.String) {
			continue
		}
		p, ok := places[typ.Text]
		props := f.Value.Get("Properties")
		if e, is, err := m.image(root, f.Key, typ.Text, f.Value); is {
			edits, faults = append(edits, e...), append(faults, err)
			continue
		}
		n := props.Get(p.property)
		path := asset(f.Value, p)
		if !ok || !n.Is(tree.String) && path == nil {
			continue
		}
		runtime := m.text(root, props.Get("Runtime"))
		if runtime == "" {
			runtime = m.text(root, global.Get("Runtime"))
		}
		if path != nil {
			changed, err := m.synthesised(f.Key, runtime, path, n, p)
			edits, faults = append(edits, changed...), append(faults, err)
			n = path
		} else {
			one(f.Key, runtime, n, p)
		}
		folder := m.from[m.source(n)+"\x00"+runtime]
		if folder == "" || suppliedElsewhere(props) || suppliedElsewhere(global) {
			continue
		}
		handler := m.text(root, props.Get("Handler"))
		if handler == "" {
			handler = m.text(root, global.Get("Handler"))
		}
		if err := m.imports(folder, runtime, handler); err != nil {
			faults = append(faults, fmt.Errorf("%s (%s): %w", f.Key, n.Pos, err))
		}
	}
	return edits, errors.Join(faults...)
}

// suppliedElsewhere tells whether a function may find modules outside of its folder.
func suppliedElsewhere(function *tree.Node) bool {
	if !function.Get("Layers").Absent() {
		return true
	}
	for _, name := range []string{"NODE_PATH", "PYTHONPATH", "AWS_LAMBDA_EXEC_WRAPPER"} {
		if !function.Dig("Environment", "Variables", name).Absent() {
			return true
		}
	}
	return false
}

func (m *maker) source(n *tree.Node) string { return filepath.Join(m.dir, filepath.FromSlash(n.Text)) }

// one packages what a property names, unless it is in a bucket already.
func (m *maker) one(id, runtime string, n *tree.Node, p place) (edit, bool, error) {
	if strings.HasPrefix(n.Text, "s3://") || strings.HasPrefix(n.Text, "https://") || n.Text == "" {
		return edit{}, false, nil
	}
	key, err := m.key(id, runtime, n, p)
	if err != nil {
		return edit{}, false, err
	}
	to := `"s3://` + m.Bucket + "/" + key + `"`
	if p.object {
		to = `{"S3Bucket": "` + m.Bucket + `", "S3Key": "` + key + `"}`
	}
	return edit{n.Pos, n.Text, to}, true, nil
}

// key packages the path that a node holds, once, and gives the artifact's key.
func (m *maker) key(id, runtime string, n *tree.Node, p place) (string, error) {
	source := m.source(n)
	key, ok := m.made[source+"\x00"+runtime]
	if !ok {
		body, ext, err := m.artifact(id, runtime, source, p)
		if err != nil {
			return "", fmt.Errorf("%s (%s): %w", id, n.Pos, err)
		}
		sum := sha256.Sum256(body)
		key = hex.EncodeToString(sum[:]) + ext
		m.made[source+"\x00"+runtime] = key
		m.pkg.Artifacts = append(m.pkg.Artifacts, Artifact{LogicalID: id, Source: source, Key: key, Body: body})
		m.pkg.Folders = append(m.pkg.Folders, source)
	}
	return key, nil
}

// synthesised packages the folder that a resource of the Cloud Development Kit was made from.
func (m *maker) synthesised(id, runtime string, path, code *tree.Node, p place) ([]edit, error) {
	key, err := m.key(id, runtime, path, p)
	if err != nil {
		return nil, err
	}
	edits, ok := inBucket(code, m.Bucket, key)
	if !ok {
		return nil, fmt.Errorf("%s (%s): its code is an asset, and not in S3Bucket and S3Key", id, code.Pos)
	}
	return edits, nil
}

func (m *maker) artifact(id, runtime, source string, p place) (body []byte, ext string, err error) {
	info, err := os.Stat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", fmt.Errorf("%s does not exist", source)
	case err != nil:
		return nil, "", err
	case p.file && info.IsDir():
		return nil, "", fmt.Errorf("%s is a folder, not a definition", source)
	case p.file, !info.IsDir() && isArchive(source):
		body, err = os.ReadFile(source)
		return body, filepath.Ext(source), err
	case !info.IsDir():
		body, err = archiveFile(source, info)
		return body, ".zip", err
	}
	folder := source
	if p.property != "ContentUri" && p.property != "Content" {
		if m.Build != nil {
			if folder, err = m.Build(source, runtime); err != nil {
				return nil, "", err
			}
		}
		if err := m.complete(folder, runtime); err != nil {
			return nil, "", err
		}
		m.from[source+"\x00"+runtime] = folder
	}
	body, err = archive(folder)
	return body, ".zip", err
}

func isArchive(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".zip" || ext == ".jar"
}
