package pack

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// item is one entry of an archive under test.
type item struct {
	name, body string
	mode       fs.FileMode
}

func archiveOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate}
		if i.mode != 0 {
			h.SetMode(i.mode)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(i.name, "/") {
			if _, err := f.Write([]byte(i.body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var ample = Limits{Unzipped: 1 << 20, Entries: 100}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestUnpackKeepsWhatCounts(t *testing.T) {
	z := archiveOf(t,
		item{"index.js", "exports.handler = 1", 0o640},
		item{"bin/", "", fs.ModeDir | 0o755},
		item{"bin/run", "#!/bin/sh", 0o4711},
		item{"./lib/deep/x.txt", "x", 0},
		item{"lib/link", "deep/x.txt", fs.ModeSymlink | 0o777},
		item{"lib/nowhere", "gone", fs.ModeSymlink | 0o777},
	)
	dir := t.TempDir()
	info, err := Unpack(bytes.NewReader(z), int64(len(z)), dir, ample)
	if err != nil {
		t.Fatal(err)
	}
	if info.Files != 5 || info.Unzipped != int64(len("exports.handler = 1")+len("#!/bin/sh")+1+len("deep/x.txt")+len("gone")) {
		t.Errorf("%+v", info)
	}
	for name, mode := range map[string]fs.FileMode{"index.js": 0o444, "bin/run": 0o555, "lib/deep/x.txt": 0o444} {
		st, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v; want %v", name, st.Mode(), err, mode)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "lib/link")); string(b) != "x" || err != nil {
		t.Errorf("through the link: %q, %v", b, err)
	}
}

// climbing are archives that reach for what is not theirs, by name or link.
func climbing() map[string][]item {
	link := fs.ModeSymlink | 0o777
	return map[string][]item{
		"climbs":                       {{"../x", "1", 0}},
		"climbs inside":                {{"a/../../x", "1", 0}},
		"climbs and comes back":        {{"a/../x", "1", 0}},
		"absolute":                     {{"/etc/passwd", "1", 0}},
		"backslash":                    {{`a\b`, "1", 0}},
		"zero byte":                    {{"a\x00b", "1", 0}},
		"twice":                        {{"a", "1", 0}, {"./a", "2", 0}},
		"twice as a folder":            {{"a", "1", 0}, {"a/", "", fs.ModeDir | 0o755}},
		"through a link, by its name":  {{"a", "..", link}, {"a/escaped", "2", 0}},
		"a drive":                      {{`C:\windows\x`, "1", 0}},
		"link to a process":            {{"a", "/proc/self/root/etc/passwd", link}},
		"link in a circle and out":     {{"a", "b/..", link}, {"b", "../..", link}, {"f", "1", 0}},
		"file below a file":            {{"a", "1", 0}, {"a/b", "2", 0}},
		"folder and file":              {{"a/b", "1", 0}, {"a", "2", 0}},
		"file below a link":            {{"a", "b", link}, {"a/x", "2", 0}, {"b/y", "3", 0}},
		"link to the root":             {{"a", "/etc/passwd", link}},
		"link that climbs":             {{"a", "../../etc/passwd", link}},
		"link that climbs by a link":   {{"p/q/r/up", "../../..", link}, {"out", "p/q/r/up/../x", link}, {"f", "1", 0}},
		"empty link":                   {{"a", "", link}},
		"device":                       {{"a", "1", fs.ModeDevice | 0o600}},
		"pipe":                         {{"a", "1", fs.ModeNamedPipe | 0o600}},
		"empty":                        {},
		"only folders":                 {{"a/", "", fs.ModeDir | 0o755}},
		"too deep":                     {{strings.Repeat("a/", maxDepth+1) + "x", "1", 0}},
		"long name":                    {{strings.Repeat("a", 256), "1", 0}},
		"more folders than allowed":    {{strings.Repeat("a/", 40) + "x", "1", 0}, {strings.Repeat("b/", 40) + "x", "1", 0}, {strings.Repeat("c/", 40) + "x", "1", 0}},
		"a file is above all together": {{"a", strings.Repeat("a", 1<<20), 0}, {"b", "1", 0}},
	}
}

func TestRefused(t *testing.T) {
	for name, items := range climbing() {
		t.Run(name, func(t *testing.T) {
			z := archiveOf(t, items...)
			outside := t.TempDir()
			dir := filepath.Join(outside, "in")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := Unpack(bytes.NewReader(z), int64(len(z)), dir, ample)
			_, bad := errors.AsType[*Error](err)
			_, large := errors.AsType[*TooLarge](err)
			if !bad && !large {
				t.Errorf("not refused: %v", err)
			}
			if list, _ := os.ReadDir(outside); len(list) != 1 {
				t.Errorf("something was written outside: %v", list)
			}
		})
	}
}

func TestLinkThatIsNoEscapeStays(t *testing.T) {
	z := archiveOf(t, item{"node_modules/.bin/tsc", "../typescript/bin/tsc", fs.ModeSymlink | 0o777}, item{"node_modules/typescript/bin/tsc", "x", 0o755})
	if _, err := Unpack(bytes.NewReader(z), int64(len(z)), t.TempDir(), ample); err != nil {
		t.Error(err)
	}
}

func TestBombs(t *testing.T) {
	big := archiveOf(t, item{"zeros", strings.Repeat("\x00", 1<<20+1), 0})
	if _, err := Check(bytes.NewReader(big), int64(len(big)), ample); !isLarge(err) {
		t.Errorf("a file above the limit: %v", err)
	}
	// The same, with a directory that says it were small: the truth comes out while unpacking.
	lie := archiveOf(t, item{"zeros", strings.Repeat("\x00", 1<<20+1), 0})
	at := bytes.LastIndex(lie, []byte(signature))
	copy(lie[at+24:], []byte{10, 0, 0, 0})
	if info, err := Unpack(bytes.NewReader(lie), int64(len(lie)), t.TempDir(), ample); err == nil {
		t.Errorf("a directory that lies was believed: %+v", info)
	}
	var many []item
	for i := range 101 {
		many = append(many, item{"f" + strings.Repeat("x", i), "", 0})
	}
	z := archiveOf(t, many...)
	if _, err := Check(bytes.NewReader(z), int64(len(z)), ample); err == nil {
		t.Error("more entries than allowed were accepted")
	}
}

func isLarge(err error) bool {
	_, ok := errors.AsType[*TooLarge](err)
	return ok
}

func TestStoreKeepsEachOnceAndDropsWhatNobodyUses(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenStore(dir, "boot-1")
	if err != nil {
		t.Fatal(err)
	}
	z := archiveOf(t, item{"a/b", "1", 0o755})
	sha := hashOf(z)
	errs := make(chan error, 8)
	for range 8 {
		go func() {
			_, err := s.Add(bytes.NewReader(z), int64(len(z)), sha, ample)
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	at, ok := s.Dir(sha)
	if st, err := os.Stat(filepath.Join(at, "a")); !ok || err != nil || st.Mode().Perm() != 0o555 {
		t.Fatalf("%v %v %v", ok, st, err)
	}
	now := time.Unix(1e9, 0)
	unused := func(string) bool { return false }
	for _, step := range []struct {
		after time.Duration
		used  func(string) bool
		gone  int
	}{{0, unused, 0}, {Grace - 1, unused, 0}, {Grace, func(string) bool { return true }, 0}, {2 * Grace, unused, 0}, {3 * Grace, unused, 1}} {
		if n, err := s.Sweep(now.Add(step.after), step.used); n != step.gone || err != nil {
			t.Errorf("after %v: %d, %v", step.after, n, err)
		}
	}
	if _, ok := s.Dir(sha); ok {
		t.Error("the package is still there")
	}
}

func TestStoreForgetsWhatAnotherBootUnpacked(t *testing.T) {
	dir := t.TempDir()
	z := archiveOf(t, item{"a", "1", 0})
	for _, step := range []struct {
		boot string
		has  bool
	}{{"one", false}, {"one", true}, {"two", false}} {
		s, err := OpenStore(dir, step.boot)
		if err != nil {
			t.Fatal(err)
		}
		if s.Has(hashOf(z)) != step.has {
			t.Errorf("boot %s: has %v", step.boot, !step.has)
		}
		if _, err := s.Add(bytes.NewReader(z), int64(len(z)), hashOf(z), ample); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, unfinished+"left"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := (&Store{dir: dir}).Dir("../" + hashOf(z)); ok {
		t.Error("a hash with a path in it was accepted")
	}
}

func FuzzUnpack(f *testing.F) {
	link := fs.ModeSymlink | 0o777
	f.Add(archiveOf(f, item{"index.js", "x", 0o644}, item{"a/b", "y", 0o755}))
	f.Add(archiveOf(f, item{"l", "a/b", link}, item{"a/b", "y", 0o755}))
	f.Add(archiveOf(f, item{"p/up", "..", link}, item{"q", "p/up/../x", link}, item{"a/", "", fs.ModeDir | 0o755}))
	f.Fuzz(func(t *testing.T, z []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		info, err := Unpack(bytes.NewReader(z), int64(len(z)), dir, Limits{Unzipped: 1 << 16, Entries: 50})
		if list, _ := os.ReadDir(outer); len(list) != 1 {
			t.Fatalf("something was written outside: %v", list)
		}
		if err == nil && (info.Files == 0 || info.Unzipped > 1<<16) {
			t.Fatalf("%+v", info)
		}
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			t.Fatal(err)
		}
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || info.Files == 0 {
				return nil
			}
			if to, err := filepath.EvalSymlinks(p); err == nil && to != real && !strings.HasPrefix(to, real+"/") {
				t.Fatalf("%s leads to %s", p, to)
			}
			return nil
		})
	})
}
