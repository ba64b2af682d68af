package archtest

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are those that promise, with what each line is held by.
var documents = []string{"README.md", "ARCHITECTURE.md", "SPECIFICATION.md", "SECURITY.md", "CONTRIBUTING.md", "NOTICE"}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(root + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var named = regexp.MustCompile(`\b(?:([a-z0-9]+)\.)?((?:Test|Benchmark|Fuzz)[A-Z]\w*)`)

// TestDocumentsNameRealTests: a test, benchmark or fuzz target that a document names is there, in
// the room that it names.
func TestDocumentsNameRealTests(t *testing.T) {
	have := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`).FindAllStringSubmatch(read(t, s.path), -1) {
			have[m[1]], have[path.Base(s.dir)+"."+m[1]] = true, true
		}
	}
	count := 0
	for _, name := range documents {
		for _, m := range named.FindAllStringSubmatch(read(t, name), -1) {
			count++
			if full := strings.TrimPrefix(m[1]+"."+m[2], "."); !have[full] {
				t.Errorf("%s names %s, which is not there", name, full)
			}
		}
	}
	if count < 50 {
		t.Fatalf("the documents name only %d tests: this test looks in vain", count)
	}
}

// TestEveryPromiseIsHeld: the last column of each promise names a test or says that there is
// none.
func TestEveryPromiseIsHeld(t *testing.T) {
	count := 0
	for _, name := range []string{"SPECIFICATION.md", "SECURITY.md"} {
		promises, _, _ := strings.Cut(read(t, name), "## Figures") // measured, not promised
		for i, l := range strings.Split(promises, "\n") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(l), "|"), "|")
			if !strings.HasPrefix(l, "|") || strings.HasPrefix(l, "|--") || len(cells) < 2 {
				continue
			}
			last := strings.TrimSpace(cells[len(cells)-1])
			if last == "held by" || last == "" {
				continue // the head of a table
			}
			count++
			if !named.MatchString(last) && !strings.Contains(last, "no test") {
				t.Errorf("%s:%d: %q names no test and does not say so", name, i+1, last)
			}
		}
	}
	if count < 40 {
		t.Fatalf("only %d promises found: this test looks in vain", count)
	}
}

// TestLinks: what a document links to within the repository is there.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for file, text := range texts(t) {
		if !strings.HasSuffix(file, ".md") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(root + "/" + path.Join(path.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}

// TestNotice: NOTICE names every module that deps.txt has.
func TestNotice(t *testing.T) {
	notice := read(t, "NOTICE")
	for _, l := range strings.Split(strings.TrimSpace(read(t, "deps.txt")), "\n") {
		if module, _, _ := strings.Cut(l, " "); !strings.Contains(notice, module+" ") {
			t.Errorf("NOTICE does not name %s", module)
		}
	}
}

// TestDecisionsAreListed: the list of decisions has each, in order.
func TestDecisionsAreListed(t *testing.T) {
	files, err := filepath.Glob(root + "/docs/decisions/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	var want, got []string
	for _, f := range files {
		name := filepath.Base(f)
		want = append(want, name[:4]+" "+name)
		if title := read(t, "docs/decisions/"+name); !strings.HasPrefix(title, "# "+name[:4]) {
			t.Errorf("%s begins with another number", name)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^- \[(\d+)\]\((.*?)\): \S`).FindAllStringSubmatch(read(t, "docs/decisions/README.md"), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the list has %q, the folder %q", got, want)
	}
}
