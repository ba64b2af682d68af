package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/drivers"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
	"github.com/bastide-cloud/bastide/internal/store"
)

// catalog is the runtimes of this machine and of a data directory.
func catalog(data string) *runtimes.Catalog {
	return runtimes.New(runtimes.Config{Dir: filepath.Join(data, "runtimes"), Environ: os.Environ(), HTTP: &http.Client{Timeout: 10 * time.Minute}})
}

// known is what the catalog of a data directory knows. Where there is no such directory, what is laid for
// looking at a runtime is laid elsewhere, and removed.
func known(ctx context.Context, data string) (found []runtimes.Status, err error) {
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		if data, err = os.MkdirTemp("", "bastide-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	}
	return catalog(data).List(ctx)
}

// installCommand is what installs a runtime, and its SDK, for a data directory.
func installCommand(data, name string) string {
	if data == DefaultData() {
		return "bastide runtimes install " + name
	}
	return "bastide runtimes install " + name + " --data " + data
}

// runtimeRow is a runtime as `runtimes list` shows it; with Install, functions cannot run on it yet.
type runtimeRow struct {
	Runtime    string `json:"runtime"`
	Version    string `json:"version,omitempty"` // of the interpreter
	Origin     string `json:"origin,omitempty"`
	Path       string `json:"path,omitempty"`
	SDK        string `json:"sdk,omitempty"` // its version
	WithoutSDK bool   `json:"withoutSdk,omitempty"`
	Install    string `json:"install,omitempty"` // the command that gets what is missing
}

func rowOf(data string, s runtimes.Status) runtimeRow {
	r := runtimeRow{Runtime: s.Name, SDK: s.SDK.Version, WithoutSDK: s.WithoutSDK}
	if len(s.Found) > 0 {
		r.Version, r.Origin, r.Path = s.Found[0].Version, s.Found[0].Origin, s.Found[0].Path
	}
	if s.Family != runtimes.Custom && (r.Version == "" || r.SDK == "" && !r.WithoutSDK) {
		r.Install = installCommand(data, s.Name)
	}
	return r
}

// supply says what functions find of an SDK.
func (r runtimeRow) supply(t Terminal) string {
	switch {
	case r.Install != "":
		return t.paint(yellow, "no SDK; "+r.Install)
	case r.WithoutSDK:
		return t.paint(yellow, "without SDK")
	}
	return "SDK " + r.SDK
}

// RuntimesList prints what is installed or found.
func RuntimesList(ctx context.Context, data string, t Terminal) error {
	list, err := known(ctx, data)
	if err != nil {
		return err
	}
	var rows []runtimeRow
	for _, s := range list {
		rows = append(rows, rowOf(data, s))
	}
	if t.JSON {
		return t.Print(rows)
	}
	for i, r := range rows {
		detail := fmt.Sprintf("%-10s %-8s %s  %s", r.Version, r.Origin, r.Path, r.supply(t))
		switch {
		case list[i].Family == runtimes.Custom:
			detail = "needs no interpreter"
		case r.Version == "":
			detail = t.paint(faint, "missing; "+r.Install)
		}
		if err := t.Line("%-16s %s", r.Runtime, detail); err != nil {
			return err
		}
	}
	return nil
}

// RuntimeWants are what to install with a runtime.
type RuntimeWants struct {
	With       []string // extras
	WithoutSDK bool     // functions do without the SDK that Lambda supplies
}

// RuntimesInstall fetches interpreters and the SDKs that Lambda supplies with them.
func RuntimesInstall(ctx context.Context, data string, names []string, w RuntimeWants, t Terminal) error {
	if w.WithoutSDK && len(w.With) > 0 {
		return errors.New("--with goes with an SDK; leave out --without-sdk")
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	c := catalog(data)
	say := func(s string) { t.Progress("%s", plain(s)) }
	for _, name := range names {
		err, done := error(nil), "is installed"
		if w.WithoutSDK {
			err, done = c.InstallWithoutSDK(ctx, name, say), "is installed; functions on it do without the SDK that Lambda supplies where it has none"
		} else {
			err = c.Install(ctx, name, w.With, say)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := t.Line("%s %s", name, done); err != nil {
			return err
		}
	}
	return nil
}

// Restore makes a data directory from a backup. The root key is not in it: the file root.key, or
// BASTIDE_ROOT_KEY, must be that of the server that was backed up.
func Restore(ctx context.Context, data, file string, t Terminal) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := store.Restore(ctx, data, f); err != nil {
		return err
	}
	if have, err := exists(filepath.Join(data, rootKeyFile)); err != nil {
		return err
	} else if !have && os.Getenv("BASTIDE_ROOT_KEY") == "" {
		t.Progress("put the root key of the server that was backed up at %s before starting", filepath.Join(data, rootKeyFile))
	}
	return t.Line("restored to %s", data)
}

// Doctor prints which isolation layers this machine gives, and which runtimes do without what Lambda
// supplies; a layer that is missing ends the process with status 1.
func Doctor(ctx context.Context, data string, t Terminal) error {
	layers := sandbox.Doctor(sandbox.Config{})
	unsupplied, err := doWithout(ctx, data)
	if err != nil {
		return err
	}
	layers = append(append(layers, drivers.Doctor(ctx, drivers.Config{})...), unsupplied...)
	missing := false
	for _, l := range layers {
		missing = missing || l.State == sandbox.Missing
	}
	if t.JSON {
		type row struct {
			Name   string        `json:"name"`
			State  sandbox.State `json:"state"`
			Detail string        `json:"detail"`
			Fix    string        `json:"fix,omitempty"`
		}
		var rows []row
		for _, l := range layers {
			rows = append(rows, row(l))
		}
		if err := t.Print(rows); err != nil {
			return err
		}
	} else if err := printLayers(t, layers); err != nil {
		return err
	}
	if missing {
		return ExitError{Code: 1}
	}
	return nil
}

// doWithout is one more line for the doctor where runtimes were installed without their SDK.
func doWithout(ctx context.Context, data string) ([]sandbox.Layer, error) {
	names, err := catalog(data).Unsupplied(ctx)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return []sandbox.Layer{{Name: "runtimes", State: sandbox.Weaker, Fix: installCommand(data, strings.Join(names, " ")),
		Detail: "installed without the SDK that Lambda supplies: " + strings.Join(names, ", ")}}, nil
}

func printLayers(t Terminal, layers []sandbox.Layer) error {
	colours := map[sandbox.State]string{sandbox.Full: green, sandbox.Weaker: yellow, sandbox.Missing: red, sandbox.Absent: faint}
	for _, l := range layers {
		if err := t.Line("%s %-12s %s", t.paint(colours[l.State], fmt.Sprintf("%-8s", l.State)), l.Name, l.Detail); err != nil {
			return err
		}
		for line := range strings.Lines(l.Fix) {
			if err := t.Line("           %s", strings.TrimRight(line, "\n")); err != nil {
				return err
			}
		}
	}
	return nil
}

// weaker are the layers that this machine gives less of than it could.
func weaker(layers []sandbox.Layer) (names []string) {
	for _, l := range layers {
		if l.State != sandbox.Full {
			names = append(names, l.Name)
		}
	}
	return names
}
