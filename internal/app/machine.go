package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/sandbox"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
	"github.com/bastide-cloud/bastide/internal/store"
)

// catalog is the runtimes of this machine and of a data directory.
func catalog(data string) *runtimes.Catalog {
	return runtimes.New(runtimes.Config{Dir: filepath.Join(data, "runtimes"), Environ: os.Environ(), HTTP: &http.Client{Timeout: 10 * time.Minute}})
}

// RuntimesList prints what is installed or found.
func RuntimesList(ctx context.Context, data string, t Terminal) error {
	list, err := catalog(data).List(ctx)
	if err != nil {
		return err
	}
	type row struct {
		Runtime string `json:"runtime"`
		Version string `json:"version,omitempty"`
		Origin  string `json:"origin,omitempty"`
		Path    string `json:"path,omitempty"`
		Install string `json:"install,omitempty"`
	}
	var rows []row
	for _, s := range list {
		r := row{Runtime: s.Name}
		switch {
		case len(s.Found) > 0:
			r.Version, r.Origin, r.Path = s.Found[0].Version, s.Found[0].Origin, s.Found[0].Path
		case s.Family != runtimes.Custom:
			r.Install = "bastide runtimes install " + s.Name
		}
		rows = append(rows, r)
	}
	if t.JSON {
		return t.Print(rows)
	}
	for _, r := range rows {
		detail := fmt.Sprintf("%-10s %-8s %s", r.Version, r.Origin, r.Path)
		switch {
		case r.Install != "":
			detail = t.paint(faint, "missing; "+r.Install)
		case r.Version == "":
			detail = "needs no interpreter"
		}
		if err := t.Line("%-16s %s", r.Runtime, detail); err != nil {
			return err
		}
	}
	return nil
}

// RuntimesInstall fetches interpreters and the SDKs that Lambda supplies with them.
func RuntimesInstall(ctx context.Context, data string, names, with []string, t Terminal) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	c := catalog(data)
	for _, name := range names {
		if err := c.Install(ctx, name, with, func(s string) { t.Progress("%s", plain(s)) }); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := t.Line("%s is installed", name); err != nil {
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

// Doctor prints which isolation layers this machine gives; one that is missing ends the process
// with status 1.
func Doctor(ctx context.Context, _ string, t Terminal) error {
	layers := sandbox.Doctor(sandbox.Config{})
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

func printLayers(t Terminal, layers []sandbox.Layer) error {
	colours := map[sandbox.State]string{sandbox.Full: green, sandbox.Weaker: yellow, sandbox.Missing: red}
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
