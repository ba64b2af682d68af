package pack

import (
	"strings"
	"testing"
)

func TestImagesOfATemplate(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "image.tar", "an image")
	write(t, dir, "template.yaml", `Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    PackageType: Image
    ImageUri: image.tar
Resources:
  A:
    Type: AWS::Serverless::Function
  B:
    Type: AWS::Serverless::Function
    Properties: {ImageUri: "./image.tar"}
  C:
    Type: AWS::Lambda::Function
    Properties: {PackageType: Image, Code: {ImageUri: ./image.tar}}
  D:
    Type: AWS::Serverless::Function
    Properties: {ImageUri: registry.example/d:1}
  E:
    Type: AWS::Serverless::Function
    Properties: {ImageUri: !Sub "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/e:1"}
`)
	var loaded []string
	p, err := Make(Options{Path: dir, Bucket: "bkt", Image: func(id, file string) (string, error) {
		loaded = append(loaded, id)
		return "host.example/" + strings.ToLower(id) + "@sha256:00", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded) != 1 || len(p.Artifacts) != 0 {
		t.Errorf("loaded %v, artifacts %v", loaded, p.Artifacts)
	}
	if n := strings.Count(p.Template, `"host.example/a@sha256:00"`); n != 3 || strings.Contains(p.Template, "image.tar") || !strings.Contains(p.Template, "registry.example/d:1") || !strings.Contains(p.Template, "${AWS::AccountId}.dkr") {
		t.Errorf("%d places in\n%s", n, p.Template)
	}
	if len(p.Folders) != 1 {
		t.Errorf("watched: %v", p.Folders)
	}
}

func TestImagesThatDockerWouldMake(t *testing.T) {
	for what, c := range map[string]struct{ properties, words string }{
		"a Dockerfile":   {"Properties: {PackageType: Image}\n    Metadata: {Dockerfile: Dockerfile, DockerContext: .}", "built with Docker, which Bastide does without"},
		"sam build's":    {`Properties: {PackageType: Image, ImageUri: "hello:python3.12-v1"}`, "docker save hello:python3.12-v1 -o image.tar"},
		"a missing file": {"Properties: {PackageType: Image, ImageUri: ./none.tar}", "does not exist"},
	} {
		dir := t.TempDir()
		write(t, dir, "template.yaml", "Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    "+c.properties+"\n")
		_, err := Make(Options{Path: dir, Bucket: "bkt"})
		if err == nil || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), "F (line ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
