package lambda

import (
	"errors"
	"io"
	"net/url"
	"reflect"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/blob"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// A deployment package is downloaded from the address that GetFunction and GetLayerVersion give. On AWS
// that is a presigned URL of a bucket of Lambda's own; here it is one of an operation at the same door,
// signed for who asked and good for as long as AWS's: who may no longer read the function may no longer
// download it either, and each download is recorded.
const (
	downloadPath = "/_bastide/v1/lambda/package"
	// downloadFor is how long an address is good. Source: AWS Lambda API Reference, GetFunction.
	downloadFor = 10 * time.Minute
)

// download is the input of DownloadPackage.
type download struct {
	Resource   string `wire:"Resource" in:"querystring" opt:"required" min:"1" max:"300"`
	CodeSha256 string `wire:"CodeSha256" in:"querystring" opt:"required" min:"44" max:"44"`
}

type downloaded struct {
	Body          io.ReadCloser `wire:"Body" in:"payload"`
	ContentType   *string       `wire:"Content-Type" name:"ContentType" in:"header"`
	ContentLength *int64        `wire:"Content-Length" name:"ContentLength" in:"header"`
}

// opDownload is no part of AWS's API, which has a bucket in its place.
var opDownload = &wire.Operation{Name: "DownloadPackage", Method: "GET", URI: downloadPath, Status: 200,
	In: reflect.TypeFor[download](), Out: reflect.TypeFor[downloaded](), NewIn: func() any { return new(download) },
	Errors: lambda.OpGetFunction.Errors}

// packages is the model of downloads: of the service, but for AWS's own operations.
var packages = wire.NewService(wire.Service{ID: lambda.Service.ID, SigningName: lambda.Service.SigningName, EndpointPrefix: lambda.Service.EndpointPrefix,
	EventSource: lambda.Service.EventSource, ActionPrefix: lambda.Service.ActionPrefix, Protocol: wire.RestJSON, APIVersion: lambda.Service.APIVersion,
	Operations: []*wire.Operation{opDownload}})

// Packages is the table of downloads.
func (s *Service) Packages() gate.Unit {
	return gate.Unit{Model: packages, Ops: []gate.Op{gate.On(opDownload, gate.Read, s.needDownload, s.download)}}
}

// packageAt is what an ARN names: a version of a function, or one of a layer where layer is true.
func packageAt(p place, in *download) (r reference, l layerKey, n int64, layer bool, err error) {
	if parsed, bad := name.ParseLayer(in.Resource); bad == nil && parsed.Account != "" {
		l, n, err = referLayer(p, in.Resource)
		return r, l, n, true, err
	}
	r, err = refer(p, named{in.Resource, nil})
	return r, l, 0, false, err
}

// needDownload is the right to read what the package belongs to.
func (s *Service) needDownload(a *gate.Ask, in *download) ([]gate.Need, error) {
	r, l, n, layer, err := packageAt(a, in)
	if err != nil {
		return nil, err
	}
	var need gate.Need
	if layer {
		need, err = s.layerNeed(a, l, n)
	} else {
		need, err = s.need(a, "lambda:GetFunction", r)
	}
	return []gate.Need{need}, err
}

func (s *Service) download(c *gate.Call, in *download) (*downloaded, error) {
	r, l, n, layer, err := packageAt(c, in)
	if err != nil {
		return nil, err
	}
	var kept archive
	var size int64
	err = c.View(func(tx *store.Tx) error {
		var use packageUse
		if layer {
			v, ok, err := s.t.layerVers.Get(tx, l.key(n))
			if err != nil {
				return err
			}
			if !ok {
				return noLayer()
			}
			use = v.Code
		} else {
			_, v, err := s.t.qualified(tx, r)
			if err != nil {
				return err
			}
			use = v.Code
		}
		if use.Image || codeSHA(use.SHA256) != in.CodeSha256 {
			return notFound("The package that this address was given for is no longer there: %s", in.Resource)
		}
		var ok bool
		var err error
		if kept, ok, err = s.t.archives.Get(tx, archiveKey(use.SHA256)); err == nil && !ok {
			err = errGone
		}
		size = use.Size
		return err
	})
	if err != nil {
		return nil, err
	}
	f, err := s.Blobs.Open(kept.Blob.ID)
	if errors.Is(err, blob.ErrNotFound) { // released since
		return nil, notFound("The package that this address was given for is no longer there: %s", in.Resource)
	}
	return &downloaded{Body: f, ContentType: new("application/zip"), ContentLength: &size}, err
}

// Presigned is a request of this service that its bearer may send for a while.
type Presigned struct {
	Path, Query string
	Region      string
	For         time.Duration
}

// location is the address at which the caller may download a package; nil for callers who sign nothing.
func (s *Service) location(c *gate.Call, resource string, use packageUse) (*string, error) {
	if s.Presign == nil {
		return nil, nil
	}
	q := url.Values{"Resource": {resource}, "CodeSha256": {codeSHA(use.SHA256)}}
	return s.Presign(c, Presigned{Path: downloadPath, Query: q.Encode(), Region: c.Region(), For: downloadFor})
}

func noLayer() error { return notFound("The resource you requested does not exist.") }
