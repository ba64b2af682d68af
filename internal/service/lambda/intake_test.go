package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/sandbox/image"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// largeZip is an archive that is too large to be kept in a row.
func largeZip(t testing.TB, seed uint64) []byte {
	body := make([]byte, 100<<10)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range body {
		body[i] = byte(r.Uint32())
	}
	return zipOf(t, "index.py", string(body))
}

func shaOf(zip []byte) string {
	sum := sha256.Sum256(zip)
	return hex.EncodeToString(sum[:])
}

// files counts the blobs that are files, kept or not.
func (r *rig) files() (n int) {
	r.Helper()
	r.ok(r.db.Blobs().Area.Walk(func(string, int64, time.Time) error { n++; return nil }))
	return n
}

// TestWhatCallsLeaveBehind: a call that keeps nothing leaves nothing on the disk, and one that does
// leaves one copy.
func TestWhatCallsLeaveBehind(t *testing.T) {
	r := newRig(t)
	r.dir.allow(t, "reader", `{"Effect":"Allow","Action":"lambda:Get*","Resource":"*"}`)
	first := largeZip(t, 1)
	r.create("f", func(in *api.CreateFunctionInput) { in.Code.ZipFile = first })
	ctx := t.Context()
	update := func(zip []byte, change ...func(*api.UpdateFunctionCodeInput)) error {
		in := &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zip}
		for _, c := range change {
			c(in)
		}
		_, err := r.client.UpdateFunctionCode(ctx, in)
		return err
	}
	r.service.CodeStorage = 150 << 10
	for seed, c := range []struct {
		name string
		do   func(zip []byte) error
		code string
	}{
		{"a dry run", func(zip []byte) error {
			return update(zip, func(in *api.UpdateFunctionCodeInput) { in.DryRun = new(true) })
		}, ""},
		{"a function above the quota", func(zip []byte) error {
			_, err := r.client.CreateFunction(ctx, &api.CreateFunctionInput{FunctionName: "g", Runtime: new("python3.12"), Role: role, Handler: new("index.handler"), Code: &api.FunctionCode{ZipFile: zip}})
			return err
		}, "CodeStorageExceededException"},
		{"a layer above the quota", func(zip []byte) error {
			_, err := r.client.PublishLayerVersion(ctx, &api.PublishLayerVersionInput{LayerName: "l", Content: &api.LayerVersionContentInput{ZipFile: zip}})
			return err
		}, "CodeStorageExceededException"},
		{"a broken archive", func(zip []byte) error { return update(zip[:len(zip)-10]) }, "InvalidParameterValueException"},
	} {
		zip := largeZip(t, uint64(seed+2))
		err := c.do(zip)
		if c.code == "" {
			r.ok(err)
		} else {
			r.refused(err, c.code, "")
		}
		if _, ok := r.service.Code.Dir(shaOf(zip)); ok || r.files() != 1 {
			t.Errorf("%s: unpacked: %v, %d blobs", c.name, ok, r.files())
		}
	}
	r.ok(update(first, func(in *api.UpdateFunctionCodeInput) { in.DryRun = new(true) }))
	r.ok(update(first))
	r.create("same", func(in *api.CreateFunctionInput) { in.Code.ZipFile = zipOf(t, "index.py", "small") })
	if _, ok := r.service.Code.Dir(shaOf(first)); !ok || r.files() != 1 {
		t.Errorf("the package in use: %v, %d blobs", ok, r.files())
	}
	_, err := r.client.Invoke(t.Context(), &api.InvokeInput{FunctionName: "f", Payload: []byte(`1`)})
	r.ok(err)
}

// leaver is a caller who goes away in the middle of a call.
type leaver func()

func (l leaver) Publisher(context.Context, string) (*Publisher, error) {
	l()
	return nil, nil
}

