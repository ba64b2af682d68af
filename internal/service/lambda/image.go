package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
	"github.com/bastide-cloud/bastide/internal/sandbox/image"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// The package types of a function.
const (
	packageZip   = "Zip"
	packageImage = "Image"
)

// fetchedImage is an image that has been read, checked and unpacked.
type fetchedImage struct {
	use    imageUse
	layers []keptLayer
	blobs  []blob.Ref // of the layers
}

// fetchTime bounds the reading of an image: 10 GB at 10 MB/s take less.
const fetchTime = 20 * time.Minute

// fetchImage resolves a reference, writes the image's layers down and unpacks it, before the
// transaction, as fetch does with archives. Every byte is read from where the reference leads, even
// of layers that are kept already: who only knows a digest gets nothing by it.
func (s *Service) fetchImage(c *gate.Call, uri string, f *fetched) error {
	ref, err := image.ParseReference(uri)
	if err != nil {
		return notValid(uri, err)
	}
	src, err := s.imageSource(c, ref)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), fetchTime)
	defer cancel()
	img, err := image.Read(ctx, src, ref.Digest, image.Here())
	if err != nil {
		return refusedImage(uri, err)
	}
	f.image = &fetchedImage{use: imageUse{URI: uri, Resolved: ref.Name() + "@" + img.Digest, Launch: img.Launch}}
	f.packageUse = packageUse{SHA256: strings.TrimPrefix(img.Digest, "sha256:"), Size: img.Size(), Image: true}
	for _, l := range img.Layers {
		b, err := s.takeLayer(ctx, src, l)
		f.image.layers, f.image.blobs = append(f.image.layers, keptLayer{l.Digest, l.DiffID, l.Size}), append(f.image.blobs, b)
		if err != nil {
			return refusedImage(uri, err)
		}
	}
	blobs := map[string]blob.Ref{}
	for n, l := range f.image.layers {
		blobs[l.Digest] = f.image.blobs[n]
	}
	f.hold = s.Images.Hold(f.SHA256)
	return refusedImage(uri, s.unpackImage(ctx, f.SHA256, f.image.layers, blobs))
}

// takeLayer writes a layer down and holds it against its digest.
func (s *Service) takeLayer(ctx context.Context, src image.Source, l image.Layer) (blob.Ref, error) {
	r, err := src.Blob(ctx, l.Digest)
	if err != nil {
		return blob.Ref{}, err
	}
	b, err := s.Blobs.Put(ctx, r, l.Size)
	if err = errors.Join(err, r.Close()); err != nil {
		return b, err
	}
	if got := "sha256:" + b.SHA256; got != l.Digest || b.Size != l.Size {
		return b, &image.Error{Message: fmt.Sprintf("the layer %s has %d bytes of the digest %s", l.Digest, b.Size, got)}
	}
	return b, nil
}

// unpackImage makes sure that an image's tree is on the disk. Whoever asked first may go away: others
// wait for the same tree, and who asks again finds it.
func (s *Service) unpackImage(ctx context.Context, sha string, layers []keptLayer, blobs map[string]blob.Ref) error {
	img := &image.Image{}
	for _, l := range layers {
		img.Layers = append(img.Layers, image.Layer{Digest: l.Digest, DiffID: l.DiffID, Size: l.Size})
	}
	_, err := s.Images.Fill(sha, func(dir string) (pack.Info, error) {
		info, err := image.Unpack(context.WithoutCancel(ctx), img, dir, image.Standard(), func(l image.Layer) (io.ReadCloser, error) {
			b := blobs[l.Digest]
			if b.Content != "" { // small, and not kept yet
				return io.NopCloser(strings.NewReader(b.Content)), nil
			}
			return s.Blobs.Open(b.ID)
		})
		return pack.Info{Unzipped: info.Bytes, Files: info.Entries}, err
	})
	return err
}

