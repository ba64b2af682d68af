package pack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Copy copies what would be packaged of a folder to a new one, readable by everybody, leaving out
// names that skip says yes to. Links are followed as packaging follows them.
func Copy(from, to string, skip func(name string) bool) error {
	root, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	total := int64(0)
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case path != root && (leftOut(d.Name()) || skip(d.Name())):
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return errors.Join(os.MkdirAll(target, 0o755), os.Chmod(target, 0o755))
		}
		info, err := resolve(root, path, d)
		if err != nil || info == nil {
			return err
		}
		if total += info.Size(); total > maxUnpacked {
			return fmt.Errorf("%s is larger than the %d MB that a package may be", root, maxUnpacked>>20)
		}
		return duplicate(path, target, 0o644|info.Mode()&0o111)
	})
}

func duplicate(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Chmod(to, mode))
}
