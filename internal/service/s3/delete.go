package s3

import (
	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const maxDelete = 1000 // objects of one DeleteObjects

func deletion(version *string) string {
	if version != nil {
		return "DeleteObjectVersion"
	}
	return "DeleteObject"
}

func (s *Service) needDelete(a *gate.Ask, in *api.DeleteObjectInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	needs := []gate.Need{p.on(deletion(in.VersionId), in.Key, in.VersionId)}
	if in.IfMatch != nil {
		needs = append(needs, p.on("GetObject", in.Key, nil))
	}
	return needs, nil
}

func (s *Service) deleteObject(c *gate.Call, in *api.DeleteObjectInput) (*api.DeleteObjectOutput, error) {
	switch {
	case in.MFA != nil:
		return nil, notBuilt("x-amz-mfa")
	case wire.Val(in.BypassGovernanceRetention):
		return nil, notBuilt("x-amz-bypass-governance-retention")
	case in.IfMatchLastModifiedTime != nil || in.IfMatchSize != nil:
		return nil, notBuilt("x-amz-if-match-last-modified-time and x-amz-if-match-size")
	}
	id := s.ids.Lower(versionIDLen)
	return gate.Commit(c, func(tx *store.Tx) (*api.DeleteObjectOutput, error) {
		b, err := s.t.bucket(tx, in.Bucket)
		if err != nil {
			return nil, err
		}
		d, err := s.erase(tx, c, b, deleting{key: in.Key, version: in.VersionId, ifMatch: in.IfMatch, marker: id})
		if err != nil {
			return nil, err
		}
		out := &api.DeleteObjectOutput{VersionId: d.VersionId, DeleteMarker: d.DeleteMarker}
		if d.DeleteMarkerVersionId != nil {
			out.VersionId = d.DeleteMarkerVersionId
		}
		return out, nil
	})
}

// deleting is one object that goes.
type deleting struct {
	key     string
	version *string
	ifMatch *string
	marker  string // the version id of a new delete marker
}

// erase deletes one version, or, where the request names none, puts a delete marker over them;
// what is not there is no error.
func (s *Service) erase(tx *store.Tx, c *gate.Call, b *bucket, d deleting) (api.DeletedObject, error) {
	out := api.DeletedObject{Key: &d.key, VersionId: d.version}
	if err := checkKey(d.key); err != nil {
		return out, err
	}
	if err := checkVersion(d.version); err != nil {
		return out, err
	}
	o, err := s.t.version(tx, b, d.key, d.version)
	if err != nil {
		return out, err
	}
	if d.ifMatch != nil {
		if o == nil || o.Marker {
			return out, noSuchKey(d.key)
		}
		if !matches(*d.ifMatch, o.ETag) {
			return out, preconditionFailed("If-Match")
		}
	}
	if d.version != nil {
		if o == nil {
			return out, nil
		}
		if o.Marker {
			out.DeleteMarker, out.DeleteMarkerVersionId = new(true), d.version
		}
		return out, s.remove(tx, b, o)
	}
	if !b.versioned() {
		if o == nil {
			return out, nil
		}
		return out, s.remove(tx, b, o)
	}
	m := &object{Key: d.key, Marker: true, Modified: c.Now()}
	err = s.add(tx, b, m, d.marker)
	out.DeleteMarker, out.DeleteMarkerVersionId = new(true), new(m.id())
	return out, err
}

// needDeleteObjects has one need for each object; one that is refused fails by itself.
func (s *Service) needDeleteObjects(a *gate.Ask, in *api.DeleteObjectsInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if in.Delete == nil || len(in.Delete.Objects) == 0 || len(in.Delete.Objects) > maxDelete {
		return nil, malformedXML()
	}
	needs := make([]gate.Need, 0, 2*len(in.Delete.Objects))
	for _, o := range in.Delete.Objects {
		n := p.on(deletion(o.VersionId), o.Key, o.VersionId)
		n.Optional = true
		read := p.on("GetObject", o.Key, nil)
		read.Optional = true
		needs = append(needs, n, read)
	}
	return needs, nil
}

func (s *Service) deleteObjects(c *gate.Call, in *api.DeleteObjectsInput) (*api.DeleteObjectsOutput, error) {
	switch {
	case in.MFA != nil:
		return nil, notBuilt("x-amz-mfa")
	case wire.Val(in.BypassGovernanceRetention):
		return nil, notBuilt("x-amz-bypass-governance-retention")
	}
	id := s.ids.Lower(versionIDLen)
	return gate.Commit(c, func(tx *store.Tx) (*api.DeleteObjectsOutput, error) {
		b, err := s.t.bucket(tx, in.Bucket)
		if err != nil {
			return nil, err
		}
		out := &api.DeleteObjectsOutput{}
		for i := range in.Delete.Objects {
			o := &in.Delete.Objects[i]
			done, err := s.eraseOne(tx, c, b, i, o, id)
			switch e := refusal(err); {
			case err != nil && e == nil:
				return nil, err
			case e != nil:
				out.Errors = append(out.Errors, api.Error{Key: &o.Key, VersionId: o.VersionId, Code: new(codeOf(e)), Message: &e.Message})
			case !wire.Val(in.Delete.Quiet):
				out.Deleted = append(out.Deleted, done)
			}
		}
		return out, nil
	})
}

func (s *Service) eraseOne(tx *store.Tx, c *gate.Call, b *bucket, i int, o *api.ObjectIdentifier, id string) (api.DeletedObject, error) {
	if err := c.Refusal(2 * i); err != nil {
		return api.DeletedObject{}, err
	}
	if o.ETag != nil {
		if err := c.Refusal(2*i + 1); err != nil {
			return api.DeletedObject{}, err
		}
	}
	if o.LastModifiedTime != nil || o.Size != nil {
		return api.DeletedObject{}, notBuilt("LastModifiedTime and Size")
	}
	return s.erase(tx, c, b, deleting{key: o.Key, version: o.VersionId, ifMatch: o.ETag, marker: id})
}

// refusal is an error that is the caller's, nil for one that must fail the whole.
func refusal(err error) *awserr.Error {
	if err == nil {
		return nil
	}
	if e := awserr.Wrap(err); e.Kind != awserr.Internal && e.Status < 500 {
		return e
	}
	return nil
}

func codeOf(e *awserr.Error) string {
	code, _ := api.Service.Code(api.OpDeleteObjects, e)
	return code
}
