package lambda

import (
	"bytes"
	"errors"
	"io"

	"github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
)

// source is where an input says that an archive is.
type source struct {
	Zip                  []byte
	Bucket, Key, Version *string
	Image, KMSKey        *string
	For                  string // the operation that it is given to
}

const (
	// maxZipped is the quota of an archive sent directly, 50 MB. Source: AWS Lambda Developer
	// Guide, "Lambda quotas".
	maxZipped = 50 << 20
	// maxFetched is our own bound of an archive in S3: no larger one unpacks to less than 250 MB.
	maxFetched = pack.MaxUnzipped + 32<<20
)

// fetched is an archive that has been read, checked and unpacked.
type fetched struct {
	packageUse
	ref    blob.Ref // the archive as it was written down
	signed *signedPackage
	image  *fetchedImage // in place of an archive
	hold   *pack.Hold    // on what was unpacked; nil before
}

// fetch reads an archive, writes it down and unpacks it, so that a transaction may refer to it. It
// happens before the transaction; the caller settles what was fetched when that is over.
func (s *Service) fetch(c *gate.Call, src source) (fetched, error) {
	return s.fetchSigned(c, src, nil)
}

// fetchSigned is fetch for code that must be signed as conf wants, if that is given.
func (s *Service) fetchSigned(c *gate.Call, src source, conf *signingConfig) (f fetched, err error) {
	defer func() {
		if err != nil {
			s.settle(c, &f)
		}
	}()
	if src.Image != nil && conf != nil {
		return f, notSignable()
	}
	if src.Image != nil {
		err = s.fetchImage(c, *src.Image, &f)
		return f, err
	}
	body, size, err := src.open(c)
	if err != nil {
		return f, err
	}
	defer body.Close()
	leave, err := s.intake.enter(c.Context(), size)
	if err != nil {
		return f, err
	}
	defer leave()
	f.ref, err = s.Blobs.Put(c.Context(), body, maxFetched)
	if errors.Is(err, blob.ErrTooLarge) {
		err = invalid("Unzipped size must be smaller than %d bytes", int64(pack.MaxUnzipped))
	}
	if err != nil {
		return f, err
	}
	err = s.unpack(c, conf, &f)
	return f, err
}

// unpack checks and unpacks an archive that has been written down.
func (s *Service) unpack(c *gate.Call, conf *signingConfig, f *fetched) (err error) {
	if f.ref.Size == 0 {
		return emptyArchive()
	}
	zip, err := s.written(f.ref)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, zip.Close()) }()
	if f.signed, err = s.verify(c, conf, zip, f.ref.Size); err != nil {
		return err
	}
	f.packageUse = packageUse{SHA256: f.ref.SHA256, Size: f.ref.Size}
	f.hold = s.Code.Hold(f.SHA256)
	info, err := s.Code.Add(zip, f.Size, f.SHA256, pack.Limits{Unzipped: pack.MaxUnzipped, Entries: pack.MaxEntries})
	if err != nil {
		return refusedArchive(err)
	}
	f.Unzipped = info.Unzipped
	return nil
}

func emptyArchive() error { return invalid("Uploaded file must be a non-empty zip") }

func refusedArchive(err error) error {
	if large, ok := errors.AsType[*pack.TooLarge](err); ok {
		return invalid("Unzipped size must be smaller than %d bytes", large.Limit)
	}
	if bad, ok := errors.AsType[*pack.Error](err); ok {
		return invalid("Could not unzip uploaded file. Please check your file, then try to upload again. (%s)", bad.Message)
	}
	return err
}

