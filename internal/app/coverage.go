package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Coverage writes docs/coverage.md: what is served and what is not, from the services' own tables.
func Coverage(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "bastide-coverage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := Open(ctx, Config{Data: dir, Listen: "127.0.0.1:0", Account: DefaultAccount, Region: DefaultRegion}, "", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer s.Close()
	units := slices.Clone(s.rooms.units)
	units = joined(units)
	slices.SortFunc(units, func(a, b gate.Unit) int { return strings.Compare(a.Model.ID, b.Model.ID) })
	var b strings.Builder
	b.WriteString("# Coverage\n\nGenerated from the services' tables by `make coverage`; not written by hand. Every other operation\nof AWS's models answers `NotImplemented`.\n\n| service | served | not built |\n|---|---|---|\n")
	for _, u := range units {
		fmt.Fprintf(&b, "| [%s](#%s) | %d | %d |\n", u.Model.ID, u.Model.ID, len(u.Ops), len(u.Model.Unserved))
	}
	for _, u := range units {
		fmt.Fprintf(&b, "\n## %s\n\nServed: %s.\n", u.Model.ID, names(u.Ops, func(o gate.Op) string { return o.Wire.Name }))
		if len(u.Model.Unserved) > 0 {
			fmt.Fprintf(&b, "\nNot built: %s.\n", names(u.Model.Unserved, func(n wire.Unserved) string { return n.Name }))
		}
	}
	b.WriteString("\n## CloudFormation resource types\n\n")
	for _, r := range s.rooms.resources {
		fmt.Fprintf(&b, "- `%s`: %s\n", r.Type, strings.Join(properties(r), ", "))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// properties are those of a type, each with the values that it cannot have.
func properties(r gate.Resource) []string {
	out := slices.Clone(r.Properties)
	for i, p := range out {
		if unbuilt := slices.Sorted(maps.Keys(r.Unbuilt[p])); len(unbuilt) > 0 {
			out[i] += " (not " + strings.Join(unbuilt, ", ") + ")"
		}
	}
	return out
}

func names[T any](list []T, name func(T) string) string {
	var out []string
	for _, v := range list {
		out = append(out, name(v))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// joined are the tables by service, of which one may have two.
func joined(units []gate.Unit) (out []gate.Unit) {
	for _, u := range units {
		if n := slices.IndexFunc(out, func(o gate.Unit) bool { return o.Model.ID == u.Model.ID }); n >= 0 {
			out[n].Ops = append(slices.Clone(out[n].Ops), u.Ops...)
			continue
		}
		out = append(out, u)
	}
	return out
}
