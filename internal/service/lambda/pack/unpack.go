package pack

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// Unpack writes the archive's content into dir, an empty folder. After an error dir holds parts of
// it and is to be removed.
func Unpack(r io.ReaderAt, size int64, dir string, lim Limits) (Info, error) {
	a, err := read(r, size, lim)
	if err != nil {
		return Info{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Info{}, err
	}
	defer root.Close()
	// Links come last: until then no path leads through one.
	var links []entry
	left := lim.Unzipped
	for _, e := range a.entries {
		switch e.kind {
		case fs.ModeDir:
			err = root.MkdirAll(e.name, 0o755)
		case fs.ModeSymlink:
			links = append(links, e)
		default:
			var n int64
			n, err = writeFile(root, e, left)
			left -= n
		}
		if err != nil {
			return Info{}, err
		}
	}
	if err := writeLinks(root, links); err != nil {
		return Info{}, err
	}
	return a.Info, nil
}

// writeFile writes one file of at most limit bytes.
func writeFile(root *os.Root, e entry, limit int64) (n int64, err error) {
	if err := parent(root, e.name); err != nil {
		return 0, err
	}
	mode := fs.FileMode(0o444)
	if e.exec {
		mode = 0o555
	}
	in, err := e.file.Open()
	if err != nil {
		return 0, refuse("the entry %q cannot be read: %v", e.name, err)
	}
	defer in.Close()
	out, err := root.OpenFile(e.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	src := &reading{r: io.LimitReader(in, limit+1)}
	if n, err = io.Copy(out, src); src.err != nil {
		return n, refuse("the entry %q cannot be read: %v", e.name, src.err)
	}
	if err != nil {
		return n, err
	}
	if n > limit {
		return n, &TooLarge{limit}
	}
	return n, out.Chmod(mode) // whatever the umask
}

// reading keeps the error of the archive apart from that of the disk.
type reading struct {
	r   io.Reader
	err error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func parent(root *os.Root, name string) error {
	if dir := path.Dir(name); dir != "." {
		return root.MkdirAll(dir, 0o755)
	}
	return nil
}

// writeLinks makes the links and then walks each of them as the kernel would: a target that looks
// harmless by its words may climb through another link. One that leads nowhere may stay.
func writeLinks(root *os.Root, links []entry) error {
	for _, e := range links {
		in, err := e.file.Open()
		if err != nil {
			return refuse("the link %q cannot be read: %v", e.name, err)
		}
		target, err := io.ReadAll(io.LimitReader(in, maxLink+1))
		in.Close()
		if err != nil {
			return refuse("the link %q cannot be read: %v", e.name, err)
		}
		if len(target) == 0 || len(target) > maxLink || target[0] == '/' {
			return refuse("the link %q leads out of the archive", e.name)
		}
		if err := parent(root, e.name); err != nil {
			return err
		}
		if err := root.Symlink(string(target), e.name); err != nil {
			return err
		}
	}
	for _, e := range links {
		if _, err := root.Stat(e.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return refuse("the link %q leads out of the archive", e.name)
		}
	}
	return nil
}