// suits wants the source that a package type has, in Lambda's words.
func (src source) suits(v version, doing string) error {
	switch {
	case v.Image != nil && (src.Image == nil || *src.Image == "" || src.Zip != nil || src.Bucket != nil || src.Key != nil):
		return invalid("Please provide ImageUri when %s a function with packageType %s.", doing, packageImage)
	case v.Image != nil && wire.Val(src.KMSKey) != "":
		return invalid("Please don't provide SourceKMSKeyArn when the intended function PackageType is %s.", packageImage)
	case v.Image == nil && src.Image != nil && doing == "creating":
		return invalid("Please provide a source for function code.")
	case v.Image == nil && src.Image != nil:
		return invalid("Please don't provide ImageUri when %s a function with packageType %s.", doing, packageZip)
	}
	return nil
}

// takes holds the revision that the caller has seen, and wants code of the function's package type.
func (t *tables) takes(tx *store.Tx, k functionKey, revision *string, src source) error {
	if err := t.current(tx, k, revision); err != nil {
		return err
	}
	_, v, err := t.qualified(tx, reference{k, ""})
	if err != nil {
		return err
	}
	return src.suits(v, "updating")
}

// notSignable refuses to sign what is no archive. Source: AWS Lambda Developer Guide, "Using code
// signing": functions defined as container images do not support it.
func notSignable() error {
	return invalid("Code signing is not supported for functions whose PackageType is %s.", packageImage)
}

// with is the version with other code.
func (v version) with(code fetched) version {
	v.Code, v.Signed = code.packageUse, code.signed
	if code.image != nil {
		use := code.image.use
		if v.Image != nil {
			use.Set = v.Image.Set
		}
		v.Image = &use
	}
	return v
}

// applyImage puts what was wished for of an image into v, checked.
func (w wishes) applyImage(v *version) error {
	switch kind := wire.Val(w.Package); kind {
	case packageImage:
		v.Image = &imageUse{}
	case "", packageZip:
	default:
		return invalid("The package type %s is not supported.", kind)
	}
	if v.Image == nil {
		if w.Image != nil {
			return invalid("Please don't provide ImageConfig when the intended function PackageType is %s.", packageZip)
		}
		return nil
	}
	if v.Runtime != "" || v.Handler != "" || len(w.Layers) > 0 {
		return invalid("Please don't provide Handler or Runtime or Layer when the intended function PackageType is %s.", packageImage)
	}
	if w.Image == nil {
		return nil
	}
	use := *v.Image
	use.Set = nil // an empty one takes back what was set
	if len(w.Image.EntryPoint) > 0 || len(w.Image.Command) > 0 || wire.Val(w.Image.WorkingDirectory) != "" {
		use.Set = w.Image
	}
	if dir := wire.Val(w.Image.WorkingDirectory); dir != "" && dir[0] != '/' {
		return invalid("The working directory '%s' is invalid, it needs to be an absolute path", dir)
	}
	v.Image = &use
	return nil
}

// keepImage makes an image one that rows refer to, once more.
func (s *Service) keepImage(tx *store.Tx, f fetched) error {
	key := imageKey(f.SHA256)
	row, ok, err := s.t.images.images.Get(tx, key)
	if err != nil {
		return err
	}
	if !ok {
		row = keptImage{Layers: f.image.layers}
		for n, l := range row.Layers {
			if err := s.keepLayer(tx, l.Digest, f.image.blobs[n]); err != nil {
				return err
			}
		}
	}
	row.Uses++
	return s.t.images.images.Put(tx, key, row)
}

func (s *Service) keepLayer(tx *store.Tx, digest string, b blob.Ref) error {
	row, ok, err := s.t.images.layers.Get(tx, imageLayerKey(digest))
	if err != nil {
		return err
	}
	if !ok {
		row = layerBlob{Blob: b}
		if err := s.Blobs.Keep(tx, b); err != nil {
			return err
		}
	}
	row.Uses++
	return s.t.images.layers.Put(tx, imageLayerKey(digest), row)
}

