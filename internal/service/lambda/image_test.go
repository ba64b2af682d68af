package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/image"
	"github.com/bastide-cloud/bastide/internal/sandbox/sandboxtest"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/store"
)

// shelf is a registry in memory, at registry.example.
type shelf struct {
	tags  map[string]string // "app:1" → digest
	parts map[string][]byte // by digest
	asked []string          // parts that were read
}

const shelfHost = "registry.example"

func (s *shelf) Declared(host string) bool { return host == shelfHost }

func (s *shelf) Source(_ context.Context, ref image.Reference) (image.Source, error) {
	return &onShelf{s, ref}, nil
}

type onShelf struct {
	*shelf
	ref image.Reference
}

func (s *onShelf) Manifest(_ context.Context, digest string) ([]byte, error) {
	if digest == "" {
		digest = s.tags[s.ref.Repository+":"+s.ref.Tag]
	}
	b, ok := s.parts[digest]
	if !ok {
		return nil, &image.AbsentError{Reference: s.ref.String(), Err: errors.New("404")}
	}
	return b, nil
}

func (s *onShelf) Blob(_ context.Context, digest string) (io.ReadCloser, error) {
	s.asked = append(s.asked, digest)
	return io.NopCloser(bytes.NewReader(s.parts[digest])), nil
}

func (s *shelf) put(b []byte) string {
	d := image.DigestOf(b)
	s.parts[d] = b
	return d
}

// push puts an image of such layers under a tag and returns its digest.
func (r *rig) push(s *shelf, tag string, layers ...[]byte) string {
	r.Helper()
	type part struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	var list []part
	var ids []string
	for _, l := range layers {
		list, ids = append(list, part{"application/vnd.oci.image.layer.v1.tar", s.put(l), len(l)}), append(ids, image.DigestOf(l))
	}
	here := image.Here()
	config, err := json.Marshal(map[string]any{"os": here.OS, "architecture": here.Architecture, "rootfs": map[string]any{"type": "layers", "diff_ids": ids},
		"config": map[string]any{"Entrypoint": []string{"/entry"}, "Cmd": []string{"app.handler"}, "WorkingDir": "/srv", "Env": []string{"A=1"}}})
	r.ok(err)
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": part{"application/vnd.oci.image.config.v1+json", s.put(config), len(config)}, "layers": list})
	r.ok(err)
	d := s.put(manifest)
	s.tags[tag] = d
	return d
}

func (r *rig) shelf() *shelf {
	s := &shelf{tags: map[string]string{}, parts: map[string][]byte{}}
	r.service.Registries = s
	return s
}

// oneFile is an archive of one file.
func (r *rig) oneFile(name, body string) []byte {
	return sandboxtest.Layer(r, sandboxtest.Entry{Name: name, Body: body, Mode: 0o755})
}

func ofImage(uri string, change ...func(*api.CreateFunctionInput)) func(*api.CreateFunctionInput) {
	return func(in *api.CreateFunctionInput) {
		in.PackageType, in.Runtime, in.Handler, in.Code = new("Image"), nil, nil, &api.FunctionCode{ImageUri: new(uri)}
		for _, c := range change {
			c(in)
		}
	}
}

