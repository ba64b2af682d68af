package image

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// NotFoundError is a program or working directory that a tree does not have. Its text is what whoever
// executes programs says.
type NotFoundError struct{ Text string }

func (e *NotFoundError) Error() string { return e.Text }

// Program finds the file that a command's first word means inside the tree: a path, or a name on the
// PATH. It is looked for as the kernel would inside, with links that lead from the tree's root.
// Error: *NotFoundError.
func (t Tree) Program(word, dir, search string) (string, error) {
	at, err := unix.Open(t.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("image: %w", err)
	}
	defer unix.Close(at)
	if strings.Contains(word, "/") {
		file := word
		if !path.IsAbs(word) {
			file = path.Join(dir, word)
		}
		if err := program(at, file); err != nil {
			return "", &NotFoundError{"fork/exec " + word + ": " + err.Error()}
		}
		return file, nil
	}
	last := errors.New("executable file not found in $PATH")
	for folder := range strings.SplitSeq(search, ":") {
		if !path.IsAbs(folder) {
			continue // the working directory is no place for programs, as os/exec has it
		}
		file := path.Join(folder, word)
		if program(at, file) == nil {
			return file, nil
		}
	}
	return "", &NotFoundError{fmt.Sprintf("exec: %q: %v", word, last)}
}

// Folder tells whether dir is a folder of the tree. Error: *NotFoundError.
func (t Tree) Folder(dir string) error {
	at, err := unix.Open(t.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	defer unix.Close(at)
	st, err := look(at, dir)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err != nil {
		return &NotFoundError{"chdir " + dir + ": " + err.Error()}
	}
	return nil
}

func program(at int, file string) error {
	st, err := look(at, file)
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFREG, st.Mode&0o111 == 0:
		return unix.EACCES
	}
	return nil
}

func look(at int, file string) (st unix.Stat_t, err error) {
	fd, err := unix.Openat2(at, file, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	return st, unix.Fstat(fd, &st)
}
