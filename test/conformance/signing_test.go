package conformance

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/bastide-cloud/bastide/internal/app/client"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
	"github.com/bastide-cloud/bastide/test/harness"
)

// signing signs a package with the command, deploys it under a configuration that wants that, and
// revokes the profile.
func signing(t *testing.T, s *harness.Server, c *client.Client) {
	ctx, fn, roles := context.Background(), lambda.NewFromConfig(s.SDK(t)), iam.NewFromConfig(s.SDK(t))
	dir := t.TempDir()
	var plain bytes.Buffer
	z := zip.NewWriter(&plain)
	f, err := z.Create("bootstrap")
	must(t, err)
	_, err = f.Write([]byte("#!/bin/sh\n"))
	must(t, err)
	must(t, z.Close())
	must(t, os.WriteFile(filepath.Join(dir, "code.zip"), plain.Bytes(), 0o600))
	out, _, err := s.Bastide(t, "sign", filepath.Join(dir, "code.zip"), "--profile", "story", "--output", "json")
	must(t, err)
	var signed struct{ Archive, ProfileVersionArn, SigningJobArn string }
	must(t, json.Unmarshal([]byte(out), &signed))
	code, err := os.ReadFile(signed.Archive)
	must(t, err)

	role, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: new("story-signed"), AssumeRolePolicyDocument: new(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	must(t, err)
	conf, err := fn.CreateCodeSigningConfig(ctx, &lambda.CreateCodeSigningConfigInput{AllowedPublishers: &types.AllowedPublishers{SigningProfileVersionArns: []string{signed.ProfileVersionArn}},
		CodeSigningPolicies: &types.CodeSigningPolicies{UntrustedArtifactOnDeployment: types.CodeSigningPolicyEnforce}})
	must(t, err)
	in := &lambda.CreateFunctionInput{FunctionName: new("story-signed"), Role: role.Role.Arn, Runtime: types.RuntimeProvidedal2023, Handler: new("x"), CodeSigningConfigArn: conf.CodeSigningConfig.CodeSigningConfigArn, Code: &types.FunctionCode{ZipFile: plain.Bytes()}}
	if _, err = fn.CreateFunction(ctx, in); err == nil || !strings.Contains(err.Error(), "CodeVerificationFailedException") {
		t.Errorf("a package without a signature: %v", err)
	}
	in.Code.ZipFile = code
	made, err := fn.CreateFunction(ctx, in)
	must(t, err)
	if *made.SigningProfileVersionArn != signed.ProfileVersionArn || *made.SigningJobArn != signed.SigningJobArn {
		t.Errorf("signed by %s in %s", *made.SigningProfileVersionArn, *made.SigningJobArn)
	}

	type profile struct{ ProfileVersion, ProfileVersionArn string }
	var known struct{ Profiles []profile }
	must(t, c.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/signing-profiles", nil, &known))
	if len(known.Profiles) != 1 || known.Profiles[0].ProfileVersionArn != signed.ProfileVersionArn {
		t.Errorf("%d profiles", len(known.Profiles))
	}
	var one struct{ Profile profile }
	must(t, c.REST(ctx, "bastide", http.MethodGet, "/_bastide/v1/signing-profile?ProfileVersionArn="+url.QueryEscape(signed.ProfileVersionArn), nil, &one))
	_, _, err = s.Bastide(t, "sign", "revoke", "story", one.Profile.ProfileVersion, "--reason", "the story ends")
	must(t, err)
	out, _, err = s.Bastide(t, "sign", "profiles")
	must(t, err)
	if !strings.HasPrefix(out, "Revoked") || !strings.Contains(out, "the story ends") {
		t.Errorf("the profiles are %q", out)
	}
	again, _, err := s.Bastide(t, "sign", filepath.Join(dir, "code.zip"), "--profile", "story", "--output", "json")
	must(t, err)
	must(t, json.Unmarshal([]byte(again), &signed))
	code, err = os.ReadFile(signed.Archive)
	must(t, err)
	if _, err = fn.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: new("story-signed"), ZipFile: code}); err == nil || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("by a profile that was revoked: %v", err)
	}
	outdated(t, s, fn, *role.Role.Arn)
	_, err = fn.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: new("story-signed")})
	must(t, err)
	_, err = fn.DeleteCodeSigningConfig(ctx, &lambda.DeleteCodeSigningConfigInput{CodeSigningConfigArn: conf.CodeSigningConfig.CodeSigningConfigArn})
	must(t, err)
	_, err = roles.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: new("story-signed")})
	must(t, err)
}

// outdated asks the doctor which functions are on runtimes that get no more fixes.
func outdated(t *testing.T, s *harness.Server, fn *lambda.Client, role string) {
	ctx := context.Background()
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	_, err := z.Create("bootstrap")
	must(t, err)
	must(t, z.Close())
	made, err := fn.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: new("story-old"), Role: &role, Runtime: types.RuntimeProvidedal2, Handler: new("x"), Code: &types.FunctionCode{ZipFile: code.Bytes()}})
	must(t, err)
	out, _, err := s.Bastide(t, "doctor", "runtimes", "--output", "json")
	over := runtimes.SupportOf("provided.al2").Over(time.Now())
	if over != (err != nil) {
		t.Errorf("a function on provided.al2, which is outdated: %v; the doctor ends with %v", over, err)
	}
	type row struct {
		Runtime, State string
		Functions      []string
	}
	var rows []row
	must(t, json.Unmarshal([]byte(out), &rows))
	i := slices.IndexFunc(rows, func(r row) bool { return r.Runtime == "provided.al2" })
	if i < 0 || (rows[i].State == "outdated") != over || !slices.Contains(rows[i].Functions, *made.FunctionArn+":$LATEST") {
		t.Errorf("%+v", rows)
	}
	_, err = fn.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: new("story-old")})
	must(t, err)
}