func TestImageFunction(t *testing.T) {
	r := newRig(t)
	s := r.shelf()
	base := r.oneFile("base", "1")
	digest := r.push(s, "team/app:1", base, r.oneFile("entry", "v1"))
	uri := shelfHost + "/team/app:1"
	out := r.create("f", ofImage(uri, func(in *api.CreateFunctionInput) {
		in.ImageConfig = &api.ImageConfig{Command: []string{"other.handler"}}
	}))
	if *out.PackageType != "Image" || out.Runtime != nil || out.Handler != nil || *out.CodeSize != 0 || "sha256:"+*out.CodeSha256 != digest || out.ImageConfigResponse.ImageConfig.Command[0] != "other.handler" {
		t.Errorf("%+v", out)
	}
	got, err := r.client.GetFunction(t.Context(), &api.GetFunctionInput{FunctionName: "f"})
	r.ok(err)
	if c := got.Code; *c.RepositoryType != "ECR" || *c.ImageUri != uri || *c.ResolvedImageUri != shelfHost+"/team/app@"+digest {
		t.Errorf("%+v", c)
	}
	_, err = r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "f", Payload: []byte(`1`)})
	r.ok(err)
	ran := r.runner.ran[0]
	if l := ran.Image.Launch; l.Entrypoint[0] != "/entry" || l.Cmd[0] != "other.handler" || l.Dir != "/srv" || l.Env[0] != "A=1" || ran.Code != "" || ran.Runtime != "" {
		t.Errorf("%+v", ran)
	}
	r.unpacked(ran.Image.Dir, "entry", "v1")

	// A tag that moves on does not change the function, until its code is updated.
	second := r.push(s, "team/app:1", base, r.oneFile("entry", "v2"))
	_, err = r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "f", Payload: []byte(`1`)})
	r.ok(err)
	r.unpacked(r.runner.ran[1].Image.Dir, "entry", "v1")
	up, err := r.client.UpdateFunctionCode(t.Context(), &api.UpdateFunctionCodeInput{FunctionName: "f", ImageUri: new(uri), Publish: new(true)})
	r.ok(err)
	if "sha256:"+*up.CodeSha256 != second || *up.Version != "1" || up.ImageConfigResponse == nil {
		t.Errorf("%+v", up)
	}
	_, err = r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "f", Payload: []byte(`1`)})
	r.ok(err)
	r.unpacked(r.runner.ran[2].Image.Dir, "entry", "v2")

	// An empty configuration takes back what was set; the published version keeps it.
	conf, err := r.client.UpdateFunctionConfiguration(t.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "f", ImageConfig: &api.ImageConfig{}})
	r.ok(err)
	if conf.ImageConfigResponse != nil {
		t.Errorf("%+v", conf.ImageConfigResponse)
	}
	_, err = r.client.PublishVersion(t.Context(), &api.PublishVersionInput{FunctionName: "f", CodeSha256: new(codeSHA(*conf.CodeSha256))})
	r.refused(err, "InvalidParameterValueException", "("+*conf.CodeSha256+")")
	again, err := r.client.PublishVersion(t.Context(), &api.PublishVersionInput{FunctionName: "f", CodeSha256: conf.CodeSha256})
	r.ok(err)
	if *again.Version != "2" {
		t.Errorf("a version with another command is %s", *again.Version)
	}
}

// unpacked looks for a file in a tree.
func (r *rig) unpacked(dir, name, want string) {
	r.Helper()
	tree, err := image.OpenTree(dir)
	r.ok(err)
	if b, err := os.ReadFile(filepath.Join(tree.Root, name)); string(b) != want {
		r.Errorf("%s holds %q, %v; want %q", name, b, err, want)
	}
}

func TestImagesAreKeptOnceAndGoWithTheirLastUse(t *testing.T) {
	r := newRig(t)
	s := r.shelf()
	base := r.oneFile("base", "1")
	r.push(s, "a:1", base, r.oneFile("entry", "a"))
	r.push(s, "b:1", base, r.oneFile("entry", "b"))
	r.create("f", ofImage(shelfHost+"/a:1"))
	r.create("g", ofImage(shelfHost+"/a:1"))
	r.create("h", ofImage(shelfHost+"/b:1"))
	if images, layers := r.kept(); images != 2 || layers != 3 {
		t.Errorf("%d images and %d layers are kept", images, layers)
	}
	for _, name := range []string{"f", "h"} {
		_, err := r.client.DeleteFunction(t.Context(), &api.DeleteFunctionInput{FunctionName: name})
		r.ok(err)
	}
	if images, layers := r.kept(); images != 1 || layers != 2 {
		t.Errorf("%d images and %d layers are kept", images, layers)
	}
	// The tree is only a copy: without it, as after a restart of the machine, it is made again, with no registry.
	fresh, err := pack.OpenStore(t.TempDir(), "another boot")
	r.ok(err)
	r.service.Images, r.service.Registries = fresh, nil
	r.service.targets.byName = map[reference]*target{}
	_, err = r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "g", Payload: []byte(`1`)})
	r.ok(err)
	r.unpacked(r.runner.ran[0].Image.Dir, "entry", "a")
	_, err = r.client.DeleteFunction(t.Context(), &api.DeleteFunctionInput{FunctionName: "g"})
	r.ok(err)
	if images, layers := r.kept(); images != 0 || layers != 0 {
		t.Errorf("%d images and %d layers are left", images, layers)
	}
	r.ok(r.service.sweep(t.Context(), r.gate))
	r.clock.Advance(pack.Grace + time.Minute)
	r.ok(r.service.sweep(t.Context(), r.gate))
	if _, err := os.Stat(r.runner.ran[0].Image.Dir); err == nil {
		t.Error("the tree is left")
	}
}

