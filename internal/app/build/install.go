package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
)

// npm installs with the machine's npm, from its registries. What a project's own .npmrc names beside
// them has to be allowed by name: a cloned project must not choose where a build connects.
func (b *Builder) npm(ctx context.Context, folder string) (installer, error) {
	in := installer{words: "npm install", faults: []string{"npm error", "npm ERR!"}}
	npm := b.client("npm")
	if npm == "" {
		return in, errors.New("npm is not on this machine; install it, or install the packages yourself and deploy without --build")
	}
	sources, err := b.npmSources(ctx, npm)
	if err != nil {
		return in, err
	}
	for name, text := range b.npmrc(filepath.Join(folder, ".npmrc")) {
		scope, ok := strings.CutSuffix(name, "registry")
		if !ok || scope != "" && scope[0] != '@' {
			continue
		}
		s, err := sourceOf(strings.TrimSuffix(text, "/") + "/")
		if err != nil {
			return in, err
		}
		if have, ok := sources[scope]; ok && have.inside() == s.inside() {
			continue
		}
		if !slices.Contains(b.Hosts, s.host()) {
			return in, fmt.Errorf("%s names the registry %s, which your own npm configuration does not; allow it with --build-host %s",
				filepath.Join(folder, ".npmrc"), s.url.Redacted(), s.host())
		}
		sources[scope] = s
	}
	var rc strings.Builder
	for _, scope := range slices.Sorted(maps.Keys(sources)) {
		fmt.Fprintf(&rc, "%sregistry=%s\n", scope, sources[scope].inside())
		in.registry = append(in.registry, sources[scope])
	}
	fmt.Fprintf(&rc, "proxy=http://%s\nhttps-proxy=http://%s\ncache=/tmp/cache\nfetch-retry-mintimeout=1000\nfetch-retry-maxtimeout=5000\naudit=false\nfund=false\nupdate-notifier=false\n", proxy, proxy)
	in.files = map[string]sandbox.File{"/etc/npmrc": {Content: rc.String()}, "/etc/npmrc-global": {}}
	in.env = []string{"npm_config_userconfig=/etc/npmrc", "npm_config_globalconfig=/etc/npmrc-global"}

	program, err := b.npmProgram(ctx, npm)
	if err != nil {
		return in, err
	}
	// Debian keeps npm's own packages beside it, where only NODE_PATH leads.
	home, entry := filepath.Dir(filepath.Dir(program)), "/var/npm/bin/npm-cli.js"
	if shared := filepath.Dir(home); filepath.Base(shared) == "nodejs" {
		home, entry = shared, "/var/npm/npm/bin/npm-cli.js"
		in.env = append(in.env, "NODE_PATH=/var/npm")
	}
	in.binds = []sandbox.Bind{{Source: home, Target: "/var/npm"}}
	in.command = "node " + entry + " install --no-package-lock --omit=dev --loglevel=error"
	for _, lock := range []string{"package-lock.json", "npm-shrinkwrap.json"} {
		if _, err := os.Stat(filepath.Join(folder, lock)); err == nil {
			in.locks = append(in.locks, lock)
			in.words, in.command = "npm ci", "node "+entry+" ci --omit=dev --loglevel=error"
		}
	}
	return in, nil
}

// npmProgram is npm's own script, whatever starts it.
func (b *Builder) npmProgram(ctx context.Context, npm string) (string, error) {
	if real, err := filepath.EvalSymlinks(npm); err == nil && filepath.Base(real) == "npm-cli.js" {
		return real, nil
	}
	out, err := b.ask(ctx, npm, "root", "-g")
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(filepath.Join(strings.TrimSpace(string(out)), "npm", "bin", "npm-cli.js"))
}

var pipPlace = regexp.MustCompile(`(?m)^pip \S+ from (/.*/pip) \(python`)

