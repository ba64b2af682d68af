package runtimes

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// libraries resolves the shared libraries that programs need, as the dynamic loader would, and
// remembers them. Programs come from the machine itself and are trusted as much as it is.
type libraries struct {
	search []string          // folders, in order
	found  map[string]string // soname → file, links resolved
	seen   map[string]bool   // files whose needs are known
	loader string            // the dynamic loader, as programs name it: /lib64/ld-linux-x86-64.so.2
}

func newLibraries() *libraries {
	l := &libraries{found: map[string]string{}, seen: map[string]bool{}}
	// debug/elf knows no multiarch triplets; the folders that exist tell.
	for _, p := range []string{"/lib/*-linux-*", "/usr/lib/*-linux-*"} {
		dirs, _ := filepath.Glob(p) // the pattern is well formed
		l.search = append(l.search, dirs...)
	}
	l.search = append(l.search, "/lib64", "/usr/lib64", "/lib", "/usr/lib")
	l.search = append(l.search, configured("/etc/ld.so.conf", 0)...)
	return l
}

// configured are the folders that /etc/ld.so.conf adds.
func configured(path string, depth int) []string {
	body, err := os.ReadFile(path)
	if err != nil || depth > 3 {
		return nil // no such file is the normal case on other C libraries
	}
	var out []string
	for line := range strings.Lines(string(body)) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if pattern, ok := strings.CutPrefix(line, "include "); ok {
			files, _ := filepath.Glob(strings.TrimSpace(pattern)) // a bad pattern includes nothing
			for _, f := range files {
				out = append(out, configured(f, depth+1)...)
			}
		} else if filepath.IsAbs(line) {
			out = append(out, line)
		}
	}
	return out
}

// add resolves everything that the program or library at path needs.
func (l *libraries) add(path string) error {
	if l.seen[path] {
		return nil
	}
	l.seen[path] = true
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("runtimes: %s: %w", path, err)
	}
	defer f.Close()
	if l.loader == "" {
		l.loader = interpreterOf(f)
	}
	needed, err := f.DynString(elf.DT_NEEDED)
	if errors.Is(err, elf.ErrNoSymbols) || len(needed) == 0 {
		return nil // a static program
	}
	if err != nil {
		return fmt.Errorf("runtimes: %s: %w", path, err)
	}
	own := runPath(f, path)
	for _, name := range needed {
		if err := l.resolve(name, f.Machine, own); err != nil {
			return fmt.Errorf("runtimes: %s needs %w", path, err)
		}
	}
	return nil
}

// want adds a library by its name if the machine has it.
func (l *libraries) want(name string, machine elf.Machine) error {
	err := l.resolve(name, machine, nil)
	if errors.Is(err, errNoLibrary) {
		return nil
	}
	return err
}

var errNoLibrary = errors.New("which is nowhere")

func (l *libraries) resolve(name string, machine elf.Machine, first []string) error {
	if l.found[name] != "" {
		return nil
	}
	for _, dir := range slices.Concat(first, l.search) {
		real, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if err != nil || !forMachine(real, machine) {
			continue
		}
		l.found[name] = real
		return l.add(real)
	}
	return fmt.Errorf("%s, %w", name, errNoLibrary)
}

func forMachine(path string, machine elf.Machine) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	return f.Close() == nil && f.Machine == machine
}

// interpreterOf is the dynamic loader that a program asks for.
func interpreterOf(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err == nil {
				return strings.TrimRight(string(b), "\x00")
			}
		}
	}
	return ""
}

// runPath are the folders that a file itself names.
func runPath(f *elf.File, path string) []string {
	var out []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, err := f.DynString(tag)
		if err != nil {
			continue // it names none
		}
		for _, v := range values {
			for dir := range strings.SplitSeq(v, ":") {
				dir = strings.NewReplacer("$ORIGIN", filepath.Dir(path), "${ORIGIN}", filepath.Dir(path)).Replace(dir)
				if filepath.IsAbs(dir) {
					out = append(out, dir)
				}
			}
		}
	}
	return out
}
