package cloudformation

import (
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
)

// Sizes of a template in bytes. Source: CloudFormation User Guide, "CloudFormation quotas".
const (
	maxBody = 51_200
	maxURL  = 1 << 20
)

func invalid(format string, args ...any) error {
	return awserr.New("ValidationError", 400, format, args...)
}

func unbuilt(format string, args ...any) error {
	return awserr.Of(awserr.NotImplemented, format, args...)
}

// source reads the template that a request brings, in it or in a bucket; "" where it brings none.
func source(c *gate.Call, body, from *string) (string, error) {
	switch {
	case body != nil && from != nil:
		return "", invalid("1 validation error detected: you must specify either Template URL or Template Body, not both")
	case body != nil:
		if len(*body) > maxBody {
			return "", invalid("1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to %d", maxBody)
		}
		return *body, nil
	case from != nil:
		return fetch(c, *from)
	}
	return "", nil
}

// fetch reads a template from a bucket with the caller's own permissions.
func fetch(c *gate.Call, from string) (string, error) {
	bucket, key, ok := object(from)
	if !ok {
		return "", invalid("TemplateURL must be a supported URL.")
	}
	out, err := s3.Client{Caller: c.Forward(principal)}.GetObject(c.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		var e *awserr.Error
		if errors.As(err, &e) && e.Kind == awserr.NotImplemented {
			return "", err
		}
		if e == nil || e.Kind == awserr.Internal {
			return "", err
		}
		return "", invalid("S3 error: %s", e.Message)
	}
	defer out.Body.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(out.Body, maxURL+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxURL {
		return "", invalid("Template may not exceed %d bytes in size.", maxURL)
	}
	return string(b), nil
}

// object reads the forms of an object's URL: the bucket in the host, of AWS's or of *.localhost,
// or in the path.
func object(from string) (bucket, key string, ok bool) {
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return "", "", false
	}
	path := strings.TrimPrefix(u.Path, "/")
	host := strings.ToLower(u.Hostname())
	if b, found := bucketHost(host); found {
		return b, path, b != "" && path != ""
	}
	bucket, key, _ = strings.Cut(path, "/")
	return bucket, key, bucket != "" && key != ""
}

// bucketHost is the bucket in BUCKET.s3.amazonaws.com, BUCKET.s3.REGION.amazonaws.com,
// BUCKET.s3-REGION.amazonaws.com or BUCKET.s3.localhost.
func bucketHost(host string) (string, bool) {
	labels := strings.Split(host, ".")
	if !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonaws.com.cn") && !strings.HasSuffix(host, ".localhost") {
		return "", false
	}
	i := slices.IndexFunc(labels, func(l string) bool { return l == "s3" || strings.HasPrefix(l, "s3-") })
	if i <= 0 {
		return "", false
	}
	return strings.Join(labels[:i], "."), true
}
