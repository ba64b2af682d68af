package sandbox

import (
	"embed"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// initbin holds the init, if `make init` has built it; the folder's README keeps a fresh clone
// building without.
//
//go:generate env CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o initbin/init ../../cmd/init
//go:embed initbin
var initbin embed.FS

// ErrNoInit is a binary that was built without its init.
var ErrNoInit = errors.New("sandbox: this binary was built without its init: run make init, and build again")

// InitProgram is the init that is to be used where a driver is given program: the one that was built into
// this binary, if it is nil.
func InitProgram(program []byte) ([]byte, error) {
	if program != nil {
		return program, nil
	}
	program, err := initbin.ReadFile("initbin/init")
	if err != nil {
		return nil, ErrNoInit
	}
	return program, nil
}

// loadInit puts the init into memory that cannot change any more, from where sandboxes execute it; no
// file on any disk can be swapped for it.
func loadInit(program []byte) (int, error) {
	program, err := InitProgram(program)
	if err != nil {
		return -1, err
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("bastide-init", flags|unix.MFD_EXEC)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("bastide-init", flags) // before Linux 6.3 every memfd is executable
	}
	if err != nil {
		return -1, fmt.Errorf("sandbox: memory for the init: %w", err)
	}
	for len(program) > 0 {
		n, err := unix.Write(fd, program)
		if err != nil {
			return -1, errors.Join(fmt.Errorf("sandbox: load the init: %w", err), unix.Close(fd))
		}
		program = program[n:]
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return -1, errors.Join(fmt.Errorf("sandbox: seal the init: %w", err), unix.Close(fd))
	}
	return fd, nil
}
