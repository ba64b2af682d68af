package pack

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// complete wants everything in a folder that its own manifest says it depends on, apart from what
// the runtime supplies: a function that cannot load is found before it is deployed.
func (o Options) complete(dir, runtime string) error {
	var missing []string
	var err error
	how := ""
	switch {
	case strings.HasPrefix(runtime, "nodejs"):
		how = "npm install"
		missing, err = o.missingNode(dir, runtime)
	case strings.HasPrefix(runtime, "python"):
		how = "pip install -r requirements.txt -t ."
		missing, err = missingPython(dir)
	}
	if err != nil || len(missing) == 0 {
		return err
	}
	return fmt.Errorf("%s lacks %s; run %s there, or deploy with --build%s", dir, strings.Join(missing, ", "), how, o.second(missing, runtime))
}

func (o Options) missingNode(dir, runtime string) ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var manifest struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "package.json"), err)
	}
	var missing []string
	for name := range manifest.Dependencies {
		if strings.HasPrefix(name, "@aws-sdk/") || strings.HasPrefix(name, "@smithy/") || o.supplied(runtime, name) {
			continue // the runtime supplies it
		}
		if _, err := os.Stat(filepath.Join(dir, "node_modules", filepath.FromSlash(name))); err != nil {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing, nil
}

var requirement = regexp.MustCompile(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)`)

func missingPython(dir string) ([]string, error) {
	f, err := os.Open(filepath.Join(dir, "requirements.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	have, err := distributions(dir)
	if err != nil {
		return nil, err
	}
	var missing []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		m := requirement.FindStringSubmatch(line)
		if m == nil || strings.Contains(line, ";") { // a condition of the platform: only pip can tell
			continue
		}
		if name := distribution(m[1]); !have[name] {
			missing = append(missing, m[1])
		}
	}
	return missing, lines.Err()
}

// distributions are the packages installed in a folder, and those that the runtime supplies.
func distributions(dir string) (map[string]bool, error) {
	have := map[string]bool{"boto3": true, "botocore": true, "s3transfer": true, "jmespath": true, "python-dateutil": true, "six": true, "urllib3": true}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".dist-info"); ok {
			name, _, _ = strings.Cut(name, "-")
			have[distribution(name)] = true
		}
	}
	return have, err
}

// distribution is a package's name in its one spelling (PEP 503).
func distribution(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
}
