package runtimes

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// bounds are what an archive of a registry may grow to.
type bounds struct {
	files int
	bytes int64
}

// The largest packages in use are node itself (185 MB) and aws-sdk v2 (100 MB, 2,000 files).
var packageBounds = bounds{files: 20_000, bytes: 512 << 20}

var errArchive = errors.New("runtimes: the archive is not a package")

// unpack writes the files of a gzipped tar below dir, without the folder that every npm package has
// at its top. Only plain files that keep says yes to are written; a link, a device, a path that
// leaves the folder or a size above the bounds refuses the whole.
func unpack(r io.Reader, dir string, b bounds, keep func(name string) bool) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	files, left := 0, b.bytes
	in := tar.NewReader(z)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errArchive, err)
		}
		if h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, err := inside(h)
		if err != nil {
			return err
		}
		if files++; files > b.files || h.Size > left {
			return fmt.Errorf("%w: it is larger than %d files or %d bytes", errArchive, b.files, b.bytes)
		}
		left -= h.Size // counted when skipped too: reading past it costs as much
		if !keep(name) {
			continue
		}
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), in, h); err != nil {
			return err
		}
	}
}

// inside is an entry's path below its package.
func inside(h *tar.Header) (string, error) {
	if h.Typeflag != tar.TypeReg {
		return "", fmt.Errorf("%w: %.200q is no plain file", errArchive, h.Name)
	}
	_, name, ok := strings.Cut(strings.TrimPrefix(h.Name, "./"), "/")
	if !ok || name == "" || !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("%w: the path %.200q leaves it", errArchive, h.Name)
	}
	return name, nil
}

func writeFile(target string, in io.Reader, h *tar.Header) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	mode := os.FileMode(0o644)
	if h.Mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	if _, err := io.Copy(f, in); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", errArchive, err), f.Close())
	}
	return errors.Join(f.Close(), os.Chmod(target, mode)) // whatever the umask
}
