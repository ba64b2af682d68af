package runtimes

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// tree is a folder that is being filled with files of the machine.
type tree struct {
	root    string
	sources map[string]stamp // files whose change matters; a library's own files follow its program
}

// put places one file and notes it as a source. A second one in the same place is left out.
func (t *tree) put(from, to string) error {
	s, err := stampOf(from)
	if err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	if err := t.place(from, to); err != nil {
		return err
	}
	t.sources[from] = s
	return nil
}

func (t *tree) place(from, to string) error {
	target := filepath.Join(t.root, to)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	err := duplicate(from, target)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	return nil
}

func (t *tree) link(at, target string) error {
	path := filepath.Join(t.root, at)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	if err := os.Symlink(target, path); err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	return nil
}

// copyTree places the files below from that keep says yes to; links are followed to files, never to
// folders. A folder that is not there is empty.
func (t *tree) copyTree(from, to string, keep func(rel string, d fs.DirEntry) bool) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case rel == ".":
			return nil
		case !keep(rel, d):
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() {
			return nil // a dangling link, a link to a folder, a socket: nothing that a library needs
		}
		return t.place(path, filepath.Join(to, rel))
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	return nil
}

// duplicate makes target the same file as from, by a clone, a hard link or a copy, whichever the
// file system gives first. A file that not everybody may read is copied, since a link would share
// its mode.
func duplicate(from, target string) error {
	real, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	in, err := os.Open(real)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o444 == 0o444 && st.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == 0 {
		if err := os.Link(real, target); err == nil || errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) != nil {
		if _, err := io.Copy(out, in); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	mode := 0o444 | st.Mode().Perm()&0o111
	if mode&0o111 != 0 {
		mode |= 0o111
	}
	// the time is what python's byte code is checked against
	return errors.Join(out.Close(), os.Chmod(target, mode), os.Chtimes(target, st.ModTime(), st.ModTime()))
}
