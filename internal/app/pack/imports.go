package pack

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// imports wants everything that a function's handler file imports at its top level, in the folder or
// supplied by the runtime. The look is a light one: at statements that begin a line, which are always
// carried out. What is imported within a condition, a try or a function may be meant to be absent.
func (o Options) imports(dir, runtime, handler string) error {
	var path string
	var l language
	i := strings.LastIndexByte(handler, '.')
	if i <= 0 || !filepath.IsLocal(filepath.FromSlash(handler)) {
		return nil
	}
	switch {
	case strings.HasPrefix(runtime, "nodejs"):
		l, path = node(), firstFile(dir, handler[:i], ".js", ".mjs", ".cjs")
	case strings.HasPrefix(runtime, "python"):
		l, path = python(), firstFile(dir, strings.ReplaceAll(handler[:i], ".", "/"), ".py")
	}
	if path == "" {
		return nil
	}
	src, err := os.ReadFile(path)
	if err != nil || len(src) > maxHandler || bytes.Contains(src, []byte(l.elsewhere)) {
		return err // a file that says itself where its modules are is believed
	}
	var missing []string
	for _, name := range l.names(src) {
		if l.supplied[name] || l.has(dir, filepath.Dir(path), name) || slices.Contains(missing, name) || o.supplied(runtime, name) {
			continue
		}
		missing = append(missing, name)
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s imports %s, which is not in its folder; name it in %s and deploy with --build%s", filepath.Base(path), strings.Join(missing, ", "), l.manifest, o.second(missing, runtime))
}

// supplied reports whether a runtime of this machine has a package that Lambda's has not.
func (o Options) supplied(runtime, name string) bool {
	return o.Supplies != nil && o.Supplies(runtime, name)
}

// second says how to have the second version of the JavaScript SDK, which no runtime since node 18
// supplies and many functions still import; "" where it is not missing.
func (o Options) second(missing []string, runtime string) string {
	if !slices.Contains(missing, sdkV2) {
		return ""
	}
	how := ", or run bastide runtimes install " + runtime + " --with aws-sdk-v2"
	if o.Data != "" {
		how += " --data " + o.Data
	}
	return how
}

const sdkV2 = "aws-sdk"

const maxHandler = 4 << 20 // bytes

// firstFile is the first of a name's files by extension; "" where there is none.
func firstFile(dir, name string, extensions ...string) string {
	for _, ext := range extensions {
		file := filepath.Join(dir, filepath.FromSlash(name)+ext)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}

// language is how one family of runtimes imports.
type language struct {
	manifest  string
	elsewhere string // what a file says that looks for modules in places of its own
	names     func(src []byte) []string
	has       func(dir, beside, name string) bool
	supplied  map[string]bool
}

func node() language {
	return language{manifest: "package.json", elsewhere: "NODE_PATH", names: nodeNames, has: nodeHas, supplied: words(nodeSupplied)}
}

func python() language {
	return language{manifest: "requirements.txt", elsewhere: "sys.path", names: pythonNames, has: pythonHas, supplied: words(pythonSupplied)}
}

func words(s string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(s) {
		out[w] = true
	}
	return out
}

var nodeImport = regexp.MustCompile(`^(?:import(?:[\s{*][^'"()]*?from)?\s*|(?:const|let|var)\s[^=()]*=\s*require\(|\}\s*(?:from\s*|=\s*require\())['"]([^'"]+)['"]`)

// nodeNames are the packages of static imports and of requires into a constant, which begin a line.
func nodeNames(src []byte) (names []string) {
	for line := range plainLines(src, "`", "/*", "*/") {
		if m := nodeImport.FindStringSubmatch(line); m != nil {
			if name := nodePackage(m[1]); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// nodePackage is the package of a module's name; "" for a file, a part of node or a name of the
// package's own.
func nodePackage(module string) string {
	if module == "" || strings.ContainsAny(module[:1], "./#") || strings.ContainsAny(module, ":\\ ") {
		return ""
	}
	first, rest, _ := strings.Cut(module, "/")
	if first[0] != '@' {
		return first
	}
	second, _, _ := strings.Cut(rest, "/")
	if first == "@aws-sdk" || first == "@smithy" || first == "@aws-crypto" || first == "@aws" || second == "" {
		return ""
	}
	return first + "/" + second
}

// nodeHas looks in node_modules from the file's folder up to the package's, and takes a package that
// imports itself.
func nodeHas(dir, beside, name string) bool {
	for at := beside; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "node_modules", filepath.FromSlash(name))); err == nil {
			return true
		}
		if at == dir || len(at) <= len(dir) {
			break
		}
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "package.json"))
	return err == nil && bytes.Contains(manifest, []byte(`"`+name+`"`)) // named there, it is the manifest's to be complete
}

var (
	pythonImport = regexp.MustCompile(`^import\s+([A-Za-z_][\w.]*(?:\s+as\s+\w+)?(?:\s*,\s*[A-Za-z_][\w.]*(?:\s+as\s+\w+)?)*)\s*(?:#.*|;.*)?$`)
	pythonFrom   = regexp.MustCompile(`^from\s+([A-Za-z_]\w*)[\w.]*\s+import\b`)
)

// pythonNames are the top-level modules of imports that begin a line.
func pythonNames(src []byte) (names []string) {
	for line := range plainLines(src, `"""`, `'''`, `'''`) {
		if m := pythonFrom.FindStringSubmatch(line); m != nil {
			names = append(names, m[1])
		} else if m := pythonImport.FindStringSubmatch(line); m != nil {
			for part := range strings.SplitSeq(m[1], ",") {
				name, _, _ := strings.Cut(strings.Fields(part)[0], ".")
				names = append(names, name)
			}
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return n[0] == '_' })
}

// pythonHas looks for a module, a package or a compiled module where python does.
func pythonHas(dir, _, name string) bool {
	entries, err := os.ReadDir(dir)
	return err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() == name || strings.HasPrefix(e.Name(), name+".")
	})
}

// plainLines are the lines that lie in no text and no comment of several lines: between two of quote,
// or between open and end.
func plainLines(src []byte, quote, open, end string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		lines := bufio.NewScanner(bytes.NewReader(src))
		lines.Buffer(nil, maxHandler+1)
		until := ""
		for lines.Scan() {
			line := strings.TrimSuffix(lines.Text(), "\r")
			if until == "" && !yield(line) {
				return
			}
			until = after(line, until, quote, open, end)
		}
	}
}

// after is what ends the text or comment that a line leaves open; "" for none.
func after(line, until, quote, open, end string) string {
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case until != "" && strings.HasPrefix(rest, until):
			i, until = i+len(until)-1, ""
		case until == "" && strings.HasPrefix(rest, quote):
			i, until = i+len(quote)-1, quote
		case until == "" && strings.HasPrefix(rest, open):
			i, until = i+len(open)-1, end
		}
	}
	return until
}
