package lambda

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/image"
)

// Registries finds images on the network, of the hosts that are declared.
type Registries interface {
	// Declared tells whether images of a registry's host may be fetched.
	Declared(host string) bool
	// Source gives what a reference of such a host names.
	Source(ctx context.Context, ref image.Reference) (image.Source, error)
}

// imageSource is where a reference leads: to a declared registry, or else to the account's own images.
// One place is asked and no other.
func (s *Service) imageSource(c *gate.Call, ref image.Reference) (image.Source, error) {
	if s.Registries != nil && s.Registries.Declared(ref.Host) {
		return s.Registries.Source(c.Context(), ref)
	}
	account, region, ok := ref.Own()
	switch {
	case !ok:
		return nil, notValid(ref.String(), errors.New("the registry "+ref.Host+" is not declared: start Bastide with --registry "+ref.Host+
			", or load the image with bastide image push and name it "+image.OwnHost(c.Account(), c.Region())+"/"+ref.Repository))
	case region != c.Region():
		return nil, notValid(ref.String(), errors.New("it is of the region "+region+", and the function of "+c.Region()))
	}
	return &storedImage{s3.Client{Caller: c.Forward("lambda.amazonaws.com")}, image.Bucket(account, region), ref}, nil
}

// needUpdateCode wants the function, and the image to be fetched that it gets.
func (s *Service) needUpdateCode(a *gate.Ask, in *lambda.UpdateFunctionCodeInput) ([]gate.Need, error) {
	r, err := refer(a, named{in.FunctionName, nil})
	if err != nil {
		return nil, err
	}
	n, err := s.need(a, "lambda:UpdateFunctionCode", r)
	return append([]gate.Need{n}, s.pullImage(r, in.ImageUri)...), err
}

// pullImage is the need of who has an image fetched from a registry: it is done with credentials that are
// not the caller's, and opens connections. Policies may limit the images by their names. Images of the
// account's own store are read with the caller's permissions instead.
func (s *Service) pullImage(r reference, uri *string) []gate.Need {
	if uri == nil || s.Registries == nil {
		return nil
	}
	ref, err := image.ParseReference(*uri)
	if err != nil || !s.Registries.Declared(ref.Host) {
		return nil // it will be refused, or needs no more
	}
	return []gate.Need{{Action: "bastide:PullImage", Resource: r.functionKey.arn(""), Account: r.Account, Keys: map[string][]string{"bastide:Image": {*uri}}}}
}

// storedImage is an image that `bastide image push` has put into a bucket. It is read with the caller's
// own permissions.
type storedImage struct {
	objects s3.Client
	bucket  string
	ref     image.Reference
}

// maxStoredManifest bounds a manifest or index, in bytes; Read has the same bound.
const maxStoredManifest = 4 << 20

// Manifest implements image.Source.
func (i *storedImage) Manifest(ctx context.Context, digest string) ([]byte, error) {
	if digest == "" {
		b, err := i.small(ctx, image.TagKey(i.ref.Repository, i.ref.Tag), 100)
		if err != nil {
			return nil, err
		}
		if digest = string(b); !image.ValidDigest(digest) {
			return nil, &image.Error{Message: "its tag names no digest"}
		}
		b, err = i.Manifest(ctx, digest)
		if err == nil && image.DigestOf(b) != digest {
			err = &image.Error{Message: "its manifest is not of the digest that the tag names"}
		}
		return b, err
	}
	return i.small(ctx, image.ManifestKey(i.ref.Repository, digest), maxStoredManifest)
}

// Blob implements image.Source.
func (i *storedImage) Blob(ctx context.Context, digest string) (io.ReadCloser, error) {
	out, err := i.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: i.bucket, Key: image.BlobKey(digest)})
	if err != nil {
		return nil, i.absent(err)
	}
	return out.Body, nil
}

func (i *storedImage) small(ctx context.Context, key string, limit int64) ([]byte, error) {
	out, err := i.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: i.bucket, Key: key})
	if err != nil {
		return nil, i.absent(err)
	}
	b, err := io.ReadAll(io.LimitReader(out.Body, limit+1))
	if err = errors.Join(err, out.Body.Close()); err == nil && int64(len(b)) > limit {
		err = &image.Error{Message: key + " is too large"}
	}
	return b, err
}

// absent tells an image that was never pushed from what is broken or not allowed.
func (i *storedImage) absent(err error) error {
	if e, ok := errors.AsType[*awserr.Error](err); ok && e.Kind != awserr.AccessDenied {
		if code, status := s3.Service.Code(s3.OpGetObject, err); status == 404 || strings.HasPrefix(code, "NoSuch") {
			return &image.AbsentError{Reference: i.ref.String(), Err: errors.New("it has not been pushed")}
		}
	}
	return err
}

// refusedImage words what is wrong with an image as Lambda does.
func refusedImage(uri string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*image.AbsentError](err); ok {
		return invalid("Source image %s does not exist. Provide a valid source image.", uri)
	}
	if bad, ok := errors.AsType[*image.Error](err); ok {
		return notValid(uri, errors.New(bad.Message))
	}
	if e, ok := errors.AsType[*awserr.Error](err); ok && e.Kind == awserr.AccessDenied {
		return awserr.Of(awserr.AccessDenied, "Lambda does not have permission to access the ECR image. Check the ECR permissions. (%s)", e.Message)
	}
	return err
}

func notValid(uri string, why error) error {
	return invalid("Source image %s is not valid. Provide a valid source image. (%v)", uri, why)
}
