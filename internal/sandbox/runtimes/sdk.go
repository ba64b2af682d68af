package runtimes

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
)

// pins are the SDKs that go with the runtimes, each with the digest of every package: lock files for
// npm, requirements for pip. @aws-sdk 3.967 is the last that runs on node 18; boto3 left python 3.8
// and 3.9 behind one after the other.
//
//go:embed pins
var pins embed.FS

// SDK is the AWS SDK that a runtime supplies.
type SDK struct {
	Dir     string // on the host, holding node_modules or python; empty: there is none
	Version string // of @aws-sdk or boto3
	Origin  string // "bastide", or "system" for one taken over from the interpreter's own packages
	Extra   []string
}

// AWSSDKv2 is what may be asked for with a node runtime: the second version of the JavaScript SDK.
const AWSSDKv2 = "aws-sdk-v2"

// Provides tells whether a function may import a package without bringing it: "@aws-sdk/client-s3",
// "boto3".
func (s SDK) Provides(name string) bool {
	if s.Dir == "" || !filepath.IsLocal(name) {
		return false
	}
	for _, p := range []string{"node_modules/" + name, "python/" + name, "python/" + name + ".py"} {
		if _, err := os.Stat(filepath.Join(s.Dir, p)); err == nil {
			return true
		}
	}
	return false
}

// sdkFolder is shared by all runtimes of node; byte code makes each python's its own.
func (c *Catalog) sdkFolder(id Identifier) string {
	name := "node"
	if id.Family == bootstrap.Python {
		name = "python" + id.Version
	}
	return filepath.Join(c.dir, "sdk", name)
}

// sdk is the SDK that a runtime gets: the installed one, or for python the one among the
// interpreter's own packages.
func (c *Catalog) sdk(ctx context.Context, id Identifier, found Found) (SDK, error) {
	if id.Family == Custom {
		return SDK{}, nil
	}
	defer c.lock("sdk " + c.sdkFolder(id))()
	s, err := readSDK(c.sdkFolder(id))
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return s, err
	case id.Family == bootstrap.Python:
		return c.adopt(id, found)
	}
	return SDK{}, nil
}

func readSDK(dir string) (SDK, error) {
	body, err := os.ReadFile(filepath.Join(dir, "sdk.json"))
	if err != nil {
		return SDK{}, err
	}
	var s SDK
	if err := json.Unmarshal(body, &s); err != nil {
		return SDK{}, fmt.Errorf("runtimes: %s: %w", dir, err)
	}
	s.Dir, err = filepath.Abs(dir)
	return s, err
}

// boto3Packages are boto3 and everything that it needs.
var boto3Packages = []string{"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"}

