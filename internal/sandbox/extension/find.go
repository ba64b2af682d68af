package extension

import (
	"os"
	"path/filepath"
	"slices"
)

// Folder is where an environment has the programs of external extensions.
const Folder = "/opt/extensions"

// Find names the programs among layers, host folders that are merged at /opt, later ones over earlier
// ones: every entry of their folder extensions but folders, in the order of their names. Nothing is
// followed: a symbolic link of a package may lead anywhere.
func Find(layers []string) []string {
	program := map[string]bool{}
	for _, l := range layers {
		dir := filepath.Join(l, "extensions")
		if info, err := os.Lstat(l); err != nil || !info.IsDir() {
			continue // such as an image's /opt that leads elsewhere
		}
		if info, err := os.Lstat(dir); err != nil {
			continue // most layers have none
		} else if !info.IsDir() {
			clear(program) // it hides what lies below it
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // the kernel will say so inside too
		}
		for _, e := range entries {
			program[e.Name()] = !e.IsDir()
		}
	}
	var names []string
	for name, is := range program {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