// open gives the archive and how many bytes it has, as far as that is known.
func (src source) open(c *gate.Call) (io.ReadCloser, int64, error) {
	inS3 := src.Bucket != nil || src.Key != nil || src.Version != nil
	switch {
	case src.KMSKey != nil && *src.KMSKey != "":
		return nil, 0, notBuilt("SourceKMSKeyArn")
	case src.Zip != nil && inS3:
		return nil, 0, invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
	case src.Zip == nil && !inS3 && src.For == publishLayer:
		return nil, 0, noLayerContent()
	case src.Zip == nil && !inS3:
		return nil, 0, invalid("Please provide a source for function code.")
	case inS3 && (src.Bucket == nil || src.Key == nil):
		return nil, 0, invalid("Both S3Bucket and S3Key are required when providing code in S3.")
	case inS3:
		return src.get(c)
	case len(src.Zip) == 0:
		return nil, 0, emptyArchive()
	case len(src.Zip) > maxZipped:
		return nil, 0, awserr.New("RequestEntityTooLargeException", 413, "Request must be smaller than %d bytes for the %s operation", maxZipped, src.For)
	}
	return io.NopCloser(bytes.NewReader(src.Zip)), int64(len(src.Zip)), nil
}

// get opens the archive in S3 with the caller's own permissions, as Lambda does.
func (src source) get(c *gate.Call) (io.ReadCloser, int64, error) {
	out, err := s3.Client{Caller: c.Forward("lambda.amazonaws.com")}.GetObject(c.Context(),
		&s3.GetObjectInput{Bucket: *src.Bucket, Key: *src.Key, VersionId: src.Version})
	if e, ok := errors.AsType[*awserr.Error](err); ok && e.Kind != awserr.Internal {
		code, _ := s3.Service.Code(s3.OpGetObject, err)
		return nil, 0, invalid("Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s", code, e.Message)
	}
	if err != nil {
		return nil, 0, err
	}
	size := int64(maxFetched)
	if out.ContentLength != nil {
		size = min(size, *out.ContentLength)
	}
	return out.Body, size, nil
}

// keep makes the archive one that rows refer to, once more.
func (s *Service) keep(tx *store.Tx, f fetched) error {
	if f.image != nil {
		return s.keepImage(tx, f)
	}
	a, ok, err := s.t.archives.Get(tx, archiveKey(f.SHA256))
	if err != nil {
		return err
	}
	if !ok {
		a = archive{Blob: f.ref, Unzipped: f.Unzipped}
		if err := s.Blobs.Keep(tx, a.Blob); err != nil {
			return err
		}
	}
	a.Uses++
	return s.t.archives.Put(tx, archiveKey(f.SHA256), a)
}

// again refers once more to archives that are referred to already.
func (t *tables) again(tx *store.Tx, uses ...packageUse) error {
	for _, u := range uses {
		if u.Image {
			if err := t.againImage(tx, u); err != nil {
				return err
			}
			continue
		}
		a, ok, err := t.archives.Get(tx, archiveKey(u.SHA256))
		if err != nil {
			return err
		}
		if !ok {
			return errGone
		}
		a.Uses++
		if err := t.archives.Put(tx, archiveKey(u.SHA256), a); err != nil {
			return err
		}
	}
	return nil
}

// release ends references to archives; the last one gives the blob up.
func (s *Service) release(tx *store.Tx, uses ...packageUse) error {
	for _, u := range uses {
		if u.Image {
			if err := s.releaseImage(tx, u); err != nil {
				return err
			}
			continue
		}
		a, ok, err := s.t.archives.Get(tx, archiveKey(u.SHA256))
		if err != nil {
			return err
		}
		if !ok {
			return errGone
		}
		if a.Uses--; a.Uses > 0 {
			err = s.t.archives.Put(tx, archiveKey(u.SHA256), a)
		} else if _, err = s.t.archives.Delete(tx, archiveKey(u.SHA256)); err == nil {
			err = s.Blobs.Drop(tx, a.Blob.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errGone is a fault of ours: a row refers to an archive that is not there.
var errGone = errors.New("lambda: an archive in use is gone")

// packages are all that a version refers to.
func (v version) packages() []packageUse {
	out := []packageUse{v.Code}
	for _, l := range v.Layers {
		out = append(out, l.packageUse)
	}
	return out
}
