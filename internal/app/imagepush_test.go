package app

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
)

// someImage is an image of one file for this machine.
func someImage(t *testing.T, body string) v1.Image {
	t.Helper()
	archive := sandboxtest.Layer(t, sandboxtest.Entry{Name: "entry", Body: body, Mode: 0o755})
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Config = "linux", runtime.GOARCH, v1.Config{Entrypoint: []string{"/entry"}}
	if img, err = mutate.ConfigFile(img, c); err != nil {
		t.Fatal(err)
	}
	return img
}

type createdImage struct {
	CodeSha256, PackageType string
}

// createImage makes a function of an image.
func createImage(t *testing.T, r *Remote, function, uri string) (out createdImage, err error) {
	t.Helper()
	err = r.REST(t.Context(), "lambda", http.MethodPost, "/2015-03-31/functions", map[string]any{"FunctionName": function, "PackageType": "Image",
		"Role": "arn:aws:iam::" + DefaultAccount + ":role/worker", "Code": map[string]string{"ImageUri": uri}}, &out)
	return out, err
}

func worker(t *testing.T, r *Remote) {
	t.Helper()
	in := map[string][]string{"RoleName": {"worker"}, "AssumeRolePolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}}
	if err := r.Query(t.Context(), "iam", "2010-05-08", "CreateRole", in, nil); err != nil {
		t.Fatal(err)
	}
}

// TestPushedImages: what bastide image push stores is what a function gets by name, and by nothing else.
func TestPushedImages(t *testing.T) {
	cfg := config(t.TempDir())
	start(t, cfg)
	r, out := command(t, cfg.Data)
	worker(t, r)
	file := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("example.com/x:1")
	if err != nil {
		t.Fatal(err)
	}
	img := someImage(t, "v1")
	if err := tarball.WriteToFile(file, tag, img); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.PushImage(t.Context(), file, "team/app:1"); err != nil {
		t.Fatal(err)
	}
	uri := DefaultAccount + ".dkr.ecr.eu-west-1.amazonaws.com/team/app"
	if !strings.Contains(out.String(), uri+":1 is "+digest.String()) {
		t.Errorf("push says %q", out)
	}
	for _, ref := range []string{uri + ":1", uri + "@" + digest.String()} {
		got, err := createImage(t, r, "f"+digest.Hex[:4]+strings.NewReplacer(":", "", "@", "").Replace(ref[len(uri):len(uri)+2]), ref)
		if err != nil || "sha256:"+got.CodeSha256 != digest.String() || got.PackageType != "Image" {
			t.Errorf("%s: %+v %v", ref, got, err)
		}
	}
	for ref, words := range map[string]string{uri + ":2": "does not exist. Provide a valid source image.", DefaultAccount + ".dkr.ecr.eu-west-1.amazonaws.com/other@" + digest.String(): "does not exist",
		"210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/app:1": "does not exist", "ghcr.io/team/app:1": "--registry ghcr.io"} {
		if _, err := createImage(t, r, "absent", ref); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %s", ref, err, words)
		}
	}
	for _, bad := range []string{"../app:1", "App", "a:b:c", "a@sha256:1"} {
		if err := r.PushImage(t.Context(), file, bad); err == nil {
			t.Errorf("pushed as %q", bad)
		}
	}
}

// TestDeclaredRegistries: an image is fetched from a registry that was declared, with the credentials of
// the file that the operator named, and every connection is on record.
func TestDeclaredRegistries(t *testing.T) {
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, password, _ := q.BasicAuth(); user != "puller" || password != "hunter2" {
			w.Header().Set("WWW-Authenticate", `Basic realm="images"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, q)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	tag, err := name.NewTag(host + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, someImage(t, "v1"), remote.WithAuth(&authn.Basic{Username: "puller", Password: "hunter2"})); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "config.json")
	if err := writePrivate(keys, map[string]any{"auths": map[string]any{host: map[string]string{"username": "puller", "password": "hunter2"}}}); err != nil {
		t.Fatal(err)
	}
	cfg := config(t.TempDir())
	cfg.Registries, cfg.RegistryConfig = []string{host}, keys
	s := start(t, cfg)
	r, _ := command(t, cfg.Data)
	worker(t, r)
	if got, err := createImage(t, r, "f", tag.String()); err != nil || got.PackageType != "Image" {
		t.Fatalf("%+v %v", got, err)
	}
	trail, err := s.trailText(t.Context(), "Connect")
	if err != nil || !strings.Contains(trail, host) || strings.Contains(trail, "hunter2") {
		t.Errorf("the trail says %q, %v", trail, err)
	}
	if _, err := createImage(t, r, "g", host+"/app:2"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("an absent image: %v", err)
	}

	for _, c := range []func(*Config){func(c *Config) { c.Registries = []string{"http://x"} }, func(c *Config) { c.RegistryConfig = keys + "-gone" }} {
		bad := config(t.TempDir())
		c(&bad)
		if s, err := Open(t.Context(), bad, "test", quiet()); err == nil {
			t.Errorf("started with %v %q: %v", bad.Registries, bad.RegistryConfig, s.Close())
		}
	}
}
