package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
)

// Install puts a runtime on this machine: the interpreter, if the machine has none of that version
// and a registry ships it, and the SDK. with names extras (AWSSDKv2). progress is told, in words,
// what is being done; it may be nil.
func (c *Catalog) Install(ctx context.Context, name string, with []string, progress func(string)) error {
	id, err := Lookup(name)
	if err != nil {
		return err
	}
	if progress == nil {
		progress = func(string) {}
	}
	return c.install(ctx, id, with, progress)
}

func (c *Catalog) install(ctx context.Context, id Identifier, with []string, progress func(string)) error {
	name := id.Name
	for _, w := range with {
		if w != AWSSDKv2 || id.Family != bootstrap.Node {
			return fmt.Errorf("runtimes: %.100q is nothing that goes with %s", w, name)
		}
	}
	if id.Family == Custom {
		progress(name + " needs nothing: its functions bring their own program")
		return nil
	}
	found, err := c.interpreter(ctx, id, progress)
	if err != nil {
		return err
	}
	defer c.lock("sdk " + c.sdkFolder(id))()
	defer c.forget()
	s, err := readSDK(c.sdkFolder(id))
	switch {
	case err == nil && s.Version == c.pinnedVersion(id) && containsAll(s.Extra, with):
		progress(name + ": the SDK is on this machine")
	case id.Family == bootstrap.Node:
		progress("installing @aws-sdk through npm")
		s, err = c.installNodeSDK(ctx, id, with)
	default:
		progress("installing boto3 through pip")
		s, err = c.installBoto3(ctx, id, found)
	}
	if err != nil {
		return err
	}
	progress(fmt.Sprintf("%s: SDK %s", name, strings.Join(append([]string{s.Version}, s.Extra...), ", ")))
	return c.wantSDK(name)
}

// interpreter is the machine's own, or one that is installed now where a registry ships it.
func (c *Catalog) interpreter(ctx context.Context, id Identifier, progress func(string)) (Found, error) {
	found, err := c.best(ctx, id)
	switch {
	case err == nil:
		progress(fmt.Sprintf("%s: %s is on this machine (%s)", id.Name, found.Version, found.Origin))
	case IsMissing(err) && id.Family == bootstrap.Node:
		return c.installNode(ctx, id, progress)
	}
	return found, err
}

// forget makes the next Resolve look again.
func (c *Catalog) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.resolved)
}

