package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// fileActs make, move and remove files otherwise than by opening them to write.
var fileActs = map[string]func([]string) string{
	"mkdir":   func(a []string) string { return verdict(os.Mkdir(a[0], 0o700)) },
	"mkfifo":  func(a []string) string { return verdict(unix.Mkfifo(a[0], 0o600)) },
	"symlink": func(a []string) string { return verdict(os.Symlink(a[0], a[1])) },
	"link":    func(a []string) string { return verdict(os.Link(a[0], a[1])) },
	"rename":  func(a []string) string { return verdict(os.Rename(a[0], a[1])) },
	"unlink":  func(a []string) string { return verdict(unix.Unlink(a[0])) },
	"unnamed": func(a []string) string {
		_, err := unix.Open(a[0], unix.O_TMPFILE|unix.O_RDWR, 0o600)
		return verdict(err)
	},
	"name": func(a []string) string {
		_, err := net.Listen("unix", a[0])
		return verdict(err)
	},
	// below takes what lies in a directory for a root's
	"below": func(a []string) string {
		dir, err := unix.Open(a[0], unix.O_PATH, 0)
		if err != nil {
			return verdict(err)
		}
		_, err = unix.Openat2(dir, a[1], &unix.OpenHow{Flags: unix.O_WRONLY | unix.O_CREAT, Mode: 0o600, Resolve: unix.RESOLVE_IN_ROOT})
		return verdict(err)
	},
	// through writes by way of a descriptor of the directory
	"through": func(a []string) string {
		dir, err := unix.Open(filepath.Dir(a[0]), unix.O_PATH, 0)
		if err != nil {
			return verdict(err)
		}
		return verdict(overwrite("/dev/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(a[0])))
	},
	// linked makes a link to a directory and reads a file below it
	"linked": func(a []string) string {
		if err := os.Symlink(a[0], a[1]); err != nil {
			return verdict(err)
		}
		b, err := os.ReadFile(a[1] + "/" + a[2])
		return either(string(b), err)
	},
}
