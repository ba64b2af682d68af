package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// lock pins the models that the generated packages come from: the version of botocore and, for
// each service, the file and the SHA-256 of its uncompressed bytes.
type lock struct {
	version string
	files   map[string]pinned // by service
}

type pinned struct{ path, sum string }

const maxModel = 64 << 20

// parseLock reads "botocore VERSION" and "SERVICE PATH SHA256" lines.
func parseLock(b []byte) (*lock, error) {
	l := &lock{files: map[string]pinned{}}
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		switch {
		case len(f) == 0 || f[0] == "#":
		case len(f) == 2 && f[0] == "botocore":
			l.version = f[1]
		case len(f) == 3:
			l.files[f[0]] = pinned{path: f[1], sum: f[2]}
		default:
			return nil, fmt.Errorf("models.lock: cannot read %q", sc.Text())
		}
	}
	return l, sc.Err()
}

func (l *lock) bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "botocore %s\n", l.version)
	names := make([]string, 0, len(l.files))
	for n := range l.files {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Fprintf(&b, "%s %s %s\n", n, l.files[n].path, l.files[n].sum)
	}
	return b.Bytes()
}

// findBotocore asks the machine's python3 where botocore keeps its models, and its version.
func findBotocore() (dir, version string, err error) {
	const ask = "import botocore,os;print(botocore.__version__);print(os.path.join(os.path.dirname(botocore.__file__),'data'))"
	out, err := exec.Command("python3", "-c", ask).Output()
	if err != nil {
		return "", "", fmt.Errorf("python3 has no botocore (install PyPI botocore, the version that tools/apigen/models.lock names): %w", err)
	}
	version, dir, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return dir, version, nil
}

// newest is the path, relative to dir, of the newest model of a service.
func newest(dir, service string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, service, "*", "service-2.json*"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no model of %s under %s", service, dir)
	}
	sort.Strings(found)
	return filepath.Rel(dir, found[len(found)-1])
}

// readModel reads a model and the SHA-256 of its uncompressed bytes.
func readModel(path string) (*model, string, error) {
	b, err := os.ReadFile(path)
	if err != nil && os.IsNotExist(err) && strings.HasSuffix(path, ".gz") {
		path = strings.TrimSuffix(path, ".gz") // some distributions ship the models unpacked
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, "", err
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, "", err
		}
		if b, err = io.ReadAll(io.LimitReader(z, maxModel)); err != nil {
			return nil, "", err
		}
	}
	sum := sha256.Sum256(b)
	var m model
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return &m, hex.EncodeToString(sum[:]), nil
}

// load reads the model of a service: ours where tools/apigen/models has one, else the pinned one.
func (l *lock) load(own fs.FS, dir, service string) (*model, error) {
	if b, err := fs.ReadFile(own, service+".json"); err == nil {
		var m model
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, fmt.Errorf("models/%s.json: %w", service, err)
		}
		return &m, nil
	}
	p, ok := l.files[service]
	if !ok {
		return nil, fmt.Errorf("models.lock does not pin %s; run with -lock to pin the installed botocore", service)
	}
	m, sum, err := readModel(filepath.Join(dir, p.path))
	if err != nil {
		return nil, err
	}
	if sum != p.sum {
		return nil, fmt.Errorf("%s differs from models.lock: install PyPI botocore==%s", p.path, l.version)
	}
	return m, nil
}