// kept counts the rows of images and of layers.
func (r *rig) kept() (images, layers int) {
	r.Helper()
	r.ok(r.db.View(r.Context(), store.In(space), func(tx *store.Tx) error {
		images, layers = 0, 0
		for _, err := range r.service.t.images.images.Scan(tx, store.Key{}, store.Range{}) {
			if images++; err != nil {
				return err
			}
		}
		for _, err := range r.service.t.images.layers.Scan(tx, store.Key{}, store.Range{}) {
			if layers++; err != nil {
				return err
			}
		}
		return nil
	}))
	return images, layers
}

func TestImagesThatAreRefused(t *testing.T) {
	r := newRig(t)
	s := r.shelf()
	r.push(s, "app:1", r.oneFile("entry", "v1"))
	r.push(s, "evil:1", r.oneFile("../entry", "v1"))
	r.push(s, "device:1", sandboxtest.Layer(t, sandboxtest.Entry{Name: "sda", Kind: '4'}))
	lie := r.push(s, "lie:1", r.oneFile("entry", "lie"))
	for d := range maps.Clone(s.parts) {
		if b := s.parts[d]; bytes.Contains(b, []byte("lie")) && bytes.Contains(b, []byte("ustar")) {
			s.parts[d] = bytes.Replace(b, []byte("lie"), []byte("own"), 1)
		}
	}
	uri := shelfHost + "/app:1"
	const bad = "InvalidParameterValueException"
	for what, c := range map[string]struct {
		change      func(*api.CreateFunctionInput)
		code, words string
	}{
		"SnapStart": {ofImage(uri, func(in *api.CreateFunctionInput) { in.SnapStart = &api.SnapStart{ApplyOn: new("PublishedVersions")} }), bad, "Container images are not supported for SnapStart"},
		"a handler": {ofImage(uri, func(in *api.CreateFunctionInput) { in.Handler = new("a.b") }), bad, "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."},
		"a runtime": {ofImage(uri, func(in *api.CreateFunctionInput) { in.Runtime = new("python3.12") }), bad, "Please don't provide Handler or Runtime or Layer"},
		"layers": {ofImage(uri, func(in *api.CreateFunctionInput) {
			in.Layers = []string{"arn:aws:lambda:eu-west-1:123456789012:layer:l:1"}
		}), bad, "Please don't provide Handler or Runtime or Layer"},
		"no image":          {ofImage("", func(in *api.CreateFunctionInput) { in.Code.ImageUri = nil }), bad, "Please provide ImageUri when creating a function with packageType Image."},
		"an archive too":    {ofImage(uri, func(in *api.CreateFunctionInput) { in.Code.ZipFile = []byte("x") }), bad, "Please provide ImageUri when creating"},
		"an archive alone":  {ofImage("", func(in *api.CreateFunctionInput) { in.Code = &api.FunctionCode{ZipFile: zipOf(t, "a", "b")} }), bad, "Please provide ImageUri when creating"},
		"an image for Zip":  {func(in *api.CreateFunctionInput) { in.Code = &api.FunctionCode{ImageUri: new(uri)} }, bad, "Please provide a source for function code."},
		"settings for Zip":  {func(in *api.CreateFunctionInput) { in.ImageConfig = &api.ImageConfig{} }, bad, "Please don't provide ImageConfig"},
		"a relative folder": {ofImage(uri, func(in *api.CreateFunctionInput) { in.ImageConfig = &api.ImageConfig{WorkingDirectory: new("srv")} }), bad, "needs to be an absolute path"},
		"no reference":      {ofImage("app:1"), bad, "Source image app:1 is not valid. Provide a valid source image."},
		"no such tag":       {ofImage(shelfHost + "/app:2"), bad, "Source image " + shelfHost + "/app:2 does not exist. Provide a valid source image."},
		"no such digest":    {ofImage(shelfHost + "/app@" + image.DigestOf(nil)), bad, "does not exist. Provide a valid source image."},
		"another registry":  {ofImage("docker.io/library/busybox:1"), bad, "the registry index.docker.io is not declared: start Bastide with --registry index.docker.io"},
		"another region":    {ofImage("123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1"), bad, "it is of the region us-east-1"},
		"a climbing name":   {ofImage(shelfHost + "/evil:1"), bad, "climbs"},
		"a device":          {ofImage(shelfHost + "/device:1"), bad, "is a device or pipe"},
		"another digest":    {ofImage(shelfHost + "/lie:1"), bad, "of the digest"},
		"a key of an archive": {ofImage(uri, func(in *api.CreateFunctionInput) {
			in.Code.SourceKMSKeyArn = new("arn:aws:kms:eu-west-1:123456789012:key/1")
		}), bad, "SourceKMSKeyArn"},
	} {
		in := &api.CreateFunctionInput{FunctionName: "x", Runtime: new("python3.12"), Role: role, Handler: new("index.handler"), Code: &api.FunctionCode{ZipFile: zipOf(t, "a", "b")}}
		c.change(in)
		_, err := r.client.CreateFunction(t.Context(), in)
		t.Log(what)
		r.refused(err, c.code, c.words)
	}
	if lie == "" {
		t.Error("nothing was pushed")
	}
	if images, layers := r.kept(); images+layers != 0 {
		t.Errorf("%d images and %d layers are kept of what was refused", images, layers)
	}
	r.create("zip")
	r.create("img", ofImage(uri))
	_, err := r.client.UpdateFunctionCode(t.Context(), &api.UpdateFunctionCodeInput{FunctionName: "zip", ImageUri: new(uri)})
	r.refused(err, bad, "Please don't provide ImageUri when updating a function with packageType Zip.")
	_, err = r.client.UpdateFunctionCode(t.Context(), &api.UpdateFunctionCodeInput{FunctionName: "img", ZipFile: zipOf(t, "a", "b")})
	r.refused(err, bad, "Please provide ImageUri when updating a function with packageType Image.")
	for _, in := range []api.UpdateFunctionConfigurationInput{{Handler: new("a.b")}, {Runtime: new("python3.12")}, {Layers: []string{"arn:aws:lambda:eu-west-1:123456789012:layer:l:1"}}} {
		in.FunctionName = "img"
		_, err := r.client.UpdateFunctionConfiguration(t.Context(), &in)
		r.refused(err, bad, "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.")
	}
	_, err = r.client.UpdateFunctionConfiguration(t.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "zip", ImageConfig: &api.ImageConfig{Command: []string{"x"}}})
	r.refused(err, bad, "Please don't provide ImageConfig")
}

