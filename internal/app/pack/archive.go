package pack

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxUnpacked is Lambda's limit for a package with its layers, in bytes.
const maxUnpacked = 250 << 20

// epoch is the time of every entry, so that the same files make the same archive.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// left out of archives: what a tool keeps beside the code.
func leftOut(name string) bool {
	switch name {
	case ".git", ".aws-sam", "__pycache__", ".DS_Store", ".pytest_cache", ".venv":
		return true
	}
	return false
}

// archive packs a folder. Links are followed where they stay inside it and refused where not.
func archive(root string) ([]byte, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	total := int64(0)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != root && leftOut(d.Name()) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := resolve(root, path, d)
		if err != nil || info == nil {
			return err
		}
		if total += info.Size(); total > maxUnpacked {
			return fmt.Errorf("%s is larger than the %d MB that a package may be", root, maxUnpacked>>20)
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return entry(w, path, filepath.ToSlash(rel), info)
	})
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// resolve is the file that an entry stands for; nil for what is no file (a socket, a linked
// folder's marker).
func resolve(root, path string, d fs.DirEntry) (fs.FileInfo, error) {
	if d.Type().IsRegular() {
		return d.Info()
	}
	if d.Type()&fs.ModeSymlink == 0 {
		return nil, nil
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(target, root+string(filepath.Separator)) {
		return nil, fmt.Errorf("%s links to %s, outside the package", path, target)
	}
	info, err := os.Stat(target)
	if err != nil || info.IsDir() {
		return nil, err // a link to a folder inside is packed where the folder is
	}
	return info, nil
}

func entry(w *zip.Writer, path, name string, info fs.FileInfo) error {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	h.SetMode(mode)
	to, err := w.CreateHeader(h)
	if err != nil {
		return err
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}

// archiveFile packs one file.
func archiveFile(path string, info fs.FileInfo) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	if err := errors.Join(entry(w, path, filepath.Base(path), info), w.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
