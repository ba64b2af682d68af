package lambda

import (
	"slices"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) publishLayerVersion(c *gate.Call, in *lambda.PublishLayerVersionInput) (*lambda.PublishLayerVersionOutput, error) {
	k, at, err := referLayer(c, in.LayerName)
	if err != nil {
		return nil, err
	}
	if at != 0 || k.Account != c.Account() {
		return nil, invalid("A layer version is published by its own account under the layer's name.")
	}
	if in.Content == nil {
		return nil, noLayerContent()
	}
	code, err := s.fetch(c, source{Zip: in.Content.ZipFile, Bucket: in.Content.S3Bucket, Key: in.Content.S3Key, Version: in.Content.S3ObjectVersion, For: publishLayer})
	if err != nil {
		return nil, err
	}
	defer s.settle(c, &code)
	v := layerVersion{Description: wire.Val(in.Description), License: wire.Val(in.LicenseInfo), Runtimes: in.CompatibleRuntimes,
		Architectures: in.CompatibleArchitectures, Created: c.Now(), Code: code.packageUse, Account: k.Account, Named: k.Name}
	published, err := gate.Commit(c, func(tx *store.Tx) (*lambda.PublishLayerVersionOutput, error) {
		l, ok, err := s.t.layers.Get(tx, k.key())
		if err != nil {
			return nil, err
		}
		if !ok {
			l.Next = 1
		}
		v := v
		v.Number = l.Next
		l.Next++
		if err := s.t.layers.Put(tx, k.key(), l); err != nil {
			return nil, err
		}
		if err := s.occupy(tx, k, v.Code.counted()); err != nil {
			return nil, err
		}
		if err := s.keep(tx, code); err != nil {
			return nil, err
		}
		if err := s.t.layerVers.Put(tx, k.key(v.Number), v); err != nil {
			return nil, err
		}
		out := lambda.PublishLayerVersionOutput(*v.show(k))
		return &out, nil
	})
	if err != nil {
		return nil, err
	}
	out := *published // the address is the caller's, not the record's
	content := *out.Content
	content.Location, err = s.location(c, *out.LayerVersionArn, code.packageUse)
	out.Content = &content
	return &out, err
}

func (v layerVersion) show(k layerKey) *lambda.GetLayerVersionResponse {
	return &lambda.GetLayerVersionResponse{
		Content:  &lambda.LayerVersionContentOutput{CodeSha256: new(codeSHA(v.Code.SHA256)), CodeSize: new(v.Code.Size)},
		LayerArn: new(k.arn(0)), LayerVersionArn: new(k.arn(v.Number)), Description: new(v.Description), CreatedDate: when(v.Created),
		Version: new(v.Number), CompatibleRuntimes: v.Runtimes, LicenseInfo: optional(v.License), CompatibleArchitectures: v.Architectures,
	}
}