// TestLeaversLeaveNothingBehind: nor does a call whose caller goes away before its change.
func TestLeaversLeaveNothingBehind(t *testing.T) {
	r := newRig(t)
	made, err := r.client.CreateCodeSigningConfig(t.Context(), &api.CreateCodeSigningConfigInput{AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: []string{ours}}})
	r.ok(err)
	ctx, cancel := context.WithCancel(t.Context())
	r.service.Publishers = leaver(cancel)
	body := string(largeZip(t, 1))
	zip := signedZip(t, ours, keyOf(1), r.clock.Now().Unix(), 0, "index.py", body)
	_, err = r.client.CreateFunction(ctx, &api.CreateFunctionInput{FunctionName: "f", Runtime: new("python3.12"), Role: role, Handler: new("index.handler"), Code: &api.FunctionCode{ZipFile: zip},
		CodeSigningConfigArn: &made.CodeSigningConfig.CodeSigningConfigArn})
	if err == nil || ctx.Err() == nil {
		t.Fatalf("%v; gone away: %v", err, ctx.Err())
	}
	if _, ok := r.service.Code.Dir(shaOf(zip)); ok || r.files() != 0 {
		t.Errorf("unpacked: %v, %d blobs", ok, r.files())
	}
}

// TestImagesLeaveNothingBehind: nor does one whose function is not made.
func TestImagesLeaveNothingBehind(t *testing.T) {
	r := newRig(t)
	s := r.shelf()
	base := r.oneFile("base", string(make([]byte, 100<<10)))
	r.push(s, "app:1", base)
	r.create("f", ofImage(shelfHost+"/app:1"))
	second := r.push(s, "app:2", base, r.oneFile("entry", string(make([]byte, 80<<10))))
	bad := r.oneFile("x", string(make([]byte, 90<<10)))
	third := r.push(s, "app:3", base, bad)
	s.parts[image.DigestOf(bad)] = bad[1:]
	for uri, digest := range map[string]string{"/app:2": second, "/app:3": third} {
		_, err := r.client.UpdateFunctionCode(t.Context(), &api.UpdateFunctionCodeInput{FunctionName: "f", ImageUri: new(shelfHost + uri), DryRun: new(true)})
		if broken := uri == "/app:3"; (err != nil) != broken {
			t.Errorf("%s: %v", uri, err)
		}
		if _, ok := r.service.Images.Dir(digest[len("sha256:"):]); ok || r.files() != 1 {
			t.Errorf("%s: unpacked: %v, %d blobs", uri, ok, r.files())
		}
	}
}

// TestIntake: archives wait for room, and who has waited long enough is told to come again.
func TestIntake(t *testing.T) {
	r := newRig(t)
	r.create("f")
	r.service.intake = newIntake(Intake{Room: leastTaken, Patience: time.Millisecond})
	leave, err := r.service.intake.enter(t.Context(), 1)
	r.ok(err)
	_, err = r.client.UpdateFunctionCode(t.Context(), &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "index.py", "v2")})
	r.refused(err, "TooManyRequestsException", "Rate Exceeded.")
	_, err = r.client.PublishLayerVersion(t.Context(), &api.PublishLayerVersionInput{LayerName: "l", Content: &api.LayerVersionContentInput{ZipFile: zipOf(t, "x", "1")}})
	r.refused(err, "TooManyRequestsException", "Rate Exceeded.")
	leave()
	for range 2 { // nothing of the room is lost
		_, err = r.client.UpdateFunctionCode(t.Context(), &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "index.py", "v2")})
		r.ok(err)
		_, err = r.client.UpdateFunctionCode(t.Context(), &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: []byte("no archive")})
		r.refused(err, "InvalidParameterValueException", "Could not unzip")
	}

	r.service.intake = newIntake(Intake{Room: leastTaken, Patience: time.Hour})
	leave, err = r.service.intake.enter(t.Context(), maxFetched)
	r.ok(err)
	done := make(chan error)
	go func() {
		_, err := r.client.UpdateFunctionCode(context.Background(), &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "index.py", "v3")})
		done <- err
	}()
	leave()
	r.ok(<-done)
	ctx, cancel := context.WithCancel(t.Context())
	leave, err = r.service.intake.enter(ctx, leastTaken)
	r.ok(err)
	defer leave()
	cancel()
	if _, err := r.service.intake.enter(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who went away: %v", err)
	}
}

