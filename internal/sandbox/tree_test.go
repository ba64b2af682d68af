package sandbox

import (
	"archive/tar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/sandbox/image"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// entry is a sandboxtest.Entry, written short.
type entry struct {
	Name, Body string
	Kind       byte
	Mode       int64
}

func layer(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var all []sandboxtest.Entry
	for _, e := range entries {
		all = append(all, sandboxtest.Entry(e))
	}
	return sandboxtest.Layer(t, all...)
}

// planted unpacks an image that has the inmate, with the set-user-id bit, and such layers above it.
func (l *lab) planted(layers ...[]entry) (image.Tree, error) {
	l.t.Helper()
	inmate, err := os.ReadFile(filepath.Join(l.kit, "inmate"))
	if err != nil {
		l.t.Fatal(err)
	}
	all := [][]byte{layer(l.t, entry{"inmate", string(inmate), tar.TypeReg, 0o6755})}
	for _, entries := range layers {
		all = append(all, layer(l.t, entries...))
	}
	dir, err := sandboxtest.Unpack(l.t, all...)
	if err != nil {
		return image.Tree{}, err
	}
	return image.OpenTree(dir)
}

// in runs the inmate of a tree.
func (l *lab) in(tree image.Tree, args ...string) Spec {
	s := l.spec(args...)
	s.Root = RootFS{Tree: tree.Root}
	s.Dir = "/"
	return s
}

// TestTreeIsTheRoot: a tree is the root of a sandbox, read-only, with the sandbox's own /proc, /dev and
// /tmp, and with files laid over its places.
func TestTreeIsTheRoot(t *testing.T) {
	l := newLab(t)
	tree, err := l.planted([]entry{{"etc/hosts", "the image's", tar.TypeReg, 0o644}, {"var/task/code", "code", tar.TypeReg, 0o666}, {"opt/extension", "x", tar.TypeReg, 0o755},
		{"root/", "", tar.TypeDir, 0o700}, {"root/key", "k", tar.TypeReg, 0o644}, {"private", "p", tar.TypeReg, 0o600}, {"tmp/left", "1", tar.TypeReg, 0o644}, {"etc/", "", tar.TypeDir, 0o700}})
	if err != nil {
		t.Fatal(err)
	}
	hosts := filepath.Join(shared(t), "hosts")
	write(t, hosts, "127.0.0.1 localhost")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"ids"}, "993 993 990 true"},
		{[]string{"list", "/"}, "dev etc inmate opt private proc root tmp var"},
		{[]string{"list", "/dev"}, "fd full null random stderr stdin stdout urandom zero"},
		{[]string{"list", "/tmp"}, ""},
		{[]string{"read", "/var/task/code"}, "code"},
		{[]string{"read", "/etc/hosts"}, "127.0.0.1 localhost"},
		{[]string{"read", "/private"}, "EACCES"}, // as on Lambda: only what everybody may read
		{[]string{"read", "/root/key"}, "EACCES"},
		{[]string{"write", "/var/task/code"}, "EROFS"},
		{[]string{"write", "/etc/hosts"}, "EROFS"},
		{[]string{"write", "/new"}, "EROFS"},
		{[]string{"write", "/dev/x"}, "EROFS"},
		{[]string{"write", "/dev/null"}, "ok"},
		{[]string{"write", "/tmp/x"}, "ok"},
		{[]string{"pids"}, ""},
		{[]string{"self", "NoNewPrivs", "Seccomp"}, "NoNewPrivs=1 Seccomp=2"},
	} {
		s := l.in(tree, c.args...)
		s.Root.Binds = []Bind{{Source: hosts, Target: "/etc/hosts"}}
		got := l.try(s)
		if got != c.want && !(c.want == "EROFS" && got == "EACCES") { // which one is asked first
			t.Errorf("%v: %q, want %q", c.args, got, c.want)
		}
	}
	var got []string
	for line := range strings.Lines(l.try(l.in(tree, "read", "/proc/self/mountinfo"))) {
		f := strings.Fields(line)
		if !strings.Contains(f[5], "nosuid") || f[4] != "/tmp" && !strings.HasPrefix(f[4], "/dev/") && !strings.HasPrefix(f[4], "/proc/") && !strings.HasPrefix(f[5], "ro") {
			t.Errorf("a loose mount: %s", line)
		}
		if !strings.HasPrefix(f[4], "/proc/") {
			got = append(got, f[4])
		}
	}
	slices.Sort(got)
	if s := strings.Join(got, " "); s != "/ /dev /dev/full /dev/null /dev/random /dev/urandom /dev/zero /proc /tmp" {
		t.Errorf("mounts %s", s)
	}
}

