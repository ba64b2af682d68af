package sam

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// What AWS's own translator makes of each of our templates (testdata/regen.py wrote it down) is
// what we make of it: resource for resource, property for property, id for id. Only the hash in
// the id of a REST deployment is our own.
func TestSameAsTheTranslator(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("the corpus is missing: %d templates, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			want := read(t, filepath.Join("testdata", "expected", name+".json"))
			got, err := Transform(read(t, file), options(read(t, file)))
			if refused := want.Get("error"); refused != nil {
				for _, message := range refused.Items {
					// The translator lists Globals' properties in no order worth keeping.
					text, _, _ := strings.Cut(message.Text, " Must be one of the following values")
					if err == nil || !strings.Contains(err.Error(), text) {
						t.Errorf("the translator refuses with %q\nwe answer %v", message.Text, err)
					}
				}
				return
			}
			if err != nil {
				t.Fatalf("the translator accepts it, we refuse: %v", err)
			}
			got, want = normal(t, got), normal(t, want)
			if !tree.Equal(got, want) {
				t.Errorf("differs:\n%s", strings.Join(differences("", got, want), "\n"))
			}
			placed(t, "", got)
		})
	}
}

func read(t *testing.T, file string) *Node {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := tree.Parse(src)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return n
}

func options(root *Node) Options {
	o := Options{Partition: "aws", Parameters: map[string]*Node{"AWS::Region": tree.Str("eu-west-1"), "AWS::Partition": tree.Str("aws")}}
	for _, f := range root.Get("Parameters").Map() {
		if d := f.Value.Get("Default"); d != nil {
			o.Parameters[f.Key] = d
		}
	}
	return o
}

var deploymentHash = regexp.MustCompile(`(Deployment)[0-9a-f]{10}"|(RestApi deployment id: )[0-9a-f]{40}"`)

// The translator wraps a condition in Condition twice when it combines a function's condition with
// that of a destination, which CloudFormation cannot read; we wrap it once.
var twice = regexp.MustCompile(`{"Condition":{"Condition":("[^"]*")}}`)

// normal takes the hash of REST deployments out, and the translator's mistake.
func normal(t *testing.T, n *Node) *Node {
	t.Helper()
	text := deploymentHash.ReplaceAllString(n.JSON(""), `${1}${2}HASH"`)
	out, err := tree.Parse([]byte(twice.ReplaceAllString(text, `{"Condition":$1}`)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// placed checks that everything generated says where it comes from.
func placed(t *testing.T, path string, n *Node) {
	if n.Pos == (tree.Pos{}) {
		t.Errorf("%s stands nowhere", path)
		return
	}
	for i, it := range n.Items {
		placed(t, fmt.Sprintf("%s[%d]", path, i), it)
	}
	for _, f := range n.Fields {
		placed(t, path+"."+f.Key, f.Value)
	}
}

func differences(path string, got, want *Node) []string {
	if tree.Equal(got, want) {
		return nil
	}
	var out []string
	if got.Is(tree.Map) && want.Is(tree.Map) {
		for _, f := range want.Fields {
			if g := got.Get(f.Key); g != nil {
				out = append(out, differences(path+"/"+f.Key, g, f.Value)...)
			} else {
				out = append(out, path+"/"+f.Key+" is missing: "+f.Value.JSON(""))
			}
		}
		for _, f := range got.Fields {
			if !want.Has(f.Key) {
				out = append(out, path+"/"+f.Key+" is too much: "+f.Value.JSON(""))
			}
		}
		return out
	}
	if got.Is(tree.List) && want.Is(tree.List) && len(got.Items) == len(want.Items) {
		for i := range got.Items {
			out = append(out, differences(fmt.Sprintf("%s/%d", path, i), got.Items[i], want.Items[i])...)
		}
		return out
	}
	return []string{fmt.Sprintf("%s\n got  %s\n want %s", path, got.JSON(""), want.JSON(""))}
}
