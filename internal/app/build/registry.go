package build

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// source is a registry, an index or a host of the user's own configuration.
type source struct {
	url  *url.URL // without credentials
	auth string   // value of the Authorization header; may be empty
}

// sourceOf reads the URL of a registry; credentials in it become a header.
func sourceOf(text string) (source, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return source{}, errors.New("a registry of the npm or pip configuration is no http or https URL")
	}
	s := source{url: u}
	if u.User != nil {
		password, _ := u.User.Password()
		s.auth = basic(u.User.Username(), password)
		u.User = nil
	}
	return s, nil
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// inside is how the registry is addressed in the sandbox.
func (s source) inside() string {
	u := *s.url
	u.Scheme = "http"
	u.Host = s.host()
	return u.String()
}

// host is the registry's host, with a port where it is not the scheme's own.
func (s source) host() string { return bare(s.url.Scheme, s.url.Host) }

// bare leaves out the port that a scheme implies.
func bare(scheme, host string) string {
	if name, port, err := net.SplitHostPort(host); err == nil && port == map[string]string{"http": "80", "https": "443"}[scheme] {
		return name
	}
	return host
}

// env is a variable of the user's environment.
func (b *Builder) env(name string) string {
	for i := len(b.Environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(b.Environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// client finds a program of the user's on their PATH.
func (b *Builder) client(name string) string {
	for _, dir := range filepath.SplitList(b.env("PATH")) {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && filepath.IsAbs(p) && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// ask runs one of the user's programs, in a folder without any project's settings.
func (b *Builder) ask(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = b.dir, b.Environ
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", filepath.Base(program), strings.Join(args, " "), err)
	}
	return out, nil
}

// npmrc reads settings of npm's files, name=value with ${VARIABLE}; a file that is not there has none.
func (b *Builder) npmrc(path string) map[string]string {
	out := map[string]string{}
	body, err := os.ReadFile(path)
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && line[0] != '#' && line[0] != ';' {
			out[strings.TrimSpace(name)] = os.Expand(strings.Trim(strings.TrimSpace(value), `"'`), b.env)
		}
	}
	return out
}

// npmSources are the registries that the user's npm is configured with, by scope; "" is the one of
// every other package.
func (b *Builder) npmSources(ctx context.Context, npm string) (map[string]source, error) {
	raw, err := b.ask(ctx, npm, "config", "list", "--json")
	if err != nil {
		return nil, err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("npm config list: %w", err)
	}
	var files []map[string]string
	for _, name := range []string{"userconfig", "globalconfig"} {
		if path, ok := config[name].(string); ok {
			files = append(files, b.npmrc(path))
		}
	}
	out := map[string]source{}
	for name, v := range config {
		scope, ok := strings.CutSuffix(name, "registry")
		text, isText := v.(string)
		if !ok || !isText || scope != "" && (scope[0] != '@' || !strings.HasSuffix(scope, ":")) {
			continue
		}
		s, err := sourceOf(strings.TrimSuffix(text, "/") + "/")
		if err != nil {
			return nil, err
		}
		if s.auth == "" {
			s.auth = npmAuth(s.url, files)
		}
		out[scope] = s
	}
	return out, nil
}

// npmAuth finds the credentials of a registry: those of the longest path that leads to it.
func npmAuth(u *url.URL, files []map[string]string) string {
	for at := u.Path; ; at = at[:strings.LastIndexByte(strings.TrimSuffix(at, "/"), '/')+1] {
		for _, f := range files {
			key := "//" + u.Host + at
			if token := f[key+":_authToken"]; token != "" {
				return "Bearer " + token
			}
			if pair := f[key+":_auth"]; pair != "" {
				return "Basic " + pair
			}
			if password, err := base64.StdEncoding.DecodeString(f[key+":_password"]); err == nil && f[key+":username"] != "" {
				return basic(f[key+":username"], string(password))
			}
		}
		if at == "" || at == "/" {
			return ""
		}
	}
}

// roots are the certificates that the registries are checked with: the system's, and those that the
// user's npm and pip are given. Nil: the system's.
func (b *Builder) roots() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil
	}
	for _, name := range []string{"PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "npm_config_cafile"} {
		if path := b.env(name); path != "" {
			if pem, err := os.ReadFile(path); err == nil {
				pool.AppendCertsFromPEM(pem) // a file without any adds none
			}
		}
	}
	return pool
}
