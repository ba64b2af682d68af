// Package bootstrap holds the programs that run a function's handler inside a sandbox, one for
// node and one for python. A program loads the handler that _HANDLER names from LAMBDA_TASK_ROOT,
// says that it is ready, and answers events until its stream (descriptor 3, see package
// runtimeapi) ends. It gives the handler the context, the errors and the log format of Lambda's
// own runtimes.
//
// The programs use nothing but the interpreter: node 18 to 24 and python 3.8 to 3.14. Node's is one file
// in the end, made of those in folder node: finding and reading five takes a millisecond longer.
package bootstrap

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed node/*.cjs node/early python/*.py
var files embed.FS

// Family is a kind of interpreter.
type Family string

// The families that there is a program for.
const (
	Node   Family = "node"
	Python Family = "python"
)

// Entry is the file that the interpreter is given, relative to the folder written by Write.
func (f Family) Entry() string {
	if f == Node {
		return "index.cjs"
	}
	return "bootstrap.py"
}

// bundle makes one script of node's files: each becomes a function that runs when it is first required.
func bundle() ([]byte, error) {
	entries, err := fs.ReadDir(files, string(Node))
	if err != nil {
		return nil, err
	}
	var parts, main []byte
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		body, err := files.ReadFile(string(Node) + "/" + e.Name())
		if err != nil {
			return nil, err
		}
		body = bytes.ReplaceAll(body, []byte("require('./"), []byte("part('./"))
		if e.Name() == Node.Entry() {
			main = body
			continue
		}
		parts = fmt.Appendf(parts, "  './%s'(exports) {\n%s  },\n", e.Name(), body)
	}
	return fmt.Appendf(nil, `'use strict';
const made = {};
function part(name) {
  if (!made[name]) parts[name](made[name] = {});
  return made[name];
}
const parts = {
%s};
%s`, parts, main), nil
}

// Write puts the family's program into dir, readable by everybody.
func Write(f Family, dir string) error {
	return each(f, func(name string, body []byte) error {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
		return os.Chmod(filepath.Join(dir, name), 0o644) // whatever the umask
	})
}

// Digest identifies the family's program: it changes with every byte of it.
func Digest(f Family) string {
	h := sha256.New()
	_ = each(f, func(name string, body []byte) error { // reads memory: cannot fail
		fmt.Fprintf(h, "%s %d\n", name, len(body))
		h.Write(body)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))
}

func each(f Family, do func(name string, body []byte) error) error {
	if f == Node {
		body, err := bundle()
		if err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
		if err := do(f.Entry(), body); err != nil {
			return err
		}
		return eachIn(string(f)+"/early", do)
	}
	return eachIn(string(f), do)
}

// eachIn gives the files of one folder.
func eachIn(folder string, do func(name string, body []byte) error) error {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return fmt.Errorf("bootstrap: no program in %q", folder)
	}
	for _, e := range entries {
		body, err := files.ReadFile(folder + "/" + e.Name())
		if err != nil {
			return err
		}
		if err := do(e.Name(), body); err != nil {
			return err
		}
	}
	return nil
}
