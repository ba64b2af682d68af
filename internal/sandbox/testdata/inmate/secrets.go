package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// hidden keeps what was hidden from being collected.
var hidden []any

var secretActs = map[string]func([]string) string{
	"hide": func(a []string) string { return hide(a[0]) },
	"seek": func(a []string) string { return seek(a[0], a[1]) },
}

const ipcKey = 0x5ec7e7

// hide puts a secret everywhere, and tells where.
func hide(secret string) string {
	hidden = append(hidden, bytes.Repeat([]byte(secret), 10000))
	done := []string{"memory"}
	for _, dir := range []string{"/tmp", "/dev/shm", "/run", "/var/task", "/opt", "/"} {
		if os.WriteFile(filepath.Join(dir, "kept"), []byte(secret), 0o666) == nil {
			done = append(done, dir)
		}
	}
	if l, err := net.Listen("unix", "@"+secret); err == nil {
		hidden, done = append(hidden, l), append(done, "sockets")
	}
	if id, err := unix.SysvShmGet(ipcKey, 4096, unix.IPC_CREAT|0o666); err == nil {
		if at, err := unix.SysvShmAttach(id, 0, 0); err == nil {
			copy(at, secret)
			done = append(done, "ipc")
		}
	}
	slices.Sort(done)
	return strings.Join(done, " ")
}

// seek looks everywhere for a secret whose halves it knows, and tells where it is.
func seek(a, z string) string {
	var found []string
	look := func(where string, b []byte) {
		for at := bytes.Index(b, []byte(a)); at >= 0; {
			if bytes.HasPrefix(b[at+len(a):], []byte(z)) && !slices.Contains(found, where) {
				found = append(found, where)
			}
			next := bytes.Index(b[at+1:], []byte(a))
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	for _, dir := range []string{"/tmp", "/dev/shm", "/run", "/var/task", "/opt", "/"} {
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			b, _ := os.ReadFile(filepath.Join(dir, f.Name()))
			if len(b) < 1<<20 {
				look(dir, b)
			}
		}
	}
	for name, where := range map[string]string{"environ": "environment", "cmdline": "arguments"} {
		all, _ := filepath.Glob("/proc/[0-9]*/" + name)
		for _, p := range all {
			b, _ := os.ReadFile(p)
			look(where, b)
		}
	}
	b, _ := os.ReadFile("/proc/net/unix")
	look("sockets", b)
	if id, err := unix.SysvShmGet(ipcKey, 0, 0); err == nil {
		if at, err := unix.SysvShmAttach(id, 0, unix.SHM_RDONLY); err == nil {
			look("ipc", at)
		}
	}
	look("memory", allMemory())
	slices.Sort(found)
	return strings.Join(found, " ")
}

// allMemory are the readable pages of every process that shows, this one's writable ones among them, and
// fresh ones.
func allMemory() []byte {
	var all []byte
	fresh, err := unix.Mmap(-1, 0, 16<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		all = append(all, fresh...)
	}
	maps, _ := filepath.Glob("/proc/[0-9]*/maps")
	for _, name := range maps {
		text, _ := os.ReadFile(name)
		mem, err := os.Open(filepath.Join(filepath.Dir(name), "mem"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			var begin, end uint64
			var mode string
			if n, _ := fmt.Sscanf(line, "%x-%x %s", &begin, &end, &mode); n != 3 || !strings.HasPrefix(mode, "rw") || end-begin > 8<<20 {
				continue
			}
			b := make([]byte, end-begin)
			n, _ := mem.ReadAt(b, int64(begin))
			all = append(all, b[:max(n, 0)]...)
		}
		mem.Close()
	}
	return all
}
