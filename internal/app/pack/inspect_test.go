package pack

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestInspect reads runtimes and issuers, through parameters and globals.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	const src = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Issuer: {Type: String, Default: "http://127.0.0.1:9099"}
  Node: {Type: String, Default: nodejs20.x}
Globals:
  Function: {Runtime: python3.12}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth: {Authorizers: {A: {JwtConfiguration: {issuer: !Ref Issuer, audience: [x]}}}}
  Authorizer:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties: {JwtConfiguration: {Issuer: "https://id.example.com"}}
  One:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, CodeUri: .}
  Two:
    Type: AWS::Lambda::Function
    Properties: {Runtime: !Ref Node, Handler: a.b}
  Image:
    Type: AWS::Lambda::Function
    Properties: {PackageType: Image, Runtime: nodejs18.x}
`
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		parameters map[string]string
		node, id   string
	}{{nil, "nodejs20.x", "http://127.0.0.1:9099"}, {map[string]string{"Node": "nodejs22.x", "Issuer": "https://a.example"}, "nodejs22.x", "https://a.example"}} {
		got, err := Inspect(Options{Path: dir, Parameters: c.parameters})
		if err != nil {
			t.Fatal(err)
		}
		want := &Facts{File: filepath.Join(dir, "template.yaml"), Issuers: []string{c.id, "https://id.example.com"}, Runtimes: map[string][]string{
			"python3.12": {"One (template.yaml, line 17, column 11)"}, c.node: {"Two (template.yaml, line 20, column 11)"}}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
