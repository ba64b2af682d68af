package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const (
	dir  = tar.TypeDir
	link = tar.TypeSymlink
	hard = tar.TypeLink
)

func TestLayersAreFlattened(t *testing.T) {
	_, tree, err := unpacked(t,
		layerOf(t, item{"bin/", "", dir, 0}, item{"bin/sh", "shell", 0, 0o4755}, item{"lib", "usr/lib", link, 0}, item{"usr/lib/", "", dir, 0},
			item{"usr/lib/a", "old", 0, 0}, item{"usr/lib/b", "b", 0, 0}, item{"etc/gone", "1", 0, 0}, item{"var/cache/x", "1", 0, 0},
			item{"var/cache/sub/y", "1", 0, 0}, item{"root/", "", dir, 0o700}, item{"root/key", "k", 0, 0o600}, item{"file", "f", 0, 0}, item{"folder/in", "1", 0, 0}),
		layerOf(t, item{"lib/a", "new", 0, 0}, item{"etc/.wh.gone", "", 0, 0}, item{"var/cache/new", "2", 0, 0}, item{"var/cache/.wh..wh..opq", "", 0, 0},
			item{"hard", "/usr/lib/b", hard, 0}, item{"usr/lib/.wh.b", "", 0, 0}, item{"file/", "", dir, 0}, item{"file/now", "folder", 0, 0}, item{"folder", "elsewhere", link, 0},
			item{"same", "stays", 0, 0}, item{".wh.same", "", 0, 0}))
	if err != nil {
		t.Fatal(err)
	}
	at := func(p string) string { return filepath.Join(tree.Root, p) }
	for p, want := range map[string]string{"bin/sh": "shell", "usr/lib/a": "new", "hard": "b", "file/now": "folder", "var/cache/new": "2", "same": "stays"} {
		if b, err := os.ReadFile(at(p)); string(b) != want {
			t.Errorf("%s holds %q, %v; want %q", p, b, err, want)
		}
	}
	for _, p := range []string{"etc/gone", "usr/lib/b", "var/cache/x", "var/cache/sub", "folder/in"} {
		if _, err := os.Lstat(at(p)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", p, err)
		}
	}
	for p, want := range map[string]fs.FileMode{"bin/sh": 0o555, "root": fs.ModeDir, "root/key": 0, "bin": fs.ModeDir | 0o555, "usr/lib/a": 0o444, "lib": fs.ModeSymlink | 0o777} {
		if st, err := os.Lstat(at(p)); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", p, st, err, want)
		}
	}
	if st, err := os.Stat(at("usr/lib/a")); err != nil || !st.ModTime().Equal(when) {
		t.Errorf("a file's time is lost: %v %v", st, err)
	}
	if _, err := os.Stat(filepath.Join(tree.Root, "..", spoolFolder)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was hidden is kept: %v", err)
	}
}

