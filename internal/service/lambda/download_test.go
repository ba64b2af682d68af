package lambda

import (
	"bytes"
	"io"
	"net/url"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// fetch calls what an address was signed for.
func (r *rig) fetch(as wire.Caller, address string) ([]byte, error) {
	r.Helper()
	u, err := url.Parse(address)
	r.ok(err)
	q := u.Query()
	out, err := wire.Call[downloaded](r.Context(), as, opDownload, &download{Resource: q.Get("Resource"), CodeSha256: q.Get("CodeSha256")})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(out.Body)
	r.ok(out.Body.Close())
	if int64(len(b)) != *out.ContentLength {
		r.Errorf("%d bytes announced, %d sent", *out.ContentLength, len(b))
	}
	return b, err
}

// TestPackagesAreDownloaded: an address leads to the very archive, for as long as the version has it and
// its bearer may read it.
func TestPackagesAreDownloaded(t *testing.T) {
	r := newRig(t)
	var signed []Presigned
	r.service.Presign = func(_ *gate.Call, p Presigned) (*string, error) {
		signed = append(signed, p)
		return new(p.Path + "?" + p.Query), nil
	}
	ctx, admin := t.Context(), r.client.Caller
	r.create("f")
	f, err := r.client.GetFunction(ctx, &api.GetFunctionInput{FunctionName: "f"})
	r.ok(err)
	if *f.Code.RepositoryType != "S3" || signed[0].Path != downloadPath || signed[0].For != downloadFor || signed[0].Region != region {
		t.Errorf("%+v, signed %+v", f.Code, signed[0])
	}
	if b, err := r.fetch(admin, *f.Code.Location); err != nil || !bytes.Equal(b, zipOf(t, "index.py", "v1")) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	v, err := r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	r.ok(err)
	_, err = r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "index.py", "v2")})
	r.ok(err)
	_, err = r.fetch(admin, *f.Code.Location)
	r.refused(err, "ResourceNotFoundException", "no longer there")
	old, err := r.client.GetFunction(ctx, &api.GetFunctionInput{FunctionName: "f", Qualifier: v.Version})
	r.ok(err)
	if b, err := r.fetch(admin, *old.Code.Location); err != nil || !bytes.Equal(b, zipOf(t, "index.py", "v1")) {
		t.Errorf("of the version: %d bytes, %v", len(b), err)
	}

	layer := zipOf(t, "python/x.py", "1")
	l, err := r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: "l", Content: &api.LayerVersionContentInput{ZipFile: layer}})
	r.ok(err)
	got, err := r.client.GetLayerVersion(ctx, &api.GetLayerVersionInput{LayerName: "l", VersionNumber: 1})
	r.ok(err)
	for _, at := range []*string{l.Content.Location, got.Content.Location} {
		if b, err := r.fetch(admin, *at); err != nil || !bytes.Equal(b, layer) {
			t.Errorf("of the layer: %d bytes, %v", len(b), err)
		}
	}

	reader := r.as(account, "reader").Caller
	for _, c := range []struct{ may, function, layer string }{
		{"lambda:GetFunction", "", "AccessDeniedException"}, {"lambda:GetLayerVersion", "AccessDeniedException", ""}, {"lambda:ListFunctions", "AccessDeniedException", "AccessDeniedException"},
	} {
		r.dir.allow(t, "reader", `{"Effect":"Allow","Action":"`+c.may+`","Resource":"*"}`)
		for at, want := range map[string]string{*old.Code.Location: c.function, *got.Content.Location: c.layer} {
			if _, err := r.fetch(reader, at); want != "" {
				r.refused(err, want, "")
			} else if err != nil {
				t.Errorf("%s: %v", c.may, err)
			}
		}
	}
	r.service.Presign = func(*gate.Call, Presigned) (*string, error) { return nil, nil } // a service asks
	if f, err := r.client.GetFunction(ctx, &api.GetFunctionInput{FunctionName: "f"}); err != nil || f.Code.Location != nil {
		t.Errorf("%+v %v", f, err)
	}
}