// TestPullingIsARight: who may create functions may not have the server fetch any image with its own
// credentials.
func TestPullingIsARight(t *testing.T) {
	r := newRig(t)
	s := r.shelf()
	r.push(s, "app:1", r.oneFile("entry", "v1"))
	const functions = `{"Effect":"Allow","Action":["lambda:*","iam:PassRole"],"Resource":"*"}`
	r.dir.allow(t, "dev", functions)
	in := &api.CreateFunctionInput{FunctionName: "f", Role: role, PackageType: new("Image"), Code: &api.FunctionCode{ImageUri: new(shelfHost + "/app:1")}}
	_, err := r.as(account, "dev").CreateFunction(t.Context(), in)
	r.refused(err, "AccessDeniedException", "bastide:PullImage")
	if len(s.asked) > 0 {
		t.Errorf("it was fetched all the same: %v", s.asked)
	}
	r.dir.allow(t, "dev", functions, `{"Effect":"Allow","Action":"bastide:PullImage","Resource":"*","Condition":{"StringLike":{"bastide:Image":"`+shelfHost+`/app:*"}}}`)
	_, err = r.as(account, "dev").CreateFunction(t.Context(), in)
	r.ok(err)
	r.push(s, "other:1", r.oneFile("entry", "v1"))
	_, err = r.as(account, "dev").UpdateFunctionCode(t.Context(), &api.UpdateFunctionCodeInput{FunctionName: "f", ImageUri: new(shelfHost + "/other:1")})
	r.refused(err, "AccessDeniedException", "bastide:PullImage")
}

// TestImagesAndThePlane: what does not go with images says so.
func TestImagesAndThePlane(t *testing.T) {
	r := newRig(t)
	s := r.shelf()
	r.push(s, "app:1", r.oneFile("entry", "v1"))
	uri := shelfHost + "/app:1"
	r.create("img", ofImage(uri))
	const bad = "InvalidParameterValueException"
	_, err := r.client.PutRuntimeManagementConfig(t.Context(), &api.PutRuntimeManagementConfigInput{FunctionName: "img", UpdateRuntimeOn: "Auto"})
	r.refused(err, bad, "Runtime management configuration is not supported")
	_, err = r.client.UpdateFunctionConfiguration(t.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "img", SnapStart: &api.SnapStart{ApplyOn: new("PublishedVersions")}})
	r.refused(err, bad, "SnapStart")
	conf, err := r.client.GetFunctionConfiguration(t.Context(), &api.GetFunctionConfigurationInput{FunctionName: "img"})
	r.ok(err)
	if conf.RuntimeVersionConfig != nil {
		t.Errorf("an image has the runtime version %+v", conf.RuntimeVersionConfig)
	}
}