// TestEscapesThroughImages: what an image may hold to get out of its sandbox, or into the host while it
// is unpacked, and what comes of it.
func TestEscapesThroughImages(t *testing.T) {
	l := newLab(t)
	host := shared(t)
	write(t, filepath.Join(host, "secret"), "hunter2")
	secret := filepath.Join(host, "secret")
	const link, hard = tar.TypeSymlink, tar.TypeLink
	for what, c := range map[string]struct {
		layers [][]entry
		try    []string
		want   string
	}{
		"an absolute link to the host":            {[][]entry{{{"out", secret, link, 0}}}, []string{"read", "/out"}, "ENOENT"},
		"a link that climbs to the host":          {[][]entry{{{"a/out", strings.Repeat("../", 40) + secret[1:], link, 0}}}, []string{"read", "/a/out"}, "ENOENT"},
		"a link through the init's root":          {[][]entry{{{"out", "/proc/1/root" + secret, link, 0}}}, []string{"read", "/out"}, "ENOENT"},
		"/proc a link":                            {[][]entry{{{"proc", host, link, 0}}}, []string{"read", "/proc/secret"}, "ENOENT"},
		"/tmp a link":                             {[][]entry{{{"tmp", host, link, 0}}}, []string{"read", "/tmp/secret"}, "ENOENT"},
		"/dev a link":                             {[][]entry{{{"dev", host, link, 0}}}, []string{"list", "/dev"}, "fd full null random stderr stdin stdout urandom zero"},
		"/etc a link":                             {[][]entry{{{"etc", host, link, 0}}}, []string{"read", "/etc/secret"}, "ENOENT"},
		"/etc/hosts a link":                       {[][]entry{{{"etc/hosts", secret, link, 0}}}, []string{"read", "/etc/hosts"}, ""},
		"/var/task a link":                        {[][]entry{{{"var/task", host, link, 0}}}, []string{"read", "/var/task/secret"}, "ENOENT"},
		"a folder that becomes a link":            {[][]entry{{{"a/f", "1", tar.TypeReg, 0o644}}, {{"a", host, link, 0}}, {{"a/planted", "2", tar.TypeReg, 0o644}}}, []string{"read", "/a/secret"}, "ENOENT"},
		"a whiteout through a link":               {[][]entry{{{"a", host, link, 0}}, {{"a/.wh.secret", "", tar.TypeReg, 0}}}, []string{"read", "/a/secret"}, "ENOENT"},
		"an opaque folder through a link":         {[][]entry{{{"a", host, link, 0}}, {{"a/.wh..wh..opq", "", tar.TypeReg, 0}}}, []string{"read", "/a/secret"}, "ENOENT"},
		"a hard link through a link":              {[][]entry{{{"a", host, link, 0}}, {{"b", "a/secret", hard, 0}}}, nil, "which is no file of the image"},
		"a hard link to the host":                 {[][]entry{{{"b", secret, hard, 0}}}, nil, "which is no file of the image"},
		"a hard link to /etc/shadow":              {[][]entry{{{"b", "/etc/shadow", hard, 0}}}, nil, "which is no file of the image"},
		"a hard link that climbs":                 {[][]entry{{{"b", "../../etc/shadow", hard, 0}}}, nil, "climbs"},
		"a name that climbs":                      {[][]entry{{{"../../../../.." + filepath.Join(host, "planted"), "1", tar.TypeReg, 0}}}, nil, "climbs"},
		"a whiteout that climbs":                  {[][]entry{{{"../.wh.secret", "", tar.TypeReg, 0}}}, nil, "climbs"},
		"a whiteout of ..":                        {[][]entry{{{"a/.wh...", "", tar.TypeReg, 0}}}, nil, "names no file"},
		"an absolute name":                        {[][]entry{{{filepath.Join(host, "planted"), "1", tar.TypeReg, 0o644}}}, []string{"read", filepath.Join(host, "planted")}, inside(host)},
		"a set-user-id program":                   {nil, []string{"run", "/inmate", "ids"}, "993 993 990 true"},
		"a disk":                                  {[][]entry{{{"disk", "", tar.TypeBlock, 0o666}}}, nil, "is a device or pipe"},
		"the memory, below /dev":                  {[][]entry{{{"dev/mem", "", tar.TypeChar, 0o666}}}, []string{"stat", "/dev/mem"}, "ENOENT"},
		"a device below /dev by a link":           {[][]entry{{{"x", "dev", link, 0}, {"x/mem", "", tar.TypeChar, 0o666}}}, nil, "is a device or pipe"},
		"a link for the runtime's own descriptor": {[][]entry{{{"fd", "/proc/self/fd/3", link, 0}}}, []string{"read", "/fd"}, "ENOENT"},
	} {
		tree, err := l.planted(c.layers...)
		if c.try == nil {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want a refusal: %s", what, err, c.want)
			}
		} else if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if got := l.try(l.in(tree, c.try...)); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
		if list, err := os.ReadDir(host); len(list) != 1 || err != nil {
			t.Fatalf("%s: the host's folder holds %v, %v", what, list, err)
		}
		if b, err := os.ReadFile(secret); string(b) != "hunter2" {
			t.Fatalf("%s: the host's file holds %q, %v", what, b, err)
		}
	}
}

