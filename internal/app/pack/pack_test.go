package pack

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

const yaml = `Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: python3.12
Resources:
  A:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: "src/a"   # quoted
      Handler: app.handler
  B:
    Type: AWS::Lambda::Function
    Properties: {Code: src/b, Handler: app.handler, Role: !GetAtt R.Arn, Runtime: nodejs20.x}
  C:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://there/already.zip
      Handler: app.handler
`

func TestTemplateKeepsItsLinesAndNamesTheBucket(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "template.yaml", yaml)
	write(t, dir, "src/a/app.py", "def handler(e, c): pass\n")
	write(t, dir, "src/a/__pycache__/app.pyc", "x")
	write(t, dir, "src/b/index.js", "exports.handler = () => {}\n")
	p, err := Make(Options{Path: dir, Bucket: "bkt"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(p.Template, "\n"), strings.Count(yaml, "\n"); got != want {
		t.Errorf("%d lines became %d", want, got)
	}
	if len(p.Artifacts) != 2 {
		t.Fatalf("%d artifacts, want 2", len(p.Artifacts))
	}
	for _, want := range []string{`CodeUri: "s3://bkt/` + p.Artifacts[0].Key + `"   # quoted`,
		`{Code: {"S3Bucket": "bkt", "S3Key": "` + p.Artifacts[1].Key + `"}, Handler`, "CodeUri: s3://there/already.zip"} {
		if !strings.Contains(p.Template, want) {
			t.Errorf("the template lacks %s:\n%s", want, p.Template)
		}
	}
	z, err := zip.NewReader(bytes.NewReader(p.Artifacts[0].Body), int64(len(p.Artifacts[0].Body)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 1 || z.File[0].Name != "app.py" {
		t.Errorf("the archive holds %v", z.File)
	}
	again, err := Make(Options{Path: dir, Bucket: "bkt"})
	if err != nil || again.Artifacts[0].Key != p.Artifacts[0].Key {
		t.Errorf("the same folder made another archive (%v)", err)
	}
}

func TestFaultsAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ file, content, want string }{
		"a folder that is not there":  {"src/b/index.js", "x", "A (line 9, column 16): "},
		"a node module not installed": {"src/a/requirements.txt", "requests==2.32\nboto3\n", "lacks requests; run pip install"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "template.yaml", yaml)
			write(t, dir, "src/b/index.js", "x")
			write(t, dir, c.file, c.content)
			_, err := Make(Options{Path: dir, Bucket: "bkt"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestALinkOutOfThePackageIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "template.yaml", yaml)
	write(t, dir, "src/a/app.py", "x")
	write(t, dir, "src/b/index.js", "x")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "src/a/passwd")); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(Options{Path: dir, Bucket: "bkt"}); err == nil || !strings.Contains(err.Error(), "outside the package") {
		t.Errorf("got %v", err)
	}
}

func FuzzSplice(f *testing.F) {
	f.Add("a: \"b\"\nc: d\n", 1, 4, "b")
	f.Add("a: 'it''s'\n", 1, 4, "it's")
	f.Fuzz(func(t *testing.T, src string, line, col int, value string) {
		if line < 0 || line > 1000 || col < 0 || col > 1000 {
			return
		}
		out, err := splice(src, []edit{{pos: pos(line, col), text: value, to: "X"}})
		if err == nil && strings.Count(out, "\n") > strings.Count(src, "\n") {
			t.Errorf("%q gained lines: %q", src, out)
		}
	})
}

func pos(line, col int) tree.Pos { return tree.Pos{Line: line, Column: col} }