// installNode fetches node from its packages on the npm registry.
func (c *Catalog) installNode(ctx context.Context, id Identifier, progress func(string)) (Found, error) {
	defer c.lock("interpreter " + id.Name)()
	n, err := c.npm()
	if err != nil {
		return Found{}, err
	}
	arch, ok := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if !ok {
		return Found{}, fmt.Errorf("runtimes: the registry has no node for %s", runtime.GOARCH)
	}
	place, err := c.folder("interpreters")
	if err != nil {
		return Found{}, err
	}
	tmp, err := os.MkdirTemp(place, ".new-")
	if err != nil {
		return Found{}, fmt.Errorf("runtimes: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }() // what is left of it
	progress("fetching node " + id.Version + " through npm")
	archive, r, err := n.fetch(ctx, "node-linux-"+arch, id.Version, tmp)
	if err != nil {
		return Found{}, err
	}
	files := filepath.Join(tmp, "files")
	if err := unpackFile(archive, files, func(name string) bool { return name == "bin/node" || name == "LICENSE" }); err != nil {
		return Found{}, err
	}
	found, err := c.verify(ctx, id, Found{Runtime: id.Name, Path: filepath.Join(files, "bin/node"), Origin: "bastide"})
	if err != nil {
		return Found{}, fmt.Errorf("runtimes: what the registry has as node %s does not run here: %w", r.Version, err)
	}
	target := filepath.Join(place, id.Name+"-"+found.Version)
	if err := os.Rename(files, target); err != nil && !errors.Is(err, fs.ErrExist) {
		return Found{}, fmt.Errorf("runtimes: %w", err)
	}
	found.Path = filepath.Join(target, "bin/node")
	progress("node " + found.Version + " is installed")
	return found, nil
}

func unpackFile(archive, dir string, keep func(string) bool) error {
	f, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	defer f.Close()
	return unpack(f, dir, packageBounds, keep)
}

// installBoto3 installs the pinned boto3 for one version of python. All of it is pure python, so that
// any pip will do.
func (c *Catalog) installBoto3(ctx context.Context, id Identifier, found Found) (SDK, error) {
	pip, err := c.pip(ctx, found)
	if err != nil {
		return SDK{}, err
	}
	body, err := fs.ReadFile(c.pinned("boto3"), requirementsFor(id))
	if err != nil {
		return SDK{}, fmt.Errorf("runtimes: %w", err)
	}
	return c.storeSDK(c.sdkFolder(id), SDK{Version: c.pinnedVersion(id), Origin: "bastide"}, func(tmp string) error {
		list, target := filepath.Join(tmp, "requirements.txt"), filepath.Join(tmp, "python")
		if err := os.WriteFile(list, body, 0o644); err != nil {
			return err
		}
		args := slices.Concat(pip[1:], []string{"install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps",
			"--require-hashes", "--only-binary", ":all:", "--implementation", "py", "--abi", "none", "--platform", "any",
			"--python-version", id.Version, "--target", target, "-r", list})
		if _, err := c.command(ctx, tmp, pip[0], args...); err != nil {
			return err
		}
		_, err := c.run(ctx, compileTime, found.Path, "-I", "-S", "-m", "compileall", "-q", "-d", sdkTarget+"/python", target)
		return err
	})
}

// pip is the command of the interpreter's own pip, or of another on the user's PATH.
func (c *Catalog) pip(ctx context.Context, found Found) ([]string, error) {
	if _, err := c.run(ctx, probeTime, found.Path, "-m", "pip", "--version"); err == nil {
		return []string{found.Path, "-m", "pip"}, nil
	}
	for _, name := range []string{"pip3", "pip"} {
		if p := c.client(name); p != "" {
			return []string{p}, nil
		}
	}
	return nil, errors.New("runtimes: pip is not on this machine. To get it, run\n  apt-get install python3-pip")
}

// requirementsFor is the list of pins for a version of python.
func requirementsFor(id Identifier) string {
	switch id.Version {
	case "3.8", "3.9":
		return "python" + id.Version + ".txt"
	}
	return "python3.10.txt" // and later ones
}

// pinnedVersion is the version of the SDK that Install installs; empty if the pins do not say.
func (c *Catalog) pinnedVersion(id Identifier) string {
	if id.Family == bootstrap.Python {
		body, err := fs.ReadFile(c.pinned("boto3"), requirementsFor(id))
		if err != nil {
			return ""
		}
		_, rest, _ := strings.Cut(string(body), "boto3==")
		version, _, _ := strings.Cut(rest, " ")
		return version
	}
	var pin struct{ Dependencies map[string]string }
	body, err := fs.ReadFile(c.pinned("aws-sdk"), "package.json")
	if err != nil || json.Unmarshal(body, &pin) != nil {
		return ""
	}
	return pin.Dependencies["@aws-sdk/client-sts"]
}

func containsAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
}

// Status is what the machine has of one runtime.
type Status struct {
	Identifier
	Found []Found // best first
	SDK   SDK
	// WithoutSDK: functions run on it although it has no SDK, as InstallWithoutSDK recorded.
	WithoutSDK bool
}

// List tells what the machine has of every runtime.
func (c *Catalog) List(ctx context.Context) ([]Status, error) {
	found := c.Find(ctx)
	var out []Status
	for _, id := range identifiers {
		s := Status{Identifier: id}
		for _, f := range found {
			if f.Runtime == id.Name {
				s.Found = append(s.Found, f)
			}
		}
		if len(s.Found) > 0 {
			var err error
			if s.SDK, err = c.sdk(ctx, id, s.Found[0]); err != nil {
				return nil, err
			}
		}
		s.WithoutSDK = len(s.Found) > 0 && s.SDK.Dir == "" && c.withoutSDK(id.Name)
		out = append(out, s)
	}
	return out, nil
}

// Sweep removes what was replaced or left half done. Only whoever owns the directory, and before any
// function runs, may call it.
func (c *Catalog) Sweep() error {
	current := map[string]bool{}
	for _, id := range identifiers {
		if m, err := c.laid(id); err == nil {
			current[m.Folder], current[id.Name+".json"] = true, true
		}
	}
	var errs []error
	remove := func(dir string, gone func(name string) bool) {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			if gone(e.Name()) {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	half := func(name string) bool { return strings.HasPrefix(name, ".new-") || strings.Contains(name, ".old-") }
	remove(filepath.Join(c.dir, "images"), func(name string) bool { return !current[name] })
	remove(filepath.Join(c.dir, "sdk"), half)
	remove(filepath.Join(c.dir, "interpreters"), half)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	return nil
}