// inside is what a sandbox reads of a file that an image brought under a path below host.
func inside(host string) string {
	if strings.HasPrefix(host, "/tmp/") {
		return "ENOENT" // covered
	}
	return "1"
}

// TestEscapesFromATree: the system calls that are refused elsewhere are refused with an image as root.
func TestEscapesFromATree(t *testing.T) {
	l := newLab(t)
	tree, err := l.planted()
	if err != nil {
		t.Fatal(err)
	}
	s := l.in(tree, "late")
	s.Channel = true
	w := l.talk(s)
	for _, e := range sandboxtest.Escapes() {
		for _, attempt := range e.Tries {
			if reachesFor(attempt, "/open", "/su", "/inmate", "/etc", "/root", "/home", "/run", "/opt", "/var/task") {
				continue // the image has those, or not, by itself
			}
			if got := w.ask(attempt.Words()...); !attempt.Holds(got) {
				t.Errorf("%s: %s: %q, want %s", e.Technique, attempt.Do, got, attempt.Want)
			}
		}
	}
}

func reachesFor(t sandboxtest.Try, places ...string) bool {
	return slices.ContainsFunc(t.Words(), func(w string) bool {
		return slices.ContainsFunc(places, func(p string) bool { return w == p || strings.HasPrefix(w, p+"/") })
	})
}

// TestTreesThatAreRefused: what a tree cannot take in, before anything is started.
func TestTreesThatAreRefused(t *testing.T) {
	l := newLab(t)
	tree, err := l.planted()
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Spec){
		"a relative one": func(s *Spec) { s.Root.Tree = "tree" },
		"code":           func(s *Spec) { s.Code = tree.Root },
		"layers":         func(s *Spec) { s.Layers = []string{tree.Root} },
		"late":           func(s *Spec) { s.Late = true },
		"files":          func(s *Spec) { s.Root.Files = map[string]File{"/x": {}} },
		"links":          func(s *Spec) { s.Root.Links = map[string]string{"/x": "y"} },
		"folders":        func(s *Spec) { s.Root.Dirs = []string{"/x"} },
		"no such place":  func(s *Spec) { s.Root.Binds = []Bind{{Source: filepath.Join(l.kit, "inmate"), Target: "/nowhere/x"}} },
		"no such tree":   func(s *Spec) { s.Root.Tree += "-gone" },
	} {
		s := l.in(tree, "ids")
		change(&s)
		if i, err := l.ns.Start(t.Context(), s); err == nil {
			t.Errorf("%s: started: %v", what, i.Kill())
		}
	}
}
