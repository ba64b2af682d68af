package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/bastide-cloud/bastide/internal/sandbox/image"
)

// PushImage loads an image of this machine (an OCI layout, or an archive of one or of docker save) into
// the account's own store, and prints how a function names it.
func (r *Remote) PushImage(ctx context.Context, file, name string) error {
	host := image.OwnHost(r.run.Account, r.Region)
	repository, tag, err := image.ParseName(name, host)
	if err != nil {
		return err
	}
	digest, err := r.pushImage(ctx, file, repository, tag)
	if err != nil {
		return err
	}
	uri := host + "/" + repository
	if r.Term.JSON {
		return r.Term.Print(map[string]string{"imageUri": uri + ":" + tag, "resolvedImageUri": uri + "@" + digest})
	}
	return r.Term.Line("%s:%s is %s\nname it in a template or call: ImageUri: %s:%s", uri, tag, digest, uri, tag)
}

// pushImage puts what is new of an image into the store: layers first, the tag last, so that what a tag
// names is whole. Of an index only this machine's image is taken.
func (r *Remote) pushImage(ctx context.Context, file, repository, tag string) (digest string, err error) {
	src, err := image.Open(file)
	if err != nil {
		return "", err
	}
	defer src.Close()
	img, err := image.Read(ctx, src, "", image.Here())
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	bucket := image.Bucket(r.run.Account, r.Region)
	if err := r.CreateBucket(ctx, bucket); err != nil {
		return "", fmt.Errorf("the artifacts bucket: %w", err)
	}
	for _, l := range img.Layers {
		if err := r.pushBlob(ctx, bucket, image.BlobKey(l.Digest), l.Digest, l.Size, func() (io.ReadCloser, error) { return src.Blob(ctx, l.Digest) }); err != nil {
			return "", err
		}
	}
	for _, o := range []struct {
		key  string
		body []byte
	}{
		{image.BlobKey(image.DigestOf(img.Config)), img.Config},
		{image.ManifestKey(repository, img.Digest), img.Manifest},
		{image.TagKey(repository, tag), []byte(img.Digest)},
	} {
		if err := r.PutObject(ctx, bucket, o.key, o.body); err != nil {
			return "", err
		}
	}
	return img.Digest, nil
}

// pushBlob uploads a layer, if it is not there.
func (r *Remote) pushBlob(ctx context.Context, bucket, key, digest string, size int64, open func() (io.ReadCloser, error)) error {
	have, err := r.HeadObject(ctx, bucket, key)
	if err != nil || have {
		return err
	}
	r.Term.Progress("uploading the layer %.19s…: %d KB", digest, (size+1023)/1024)
	body, err := open()
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // it was only read
	return r.PutStream(ctx, bucket, key, strings.TrimPrefix(digest, "sha256:"), size, body)
}

// loadImage is what packaging does with an image of this machine that a template names.
func (r *Remote) loadImage(ctx context.Context, id, file string) (string, error) {
	repository := strings.Trim(string(bytes.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, bytes.ToLower([]byte(id)))), "-")
	digest, err := r.pushImage(ctx, file, "template/"+repository, "latest")
	if err != nil {
		return "", err
	}
	return image.OwnHost(r.run.Account, r.Region) + "/template/" + repository + "@" + digest, nil
}