// pip installs with the pip of the interpreter, or another of the machine's, into the folder itself.
func (b *Builder) pip(ctx context.Context, rt *runtimes.Runtime) (installer, error) {
	in := installer{words: "pip install", faults: []string{"ERROR:", "error:"}}
	command, place, err := b.pipProgram(ctx, rt.Name)
	if err != nil {
		return in, err
	}
	config, err := b.ask(ctx, command[0], append(command[1:], "config", "list")...)
	if err != nil {
		return in, err
	}
	in.binds = []sandbox.Bind{{Source: place, Target: "/var/pip/pip"}}
	settings := pipSettings(string(config))
	index := "https://pypi.org/simple"
	if text := settings["index-url"]; len(text) > 0 {
		index = text[0]
	}
	s, err := sourceOf(index)
	if err != nil {
		return in, err
	}
	in.registry = append(in.registry, s)
	in.env = []string{"PYTHONPATH=/var/pip", "PIP_CONFIG_FILE=/dev/null", "PIP_NO_CACHE_DIR=1", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1",
		"PIP_NO_COMPILE=1", "PIP_ROOT_USER_ACTION=ignore", "PIP_PROXY=http://" + proxy, "PIP_INDEX_URL=" + s.inside()}
	trusted := []string{s.url.Hostname()}
	var more []string
	for _, text := range settings["extra-index-url"] {
		s, err := sourceOf(text)
		if err != nil {
			return in, err
		}
		in.registry, more, trusted = append(in.registry, s), append(more, s.inside()), append(trusted, s.url.Hostname())
	}
	var links []string
	for _, text := range settings["find-links"] {
		if st, err := os.Stat(text); err == nil && st.IsDir() && filepath.IsAbs(text) {
			at := "/var/wheels/" + strconv.Itoa(len(in.binds))
			in.binds, links = append(in.binds, sandbox.Bind{Source: text, Target: at}), append(links, at)
		} else if s, err := sourceOf(text); err == nil {
			in.registry, links, trusted = append(in.registry, s), append(links, s.inside()), append(trusted, s.url.Hostname())
		}
	}
	in.env = append(in.env, "PIP_EXTRA_INDEX_URL="+strings.Join(more, " "), "PIP_FIND_LINKS="+strings.Join(links, " "), "PIP_TRUSTED_HOST="+strings.Join(trusted, " "))
	in.command = "python" + rt.Version + " -m pip install --quiet --target . -r requirements.txt"
	return in, nil
}

// pipProgram is the command of the interpreter's own pip or of another on the PATH, and where its
// package is.
func (b *Builder) pipProgram(ctx context.Context, runtime string) (command []string, place string, err error) {
	var tries [][]string
	for _, f := range b.Catalog.Find(ctx) {
		if f.Runtime == runtime {
			tries = append(tries, []string{f.Path, "-m", "pip"})
		}
	}
	for _, name := range []string{"pip3", "pip"} {
		if p := b.client(name); p != "" {
			tries = append(tries, []string{p})
		}
	}
	for _, try := range tries {
		out, err := b.ask(ctx, try[0], append(try[1:], "--version")...)
		if m := pipPlace.FindSubmatch(out); err == nil && m != nil {
			return try, string(m[1]), nil
		}
	}
	return nil, "", errors.New("pip is not on this machine; install it (apt-get install python3-pip), or install the packages yourself and deploy without --build")
}

// pipSettings reads what `pip config list` prints, section.name='value': those of every command,
// then install's, then the environment's, each over the one before.
func pipSettings(text string) map[string][]string {
	out := map[string][]string{}
	for _, level := range []string{"global.", "install.", ":env:."} {
		for line := range strings.Lines(text) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			name, is := strings.CutPrefix(name, level)
			if !ok || !is {
				continue
			}
			value = strings.ReplaceAll(strings.Trim(value, `'"`), `\n`, " ")
			out[name] = strings.Fields(value)
		}
	}
	return out
}
