package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// image loads the image of a function that has one; false for what has none.
func (m *maker) image(root *tree.Node, id, typ string, resource *tree.Node) ([]edit, bool, error) {
	props := resource.Get("Properties")
	kind, uri := props.Get("PackageType"), props.Get("ImageUri")
	switch typ {
	case "AWS::Serverless::Function":
		global := root.Dig("Globals", "Function")
		if kind == nil {
			kind = global.Get("PackageType")
		}
		if uri == nil {
			uri = global.Get("ImageUri")
		}
	case "AWS::Lambda::Function":
		uri = props.Dig("Code", "ImageUri")
	default:
		return nil, false, nil
	}
	if m.text(root, kind) != "Image" {
		return nil, false, nil
	}
	if uri == nil && !resource.Dig("Metadata", "Dockerfile").Absent() {
		return nil, true, fmt.Errorf("%s (%s): a Dockerfile is built with Docker, which Bastide does without; build it elsewhere, save it "+
			"(docker save NAME -o image.tar, or an OCI layout), and say ImageUri: ./image.tar", id, resource.Pos)
	}
	if !uri.Is(tree.String) || !m.local(uri.Text) {
		return nil, true, m.imageName(id, uri)
	}
	file := m.source(uri)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, true, fmt.Errorf("%s (%s): %s does not exist", id, uri.Pos, file)
	}
	if m.Image == nil {
		return nil, true, nil
	}
	key := "image\x00" + file
	ref, ok := m.made[key]
	if !ok {
		var err error
		if ref, err = m.Image(id, file); err != nil {
			return nil, true, fmt.Errorf("%s (%s): %w", id, uri.Pos, err)
		}
		m.made[key] = ref
		m.pkg.Folders = append(m.pkg.Folders, file)
	}
	at := "edited\x00" + fmt.Sprint(uri.Pos)
	if m.made[at] != "" {
		return nil, true, nil // of the globals, which another function has too
	}
	m.made[at] = ref
	return []edit{{uri.Pos, uri.Text, `"` + ref + `"`}}, true, nil
}

// local tells whether an ImageUri is a path: it says so, or the file is there.
func (m *maker) local(text string) bool {
	if strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") || filepath.IsAbs(text) {
		return true
	}
	_, err := os.Stat(filepath.Join(m.dir, filepath.FromSlash(text)))
	return err == nil
}

// imageName refuses the name of an image that only Docker knows, such as the one that sam build leaves.
func (m *maker) imageName(id string, uri *tree.Node) error {
	if !uri.Is(tree.String) || uri.Text == "" {
		return nil // the deployment resolves or refuses it
	}
	host, _, ok := strings.Cut(uri.Text, "/")
	if ok && strings.ContainsAny(host, ".:") {
		return nil
	}
	return fmt.Errorf("%s (%s): %q is an image in Docker, which Bastide does not ask; save it (docker save %s -o image.tar) and say ImageUri: ./image.tar",
		id, uri.Pos, uri.Text, uri.Text)
}