func TestPlacesAreRealWhateverTheImageHas(t *testing.T) {
	_, tree, err := unpacked(t, layerOf(t, item{"proc", "/etc", link, 0}, item{"tmp", "var/tmp", link, 0}, item{"dev/sda", "", tar.TypeBlock, 0}, item{"dev/secret", "1", 0, 0},
		item{"etc/hosts", "/etc/passwd", link, 0}, item{"etc/resolv.conf", "../run/resolv.conf", link, 0}, item{"etc/passwd", "mine", 0, 0},
		item{"etc/ssl/certs", "../pki/tls/certs", link, 0}, item{"etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", link, 0},
		item{"etc/pki/tls/certs/ca-certificates.crt", "../../../../etc/passwd", link, 0}))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range covered {
		list, err := os.ReadDir(filepath.Join(tree.Root, d))
		if st, serr := os.Lstat(filepath.Join(tree.Root, d)); err != nil || serr != nil || !st.IsDir() || len(list) > 0 {
			t.Errorf("/%s: %v %v %v", d, st, list, err)
		}
	}
	want := map[string]string{"hosts": "/etc/hosts", "resolver": "/etc/resolv.conf", "roots": "/etc/pki/tls/certs/ca-bundle.crt /etc/pki/tls/certs/ca-certificates.crt"}
	for what, paths := range want {
		if got := strings.Join(tree.Places[what], " "); got != paths {
			t.Errorf("%s: %q, want %q", what, got, paths)
		}
		for _, p := range tree.Places[what] {
			if st, err := os.Lstat(filepath.Join(tree.Root, p)); err != nil || !st.Mode().IsRegular() || st.Size() != 0 {
				t.Errorf("%s is no place: %v %v", p, st, err)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(tree.Root, "etc/passwd")); string(b) != "mine" {
		t.Errorf("/etc/passwd: %q %v", b, err)
	}
}

func TestHostileLayersAreRefused(t *testing.T) {
	many := make([]item, 0, 1100)
	for i := range 1100 {
		many = append(many, item{"d/" + strings.Repeat("x", i%200+1) + string(rune('a'+i/200)), "", 0, 0})
	}
	for name, layers := range map[string][][]item{
		"climbing name":           {{{"../out", "1", 0, 0}}},
		"climbing inside":         {{{"a/../../out", "1", 0, 0}}},
		"climbing hard link":      {{{"a", "../../etc/shadow", hard, 0}}},
		"hard link to the host":   {{{"a", "/etc/shadow", hard, 0}}},
		"hard link by a link":     {{{"e", "/etc", link, 0}, {"a", "e/shadow", hard, 0}}},
		"hard link to a folder":   {{{"d/", "", dir, 0}, {"a", "d", hard, 0}}},
		"whiteout of ..":          {{{"a/.wh...", "", 0, 0}}},
		"whiteout of .":           {{{"a/.wh..", "", 0, 0}}},
		"whiteout of nothing":     {{{"a/.wh.", "", 0, 0}}},
		"device":                  {{{"null", "", tar.TypeChar, 0}}},
		"disk below a link":       {{{"x", "dev", link, 0}, {"x/sda", "", tar.TypeBlock, 0}}},
		"pipe":                    {{{"run/p", "", tar.TypeFifo, 0}}},
		"link without a target":   {{{"a", "", link, 0}}},
		"links in a ring":         {{{"a", "b", link, 0}, {"b", "a", link, 0}, {"a/x", "1", 0, 0}}},
		"file below a file":       {{{"a", "1", 0, 0}, {"a/b", "2", 0, 0}}},
		"below a lower file":      {{{"a", "1", 0, 0}}, {{"a/b", "2", 0, 0}}},
		"long name":               {{{strings.Repeat("a", 256), "1", 0, 0}}},
		"long path":               {{{strings.Repeat("abcdefg/", 1000) + "x", "1", 0, 0}}},
		"deep":                    {{{strings.Repeat("a/", maxDepth+1) + "x", "1", 0, 0}}},
		"deep by links":           {{{"l", strings.Repeat("a/", 150), link, 0}, {"l/" + strings.Repeat("b/", 150) + "m", strings.Repeat("x", 250), 0, 0}, {"p", strings.Repeat(strings.Repeat("y", 200)+"/", 18), link, 0}, {"p/f", "1", 0, 0}}},
		"many":                    {many},
		"more than the limit":     {{{"a", strings.Repeat("a", 1<<20), 0, 0}}},
		"more, in several layers": {{{"a", strings.Repeat("a", 600<<10), 0, 0}}, {{"a", strings.Repeat("a", 600<<10), 0, 0}}},
		"the root a file":         {{{"/", "1", link, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var all [][]byte
			for _, items := range layers {
				all = append(all, layerOf(t, items...))
			}
			in, _, err := unpacked(t, all...)
			if _, bad := errors.AsType[*Error](err); !bad {
				t.Errorf("not refused: %v", err)
			}
			alone(t, in)
		})
	}
}

// alone asserts that nothing was written beside the folder.
func alone(t testing.TB, in string) {
	t.Helper()
	if list, err := os.ReadDir(filepath.Dir(in)); len(list) != 1 || err != nil {
		t.Errorf("something was written outside: %v %v", list, err)
	}
}

// TestLinksBetweenLayersStayInside: a layer puts a link where an earlier one had a folder, and a later one
// writes through it.
func TestLinksBetweenLayersStayInside(t *testing.T) {
	outside := t.TempDir()
	for name, target := range map[string]string{"absolute": outside, "climbing": strings.Repeat("../", 60) + strings.TrimPrefix(outside, "/")} {
		t.Run(name, func(t *testing.T) {
			in, tree, err := unpacked(t, layerOf(t, item{"var/task/", "", dir, 0}, item{"var/task/a", "1", 0, 0}), layerOf(t, item{"var/task", target, link, 0}),
				layerOf(t, item{"var/task/evil", "2", 0, 0}, item{"var/task/.wh.a", "", 0, 0}, item{"var/task/.wh..wh..opq", "", 0, 0}))
			if err != nil {
				t.Fatal(err)
			}
			if list, err := os.ReadDir(outside); len(list) != 0 || err != nil {
				t.Errorf("written outside: %v %v", list, err)
			}
			alone(t, in)
			if got, err := os.Readlink(filepath.Join(tree.Root, "var/task")); got != target || err != nil {
				t.Errorf("the link is %q %v", got, err)
			}
		})
	}
	_, tree, err := unpacked(t, layerOf(t, item{"var/task", "/../../srv", link, 0}), layerOf(t, item{"var/task/x", "2", 0, 0}))
	if b, rerr := os.ReadFile(filepath.Join(tree.Root, "srv/x")); string(b) != "2" || err != nil || rerr != nil {
		t.Errorf("the file is not where the link leads inside: %q %v %v", b, err, rerr)
	}
}

func TestCompressedLayers(t *testing.T) {
	plain := layerOf(t, item{"a", strings.Repeat("hello ", 1000), 0, 0})
	for name, pack := range map[string]func(*bytes.Buffer){
		"gzip": func(b *bytes.Buffer) {
			w := gzip.NewWriter(b)
			_, _ = w.Write(plain)
			_ = w.Close()
		},
		"zstd": func(b *bytes.Buffer) {
			w, _ := zstd.NewWriter(b)
			_, _ = w.Write(plain)
			_ = w.Close()
		},
	} {
		var b bytes.Buffer
		pack(&b)
		good := Layer{Digest: DigestOf(b.Bytes()), DiffID: DigestOf(plain), Size: int64(b.Len())}
		for what, c := range map[string]struct {
			layer Layer
			bytes int64
			want  string
		}{
			"as it is":      {good, 1 << 20, ""},
			"other digest":  {Layer{Digest: DigestOf(nil), DiffID: good.DiffID, Size: good.Size}, 1 << 20, "of the digest"},
			"other content": {Layer{Digest: good.Digest, DiffID: DigestOf(nil), Size: good.Size}, 1 << 20, "uncompressed has the digest"},
			"longer":        {Layer{Digest: good.Digest, DiffID: good.DiffID, Size: good.Size - 1}, 1 << 20, "longer than"},
			"shorter":       {Layer{Digest: good.Digest, DiffID: good.DiffID, Size: good.Size + 1}, 1 << 20, "bytes of the digest"},
			"a bomb":        {good, 5000, "larger than 5000 bytes"},
		} {
			u := &unpacker{picture: newPicture(10), spool: t.TempDir(), left: c.bytes, room: c.bytes, limits: Limits{Bytes: c.bytes}}
			err := u.layer(ctx, 0, c.layer, bytes.NewReader(b.Bytes()))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestHolesOfSparseFilesCount(t *testing.T) {
	_, _, err := unpacked(t, sparseArchive("1\n1099511627776\n0\n"+strings.Repeat("\x00", 494)))
	if _, bad := errors.AsType[*Error](err); !bad || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a hole of a terabyte: %v", err)
	}
}

// sparseArchive is an archive of one file of a terabyte, all of it a hole, as GNU tar writes it (format
// 1.0); body is its map of what is no hole.
func sparseArchive(body string) []byte {
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=big", "GNU.sparse.realsize=1099511627776"} {
		records += strconv.Itoa(len(r)+4) + " " + r + "\n" // all have two digits
	}
	var b bytes.Buffer
	block := func(kind byte, name string, size int) {
		var h [512]byte
		copy(h[:], name)
		copy(h[100:], "0000644\x000000000\x000000000\x00")
		copy(h[124:], octal(size)+"\x00"+octal(0)+"\x00")
		copy(h[148:], "        ")
		h[156] = kind
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:], octal(sum)[5:]+"\x00 ")
		b.Write(h[:])
	}
	pad := func(s string) { b.WriteString(s + strings.Repeat("\x00", (512-len(s)%512)%512)) }
	block('x', "pax", len(records))
	pad(records)
	block('0', "GNUSparseFile.0/big", len(body))
	pad(body)
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

func octal(n int) string {
	s := ""
	for range 11 {
		s, n = string(rune('0'+n%8))+s, n/8
	}
	return s
}

func FuzzUnpack(f *testing.F) {
	f.Add(layerOf(f, item{"a/b", "1", 0, 0}, item{"l", "/a", link, 0}, item{"l/c", "2", 0, 0}), layerOf(f, item{"a", "../../x", link, 0}, item{"a/evil", "3", 0, 0}))
	f.Add(layerOf(f, item{"a/b", "1", 0, 0}, item{"h", "a/b", hard, 0}), layerOf(f, item{"a/.wh.b", "", 0, 0}, item{"a/.wh..wh..opq", "", 0, 0}))
	f.Add(layerOf(f, item{"etc", "/proc/1/root", link, 0}, item{"etc/hosts", "1", 0, 0}), layerOf(f, item{"tmp", "x", 0, 0}))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if len(first) == 0 || len(second) == 0 {
			return
		}
		in := filepath.Join(t.TempDir(), "in")
		if err := os.Mkdir(in, 0o700); err != nil {
			t.Fatal(err)
		}
		img, blobs := &Image{}, map[string][]byte{}
		for _, b := range [][]byte{first, second} {
			d := DigestOf(b)
			img.Layers, blobs[d] = append(img.Layers, Layer{d, d, int64(len(b))}), b
		}
		_, err := Unpack(ctx, img, in, Limits{Bytes: 1 << 16, Entries: 100}, func(l Layer) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(blobs[l.Digest])), nil
		})
		alone(t, in)
		defer loosen(in)
		if err != nil {
			return
		}
		tree, err := OpenTree(in)
		if err != nil {
			return
		}
		_ = filepath.WalkDir(tree.Root, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if st, err := d.Info(); err != nil || st.Mode().Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 || st.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
				t.Fatalf("%s: %v %v", p, st.Mode(), err)
			}
			return nil
		})
		for _, d := range covered {
			if st, err := os.Lstat(filepath.Join(tree.Root, d)); err != nil || !st.IsDir() {
				t.Fatalf("/%s: %v %v", d, st, err)
			}
		}
	})
}
