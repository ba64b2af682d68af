package runtimes

import (
	"bytes"
	"context"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// npm gets packages from the npm registry: through the npm program, which knows the user's registry
// and credentials, or over HTTP where there is no such program.
type npm struct {
	c       *Catalog
	program string // empty: over HTTP
}

const maxPackument = 64 << 20

func (c *Catalog) npm() (*npm, error) {
	if p := c.client("npm"); p != "" {
		return &npm{c, p}, nil
	}
	n := &npm{c: c}
	if c.http == nil || n.registry() == "" {
		return nil, errors.New("runtimes: npm is not on this machine. Install it, or name a registry in npm_config_registry or ~/.npmrc")
	}
	return n, nil
}

// client finds a program of the user's on their PATH.
func (c *Catalog) client(name string) string {
	for _, dir := range filepath.SplitList(c.env("PATH")) {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && filepath.IsAbs(p) && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// command runs one of the user's clients with the user's environment. Its words are part of the
// error; registries' clients do not print credentials.
func (c *Catalog) command(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = c.environ
	out, errs := &limited{max: 32 << 20}, &limited{max: 8 << 10}
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("runtimes: %s %s: %w: %s", filepath.Base(program), args[0], err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}

// release is one version of a package.
type release struct {
	Version   string
	Integrity string // "sha512-" and base64
	Tarball   string // where it is; for HTTP
}

// fetch downloads the newest version of a package within a major version into dir and returns the
// archive, its bytes verified.
func (n *npm) fetch(ctx context.Context, name, major, dir string) (file string, r release, err error) {
	if n.program == "" {
		return n.fetchHTTP(ctx, name, major, dir)
	}
	out, err := n.c.command(ctx, dir, n.program, "pack", name+"@"+major, "--json", "--pack-destination", dir)
	if err != nil {
		return "", r, err
	}
	var packed []struct{ Version, Filename string }
	if err := json.Unmarshal(out, &packed); err != nil || len(packed) != 1 || !filepath.IsLocal(packed[0].Filename) {
		return "", r, fmt.Errorf("runtimes: npm pack answered something else: %w", err)
	}
	r.Version = packed[0].Version
	// npm has checked the archive; that the registry names the same digest is checked once more here.
	out, err = n.c.command(ctx, dir, n.program, "view", name+"@"+r.Version, "dist.integrity", "--json")
	if err != nil {
		return "", r, err
	}
	if err := json.Unmarshal(out, &r.Integrity); err != nil {
		return "", r, fmt.Errorf("runtimes: npm view answered something else: %w", err)
	}
	file = filepath.Join(dir, packed[0].Filename)
	body, err := os.ReadFile(file)
	if err != nil {
		return "", r, fmt.Errorf("runtimes: %w", err)
	}
	return file, r, verifyIntegrity(body, r.Integrity)
}

func (n *npm) fetchHTTP(ctx context.Context, name, major, dir string) (file string, r release, err error) {
	body, err := n.get(ctx, n.registry()+strings.ReplaceAll(name, "/", "%2f"), maxPackument)
	if err != nil {
		return "", r, err
	}
	if r, err = newest(body, major); err != nil {
		return "", r, fmt.Errorf("runtimes: %s: %w", name, err)
	}
	file = filepath.Join(dir, path.Base(name)+"-"+major+".tgz")
	return file, r, n.download(ctx, r, file)
}

// newest picks the highest release of a major version out of a packument.
func newest(packument []byte, major string) (release, error) {
	var doc struct {
		Versions map[string]struct {
			Dist struct{ Integrity, Tarball string }
		}
	}
	if err := json.Unmarshal(packument, &doc); err != nil {
		return release{}, err
	}
	var best release
	for v, d := range doc.Versions {
		if strings.HasPrefix(v, major+".") && !strings.ContainsAny(v, "-+") &&
			(best.Version == "" || compareVersions(v, best.Version) > 0) {
			best = release{v, d.Dist.Integrity, d.Dist.Tarball}
		}
	}
	if best.Version == "" {
		return best, fmt.Errorf("the registry has no version %s", major)
	}
	return best, nil
}

// download fetches one archive and verifies it.
func (n *npm) download(ctx context.Context, r release, file string) error {
	body, err := n.get(ctx, r.Tarball, packageBounds.bytes)
	if err != nil {
		return err
	}
	if err := verifyIntegrity(body, r.Integrity); err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o600)
}

// get fetches a URL of the registry; credentials go to the registry's own host only.
func (n *npm) get(ctx context.Context, address string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("runtimes: %w", err)
	}
	req.Header.Set("Accept", "application/vnd.npm.install-v1+json, application/json;q=0.8, */*;q=0.5")
	if registry, err := url.Parse(n.registry()); err == nil && registry.Host == req.URL.Host && registry.Scheme == req.URL.Scheme {
		if token := n.setting("//" + registry.Host + registry.Path + ":_authToken"); token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	resp, err := n.c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("runtimes: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("runtimes: the registry answered %s for %s", resp.Status, req.URL.Path)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("runtimes: %s: %w", req.URL.Path, err)
	}
	return body, nil
}

// registry is the user's registry, with a slash at its end; empty if none is named.
func (n *npm) registry() string {
	for _, name := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		if v := n.c.env(name); v != "" {
			return strings.TrimSuffix(v, "/") + "/"
		}
	}
	if v := n.setting("registry"); v != "" {
		return strings.TrimSuffix(v, "/") + "/"
	}
	return ""
}

// setting reads ~/.npmrc (docs.npmjs.com, "npmrc"): name=value, with ${VARIABLE}.
func (n *npm) setting(name string) string {
	body, err := os.ReadFile(filepath.Join(n.c.env("HOME"), ".npmrc"))
	if err != nil {
		return "" // most people have none
	}
	for line := range strings.Lines(string(body)) {
		key, value, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(key) == name {
			return os.Expand(strings.Trim(strings.TrimSpace(value), `"`), n.c.env)
		}
	}
	return ""
}

var errIntegrity = errors.New("runtimes: the bytes are not what the registry names: the digest differs")

// verifyIntegrity checks bytes against a Subresource Integrity value; only sha512 counts.
func verifyIntegrity(body []byte, integrity string) error {
	i := slices.IndexFunc(strings.Fields(integrity), func(s string) bool { return strings.HasPrefix(s, "sha512-") })
	if i < 0 {
		return fmt.Errorf("%w: there is no sha512 digest in %.100q", errIntegrity, integrity)
	}
	want, err := base64.StdEncoding.DecodeString(strings.Fields(integrity)[i][len("sha512-"):])
	got := sha512.Sum512(body)
	if err != nil || subtle.ConstantTimeCompare(want, got[:]) != 1 {
		return errIntegrity
	}
	return nil
}

// locked is a package-lock.json, version 3.
type locked struct {
	Packages map[string]struct {
		Version   string
		Integrity string
		Dev       bool
		Optional  bool
	}
}

// installLocked makes dir/node_modules exactly what the lock file in dir says.
func (n *npm) installLocked(ctx context.Context, dir string) error {
	if n.program != "" {
		_, err := n.c.command(ctx, dir, n.program, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error")
		return err
	}
	body, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	var lock locked
	if err := json.Unmarshal(body, &lock); err != nil {
		return fmt.Errorf("runtimes: package-lock.json: %w", err)
	}
	for at, p := range lock.Packages {
		if at == "" || p.Dev || p.Optional {
			continue
		}
		name := at[strings.LastIndex(at, "node_modules/")+len("node_modules/"):]
		r := release{p.Version, p.Integrity, n.registry() + name + "/-/" + path.Base(name) + "-" + p.Version + ".tgz"}
		archive, err := n.get(ctx, r.Tarball, packageBounds.bytes)
		if err == nil {
			err = verifyIntegrity(archive, r.Integrity)
		}
		if err != nil {
			return fmt.Errorf("%s@%s: %w", name, p.Version, err)
		}
		if err := unpack(bytes.NewReader(archive), filepath.Join(dir, at), packageBounds, everything); err != nil {
			return fmt.Errorf("%s@%s: %w", name, p.Version, err)
		}
	}
	return nil
}

func everything(string) bool { return true }