// againImage refers once more to an image that is referred to already.
func (t *tables) againImage(tx *store.Tx, u packageUse) error {
	row, ok, err := t.images.images.Get(tx, imageKey(u.SHA256))
	if err != nil {
		return err
	}
	if !ok {
		return errGone
	}
	row.Uses++
	return t.images.images.Put(tx, imageKey(u.SHA256), row)
}

// releaseImage ends a reference to an image; the last one gives up the layers that no other has.
func (s *Service) releaseImage(tx *store.Tx, u packageUse) error {
	key := imageKey(u.SHA256)
	row, ok, err := s.t.images.images.Get(tx, key)
	if err != nil {
		return err
	}
	if !ok {
		return errGone
	}
	if row.Uses--; row.Uses > 0 {
		return s.t.images.images.Put(tx, key, row)
	}
	for _, l := range row.Layers {
		if err := s.releaseLayer(tx, l.Digest); err != nil {
			return err
		}
	}
	_, err = s.t.images.images.Delete(tx, key)
	return err
}

func (s *Service) releaseLayer(tx *store.Tx, digest string) error {
	key := imageLayerKey(digest)
	row, ok, err := s.t.images.layers.Get(tx, key)
	if err != nil {
		return err
	}
	if !ok {
		return errGone
	}
	if row.Uses--; row.Uses > 0 {
		return s.t.images.layers.Put(tx, key, row)
	}
	if _, err := s.t.images.layers.Delete(tx, key); err != nil {
		return err
	}
	return s.Blobs.Drop(tx, row.Blob.ID)
}

// runnableImage gives a function that is to run its image, and what must be unpacked for it.
func (s *Service) runnableImage(tx *store.Tx, v version, f *fleet.Function) (needed, error) {
	n := needed{packageUse: v.Code, image: map[string]blob.Ref{}}
	row, ok, err := s.t.images.images.Get(tx, imageKey(v.Code.SHA256))
	if err == nil && !ok {
		err = errGone
	}
	if err != nil {
		return n, err
	}
	n.layers = row.Layers
	for _, l := range row.Layers {
		b, ok, err := s.t.images.layers.Get(tx, imageLayerKey(l.Digest))
		if err == nil && !ok {
			err = errGone
		}
		if err != nil {
			return n, err
		}
		n.image[l.Digest] = b.Blob
	}
	dir, _ := s.Images.Dir(v.Code.SHA256)
	f.Image = &fleet.Image{Dir: dir, Launch: v.Image.launch()}
	return n, nil
}

// launch is how the program starts: each part as the configuration sets it, or else as the image does.
func (u *imageUse) launch() image.Launch {
	if u == nil {
		return image.Launch{}
	}
	l := u.Launch
	if u.Set == nil {
		return l
	}
	if len(u.Set.EntryPoint) > 0 {
		l.Entrypoint = u.Set.EntryPoint
	}
	if len(u.Set.Command) > 0 {
		l.Cmd = u.Set.Command
	}
	if dir := wire.Val(u.Set.WorkingDirectory); dir != "" {
		l.Dir = dir
	}
	return l
}

// show puts what is of an image into a configuration.
func (u *imageUse) show(c *lambda.FunctionConfiguration) {
	if u == nil {
		return
	}
	c.PackageType, c.Runtime, c.Handler = new(packageImage), nil, nil
	c.CodeSize = new(int64(0)) // Lambda shows no size of an image
	if u.Set != nil {
		c.ImageConfigResponse = &lambda.ImageConfigResponse{ImageConfig: u.Set}
	}
}

// location is where GetFunction says that the code is.
func (u *imageUse) location() *lambda.FunctionCodeLocation {
	if u == nil {
		return &lambda.FunctionCodeLocation{RepositoryType: new("S3")}
	}
	return &lambda.FunctionCodeLocation{RepositoryType: new("ECR"), ImageUri: new(u.URI), ResolvedImageUri: new(u.Resolved)}
}