// TestCodeStorage: the archives of an account in a region have a quota together, and the sum that is
// kept is that of the versions and layers that there are.
func TestCodeStorage(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	s := r.shelf()
	r.push(s, "app:1", r.oneFile("base", "1"))
	small, large := zipOf(t, "index.py", "v1"), largeZip(t, 1)
	n := int64(len(small))
	const exceeded, words = "CodeStorageExceededException", "Code storage limit exceeded."
	stored := func(limit, want int64) {
		t.Helper()
		out, err := r.client.GetAccountSettings(ctx, &api.GetAccountSettingsInput{})
		r.ok(err)
		if *out.AccountUsage.TotalCodeSize != want || *out.AccountLimit.TotalCodeSize != limit {
			t.Errorf("%d of %d bytes are taken; want %d of %d", *out.AccountUsage.TotalCodeSize, *out.AccountLimit.TotalCodeSize, want, limit)
		}
		var sum int64 // of all rows, as data from before sums were kept has it
		r.ok(r.db.Update(ctx, store.In(space), func(tx *store.Tx) error {
			under := regionKey(account, region)
			if _, err := r.service.t.codeSums.Delete(tx, under); err != nil {
				return err
			}
			sum, err = r.service.t.stored(tx, under)
			return errors.Join(err, r.service.t.codeSums.Put(tx, under, codeSum{want}))
		}))
		if sum != want {
			t.Errorf("the rows have %d bytes; want %d", sum, want)
		}
	}
	stored(80530636800, 0)
	limit := 4 * n
	r.service.CodeStorage = limit
	r.create("f", func(in *api.CreateFunctionInput) { in.Publish = new(true) })
	r.create("image", ofImage(shelfHost+"/app:1"))
	stored(limit, 2*n)
	_, err := r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: zipOf(t, "index.py", "v2"), Publish: new(true)})
	r.ok(err)
	stored(limit, 3*n)
	layer := &api.PublishLayerVersionInput{LayerName: "l", Content: &api.LayerVersionContentInput{ZipFile: small}}
	_, err = r.client.PublishLayerVersion(ctx, layer)
	r.ok(err)
	stored(limit, 4*n)

	_, err = r.client.PublishLayerVersion(ctx, layer)
	r.refused(err, exceeded, words)
	_, err = r.client.CreateFunction(ctx, &api.CreateFunctionInput{FunctionName: "g", Runtime: new("python3.12"), Role: role, Handler: new("index.handler"), Code: &api.FunctionCode{ZipFile: small}})
	r.refused(err, exceeded, words)
	for _, dry := range []bool{true, false} {
		_, err = r.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{FunctionName: "f", ZipFile: large, DryRun: &dry})
		r.refused(err, exceeded, words)
	}
	_, err = r.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{FunctionName: "f", Description: new("d"), Timeout: new(int32(9))})
	r.ok(err)
	_, err = r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	r.refused(err, exceeded, words)
	if code, status := api.Service.Code(api.OpPublishVersion, err); code != exceeded || status != 400 {
		t.Errorf("%s %d", code, status)
	}
	stored(limit, 4*n)

	_, err = r.client.DeleteLayerVersion(ctx, &api.DeleteLayerVersionInput{LayerName: "l", VersionNumber: 1})
	r.ok(err)
	stored(limit, 3*n)
	_, err = r.client.PublishVersion(ctx, &api.PublishVersionInput{FunctionName: "f"})
	r.ok(err)
	_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: "f", Qualifier: new("1")})
	r.ok(err)
	stored(limit, 3*n)
	elsewhere, err := r.as(other, "admin").GetAccountSettings(ctx, &api.GetAccountSettingsInput{})
	r.ok(err)
	if wire.Val(elsewhere.AccountUsage.TotalCodeSize) != 0 {
		t.Errorf("another account has %d bytes", *elsewhere.AccountUsage.TotalCodeSize)
	}
	for _, name := range []string{"f", "image"} {
		_, err = r.client.DeleteFunction(ctx, &api.DeleteFunctionInput{FunctionName: name})
		r.ok(err)
	}
	stored(limit, 0)
}