// adopt takes boto3 over from the packages of an interpreter. Only it and what it needs: the machine's
// other packages are not what Lambda supplies.
func (c *Catalog) adopt(id Identifier, found Found) (SDK, error) {
	var from []string
	for _, dir := range packageFolders(found, id.Version) {
		if _, err := os.Stat(filepath.Join(dir, "botocore")); err == nil {
			from = append(from, dir)
		}
	}
	if len(from) == 0 {
		return SDK{}, nil
	}
	version := versionOf(from[0])
	dir := c.sdkFolder(id) + "-found-" + version
	if s, err := readSDK(dir); err == nil {
		return s, nil
	}
	return c.storeSDK(dir, SDK{Version: version, Origin: "system"}, func(tmp string) error {
		t := tree{root: tmp}
		for _, name := range boto3Packages {
			for _, base := range packageFolders(found, id.Version) {
				if err := t.adoptPackage(base, name); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (t *tree) adoptPackage(base, name string) error {
	path := filepath.Join(base, name)
	st, err := os.Stat(path)
	if err != nil {
		return nil // it is in another of the folders
	}
	if !st.IsDir() {
		return t.place(path, "python/"+name)
	}
	return t.copyTree(path, "python/"+name, func(string, fs.DirEntry) bool { return true })
}

// packageFolders are where an interpreter has its packages: its own, and Debian's two.
func packageFolders(found Found, version string) []string {
	return []string{
		filepath.Join(found.Library, "site-packages"),
		"/usr/local/lib/python" + version + "/dist-packages",
		filepath.Join(found.Library, "../python3/dist-packages"),
	}
}

// versionOf reads boto3's version from the name of its metadata.
func versionOf(dir string) string {
	names, _ := filepath.Glob(filepath.Join(escape(dir), "boto3-*")) // the pattern is well formed
	for _, n := range names {
		v, ok := strings.CutSuffix(strings.TrimPrefix(filepath.Base(n), "boto3-"), ".dist-info")
		if v, _, _ = strings.Cut(v, ".egg-info"); ok || v != "" {
			return v
		}
	}
	return "unknown"
}

// storeSDK fills a new folder and puts it in the place of the old one.
func (c *Catalog) storeSDK(dir string, s SDK, fill func(tmp string) error) (SDK, error) {
	if _, err := c.folder("sdk"); err != nil {
		return SDK{}, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return SDK{}, fmt.Errorf("runtimes: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }() // gone when it was moved
	if err := fill(tmp); err != nil {
		return SDK{}, err
	}
	body, err := json.Marshal(SDK{Version: s.Version, Origin: s.Origin, Extra: s.Extra})
	if err == nil {
		err = errors.Join(os.WriteFile(filepath.Join(tmp, "sdk.json"), body, 0o644), os.Chmod(tmp, 0o755), replaceFolder(tmp, dir))
	}
	if err != nil {
		return SDK{}, fmt.Errorf("runtimes: %w", err)
	}
	return readSDK(dir)
}

// replaceFolder moves a folder into place. An older one is moved aside first and left for Sweep, since
// functions may be running on it.
func replaceFolder(from, to string) error {
	if err := os.Rename(to, to+".old-"+filepath.Base(from)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

// installNodeSDK installs @aws-sdk, and the second version beside it if asked.
func (c *Catalog) installNodeSDK(ctx context.Context, id Identifier, with []string) (SDK, error) {
	n, err := c.npm()
	if err != nil {
		return SDK{}, err
	}
	if old, err := readSDK(c.sdkFolder(id)); err == nil {
		with = append(with, old.Extra...) // an install never takes anything away
	}
	slices.Sort(with)
	s := SDK{Version: c.pinnedVersion(id), Origin: "bastide", Extra: slices.Compact(with)}
	return c.storeSDK(c.sdkFolder(id), s, func(tmp string) error {
		if err := n.installPinned(ctx, c.pinned("aws-sdk"), tmp); err != nil {
			return err
		}
		if slices.Contains(with, AWSSDKv2) {
			second := filepath.Join(tmp, "v2")
			if err := n.installPinned(ctx, c.pinned("aws-sdk-v2"), second); err != nil {
				return err
			}
			if err := nest(filepath.Join(second, "node_modules"), "aws-sdk", filepath.Join(tmp, "node_modules")); err != nil {
				return err
			}
			if err := os.RemoveAll(second); err != nil {
				return err
			}
		}
		return prune(tmp)
	})
}

// pinned is a folder of pins; tests have their own.
func (c *Catalog) pinned(name string) fs.FS {
	sub, err := fs.Sub(c.pins, "pins/"+name)
	if err != nil {
		return embed.FS{} // the names are constants
	}
	return sub
}

func (n *npm) installPinned(ctx context.Context, pin fs.FS, dir string) error {
	for _, name := range []string{"package.json", "package-lock.json"} {
		body, err := fs.ReadFile(pin, name)
		if err == nil {
			err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), body, 0o644))
		}
		if err != nil {
			return fmt.Errorf("runtimes: %w", err)
		}
	}
	return n.installLocked(ctx, dir)
}

// nest moves one package with everything that it needs into another node_modules, where its needs
// become its own.
func nest(from, name, to string) error {
	own := filepath.Join(to, name)
	if err := errors.Join(os.Rename(filepath.Join(from, name), own), os.MkdirAll(filepath.Join(own, "node_modules"), 0o755)); err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	others, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	for _, e := range others {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(own, "node_modules", e.Name())); err != nil {
			return fmt.Errorf("runtimes: %w", err)
		}
	}
	return nil
}

// prune removes what node never loads: type declarations, builds for bundlers and browsers. Of the
// third version's 82 MB, 15 stay.
func prune(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "dist-types" || d.Name() == "dist-es" || strings.HasSuffix(path, "node_modules/aws-sdk/dist")):
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			return fs.SkipDir // WalkDir knows it only as it is
		case !d.IsDir() && (strings.HasSuffix(d.Name(), ".d.ts") || strings.HasSuffix(d.Name(), ".map")):
			return os.Remove(path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	return nil
}