func (v layerVersion) item(k layerKey) *lambda.LayerVersionsListItem {
	return &lambda.LayerVersionsListItem{LayerVersionArn: new(k.arn(v.Number)), Version: new(v.Number), Description: new(v.Description),
		CreatedDate: when(v.Created), CompatibleRuntimes: v.Runtimes, LicenseInfo: optional(v.License), CompatibleArchitectures: v.Architectures}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (s *Service) getLayerVersion(c *gate.Call, in *lambda.GetLayerVersionInput) (*lambda.GetLayerVersionResponse, error) {
	k, _, err := referLayer(c, in.LayerName)
	if err != nil {
		return nil, err
	}
	return s.readLayer(c, k, in.VersionNumber)
}

func (s *Service) getLayerVersionByARN(c *gate.Call, in *lambda.GetLayerVersionByArnInput) (*lambda.GetLayerVersionResponse, error) {
	k, n, err := referLayer(c, in.Arn)
	if err != nil {
		return nil, err
	}
	return s.readLayer(c, k, n)
}

func (s *Service) readLayer(c *gate.Call, k layerKey, n int64) (*lambda.GetLayerVersionResponse, error) {
	var v layerVersion
	err := c.View(func(tx *store.Tx) error {
		var ok bool
		var err error
		if v, ok, err = s.t.layerVers.Get(tx, k.key(n)); err == nil && !ok {
			err = noLayer()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := v.show(k)
	out.Content.Location, err = s.location(c, k.arn(n), v.Code)
	return out, err
}

// suits reports whether a version is among those that a list asks for; one that names no runtimes
// or processors suits all.
func (v layerVersion) suits(runtime, arch *string) bool {
	return (runtime == nil || slices.Contains(v.Runtimes, *runtime)) && (arch == nil || len(v.Architectures) == 0 || slices.Contains(v.Architectures, *arch))
}

func (s *Service) listLayerVersions(c *gate.Call, in *lambda.ListLayerVersionsInput) (*lambda.ListLayerVersionsOutput, error) {
	k, _, err := referLayer(c, in.LayerName)
	if err != nil {
		return nil, err
	}
	if k.Account != c.Account() {
		return nil, notFound("The resource you requested does not exist.")
	}
	p, err := pageOf(in.Marker, in.MaxItems, 50)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListLayerVersionsOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.LayerVersions = []lambda.LayerVersionsListItem{}
		r := p.from()
		r.Reverse = true // newest first
		for e, err := range s.t.layerVers.Scan(tx, k.key(), r) {
			if err != nil {
				return err
			}
			if !e.Value.suits(in.CompatibleRuntime, in.CompatibleArchitecture) {
				continue
			}
			if len(out.LayerVersions) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			out.LayerVersions = append(out.LayerVersions, *e.Value.item(k))
			p.last = e.Key
		}
		return nil
	})
	return out, err
}

func (s *Service) listLayers(c *gate.Call, in *lambda.ListLayersInput) (*lambda.ListLayersOutput, error) {
	p, err := pageOf(in.Marker, in.MaxItems, 50)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListLayersOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.Layers = []lambda.LayersListItem{}
		for e, err := range s.t.layers.Scan(tx, regionKey(c.Account(), c.Region()), p.from()) {
			if err != nil {
				return err
			}
			k := layerKey{c.Account(), c.Region(), e.Key.Text(2)}
			v, ok, err := s.newest(tx, k, in)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if len(out.Layers) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			out.Layers = append(out.Layers, lambda.LayersListItem{LayerName: new(k.Name), LayerArn: new(k.arn(0)), LatestMatchingVersion: v.item(k)})
			p.last = e.Key
		}
		return nil
	})
	return out, err
}

func (s *Service) newest(tx *store.Tx, k layerKey, in *lambda.ListLayersInput) (layerVersion, bool, error) {
	for e, err := range s.t.layerVers.Scan(tx, k.key(), store.Range{Reverse: true}) {
		if err != nil {
			return layerVersion{}, false, err
		}
		if e.Value.suits(in.CompatibleRuntime, in.CompatibleArchitecture) {
			return e.Value, true, nil
		}
	}
	return layerVersion{}, false, nil
}

// deleteLayerVersion takes a version out of the lists; functions that use it keep it.
func (s *Service) deleteLayerVersion(c *gate.Call, in *lambda.DeleteLayerVersionInput) (*lambda.DeleteLayerVersionOutput, error) {
	k, _, err := referLayer(c, in.LayerName)
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.DeleteLayerVersionOutput, error) {
		out := &lambda.DeleteLayerVersionOutput{}
		v, ok, err := s.t.layerVers.Get(tx, k.key(in.VersionNumber))
		if err != nil || !ok {
			return out, err // deleting one that is gone succeeds, as on AWS
		}
		if err := s.occupy(tx, k, -v.Code.counted()); err != nil {
			return nil, err
		}
		if err := s.release(tx, v.Code); err != nil {
			return nil, err
		}
		if _, err := s.t.layerVers.Delete(tx, k.key(in.VersionNumber)); err != nil {
			return nil, err
		}
		_, err = s.t.layerPolicy.Delete(tx, k.key(in.VersionNumber))
		return out, err
	})
}

// publishLayer is the operation as errors name it.
const publishLayer = "PublishLayerVersion"

func noLayerContent() error { return invalid("Please provide a source for layer content.") }
