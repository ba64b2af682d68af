// Command apigen writes internal/api/SVC from AWS's service models: the shapes with their
// constraints, the table of operations, the names of those that are not served, and a typed
// client. It takes facts from the models (names, types, routes, limits) and none of their prose.
//
//	go run ./tools/apigen            regenerate from the botocore that models.lock pins
//	go run ./tools/apigen -lock      pin the botocore that python3 finds, then regenerate
//
// What is served stands in served.txt; Bastide's own models stand in models/.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
)

//go:generate go run . -root ../..

func main() {
	log.SetFlags(0)
	log.SetPrefix("apigen: ")
	root := flag.String("root", ".", "root of the repository")
	models := flag.String("models", "", "botocore's data directory; python3's botocore when empty")
	repin := flag.Bool("lock", false, "pin the models that are installed")
	flag.Parse()
	if err := run(*root, *models, *repin); err != nil {
		log.Fatal(err)
	}
}

func run(root, dir string, repin bool) error {
	if repin {
		if err := pin(root, dir); err != nil {
			return err
		}
	}
	files, err := generate(root, dir)
	if err != nil {
		return err
	}
	for name, b := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate is every generated file, by its path from the root of the repository.
func generate(root, dir string) (map[string][]byte, error) {
	src := os.DirFS(filepath.Join(root, "tools", "apigen"))
	list, err := fs.ReadFile(src, "served.txt")
	if err != nil {
		return nil, err
	}
	s, err := parseServed(list)
	if err != nil {
		return nil, err
	}
	b, err := fs.ReadFile(src, "models.lock")
	if err != nil {
		return nil, err
	}
	l, err := parseLock(b)
	if err != nil {
		return nil, err
	}
	if dir == "" {
		if dir, _, err = findBotocore(); err != nil {
			return nil, err
		}
	}
	own, err := fs.Sub(src, "models")
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, svc := range s.services {
		m, err := l.load(own, dir, svc.name)
		if err != nil {
			return nil, err
		}
		g, err := newGenerator(svc, m)
		if err != nil {
			return nil, err
		}
		files, err := g.files()
		if err != nil {
			return nil, err
		}
		for name, b := range files {
			out[filepath.Join("internal", "api", svc.name, name)] = b
		}
	}
	return out, nil
}

// pin writes models.lock from the installed botocore for every served service that has no model
// of our own.
func pin(root, dir string) error {
	found, version, err := findBotocore()
	if err != nil {
		return err
	}
	if dir == "" {
		dir = found
	}
	here := filepath.Join(root, "tools", "apigen")
	list, err := os.ReadFile(filepath.Join(here, "served.txt"))
	if err != nil {
		return err
	}
	s, err := parseServed(list)
	if err != nil {
		return err
	}
	l := &lock{version: version, files: map[string]pinned{}}
	for _, svc := range s.services {
		if _, err := os.Stat(filepath.Join(here, "models", svc.name+".json")); err == nil {
			continue
		}
		path, err := newest(dir, svc.name)
		if err != nil {
			return err
		}
		_, sum, err := readModel(filepath.Join(dir, path))
		if err != nil {
			return fmt.Errorf("%s: %w", svc.name, err)
		}
		l.files[svc.name] = pinned{path: filepath.ToSlash(path), sum: sum}
	}
	return os.WriteFile(filepath.Join(here, "models.lock"), l.bytes(), 0o644)
}
