package runtimes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/sandbox/bootstrap"
)

// Custom is the family of provided.al2 and provided.al2023, whose programs bring their own runtime.
const Custom bootstrap.Family = "custom"

// Identifier is one of Lambda's runtime identifiers that Bastide runs.
type Identifier struct {
	Name    string           // "nodejs22.x"
	Family  bootstrap.Family // bootstrap.Node, bootstrap.Python or Custom
	Version string           // "22", "3.12"; empty for Custom
}

// identifiers are those that Bastide runs, newest first in each family (Lambda developer guide,
// "Lambda runtimes").
var identifiers = []Identifier{
	{"nodejs24.x", bootstrap.Node, "24"},
	{"nodejs22.x", bootstrap.Node, "22"},
	{"nodejs20.x", bootstrap.Node, "20"},
	{"nodejs18.x", bootstrap.Node, "18"},
	{"python3.14", bootstrap.Python, "3.14"},
	{"python3.13", bootstrap.Python, "3.13"},
	{"python3.12", bootstrap.Python, "3.12"},
	{"python3.11", bootstrap.Python, "3.11"},
	{"python3.10", bootstrap.Python, "3.10"},
	{"python3.9", bootstrap.Python, "3.9"},
	{"python3.8", bootstrap.Python, "3.8"},
	{"provided.al2023", Custom, ""},
	{"provided.al2", Custom, ""},
}

// Identifiers are the runtimes that Bastide runs.
func Identifiers() []Identifier { return slices.Clone(identifiers) }

// Lookup finds an identifier by its name.
func Lookup(name string) (Identifier, error) {
	for _, id := range identifiers {
		if id.Name == name {
			return id, nil
		}
	}
	var names []string
	for _, id := range identifiers {
		names = append(names, id.Name)
	}
	return Identifier{}, fmt.Errorf("runtimes: %.100q is no runtime that Bastide runs; it runs %s", name, strings.Join(names, ", "))
}

// matches tells whether an interpreter's full version ("22.23.3", "3.12.1") is the identifier's.
func (id Identifier) matches(version string) bool {
	return version == id.Version || strings.HasPrefix(version, id.Version+".")
}

// programs are the names that an interpreter of the family may have, most exact first.
func (id Identifier) programs() []string {
	if id.Family == bootstrap.Python {
		return []string{"python" + id.Version, "python3", "python"}
	}
	return []string{"node", "nodejs", "node" + id.Version}
}
