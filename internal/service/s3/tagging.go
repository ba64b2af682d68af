package s3

import (
	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// onVersion is one action on a version of an object, and who learns that there is none.
func (s *Service) onVersion(a *gate.Ask, name, key string, version, expected *string, action string) ([]gate.Need, error) {
	p, err := s.at(a, name, expected)
	if err != nil {
		return nil, err
	}
	return []gate.Need{p.on(versioned(action, version), key, version), p.list()}, nil
}

func (s *Service) needGetTags(a *gate.Ask, in *api.GetObjectTaggingInput) ([]gate.Need, error) {
	return s.onVersion(a, in.Bucket, in.Key, in.VersionId, in.ExpectedBucketOwner, "GetObjectTagging")
}

func (s *Service) getObjectTagging(c *gate.Call, in *api.GetObjectTaggingInput) (*api.GetObjectTaggingOutput, error) {
	f, err := s.find(c, in.Bucket, in.Key, in.VersionId, false)
	if err != nil {
		return nil, err
	}
	return &api.GetObjectTaggingOutput{TagSet: append([]api.Tag{}, f.object.Tags...), VersionId: f.shown(f.object)}, nil
}

func (s *Service) needPutTags(a *gate.Ask, in *api.PutObjectTaggingInput) ([]gate.Need, error) {
	needs, err := s.onVersion(a, in.Bucket, in.Key, in.VersionId, in.ExpectedBucketOwner, "PutObjectTagging")
	if err == nil && in.Tagging != nil {
		needs[0].Keys = requestTags(needs[0].Keys, in.Tagging.TagSet)
	}
	return needs, err
}

func (s *Service) putObjectTagging(c *gate.Call, in *api.PutObjectTaggingInput) (*api.PutObjectTaggingOutput, error) {
	if in.Tagging == nil {
		return nil, malformedXML()
	}
	if err := checkTags(in.Tagging.TagSet, maxObjectTags); err != nil {
		return nil, err
	}
	if err := noSystemTags(in.Tagging.TagSet); err != nil {
		return nil, err
	}
	id, err := s.retag(c, in.Bucket, in.Key, in.VersionId, in.Tagging.TagSet)
	return &api.PutObjectTaggingOutput{VersionId: id}, err
}

func (s *Service) needDeleteTags(a *gate.Ask, in *api.DeleteObjectTaggingInput) ([]gate.Need, error) {
	return s.onVersion(a, in.Bucket, in.Key, in.VersionId, in.ExpectedBucketOwner, "DeleteObjectTagging")
}

func (s *Service) deleteObjectTagging(c *gate.Call, in *api.DeleteObjectTaggingInput) (*api.DeleteObjectTaggingOutput, error) {
	id, err := s.retag(c, in.Bucket, in.Key, in.VersionId, nil)
	return &api.DeleteObjectTaggingOutput{VersionId: id}, err
}

func (s *Service) retag(c *gate.Call, name, key string, version *string, tags []api.Tag) (id *string, err error) {
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	err = c.Update(func(tx *store.Tx) error {
		f := &found{}
		var err error
		if f.bucket, err = s.t.bucket(tx, name); err != nil {
			return err
		}
		if f.object, err = s.t.version(tx, f.bucket, key, version); err != nil {
			return err
		}
		if err := f.missing(c, key, version); err != nil {
			return err
		}
		id = f.shown(f.object)
		f.object.Tags = tags
		return s.t.save(tx, f.bucket, f.object)
	})
	return id, err
}

func (s *Service) needGetACL(a *gate.Ask, in *api.GetObjectAclInput) ([]gate.Need, error) {
	return s.onVersion(a, in.Bucket, in.Key, in.VersionId, in.ExpectedBucketOwner, "GetObjectAcl")
}

func (s *Service) getObjectACL(c *gate.Call, in *api.GetObjectAclInput) (*api.GetObjectAclOutput, error) {
	f, err := s.find(c, in.Bucket, in.Key, in.VersionId, false)
	if err != nil {
		return nil, err
	}
	return &api.GetObjectAclOutput{Owner: owner(f.Account), Grants: ownersOnly(f.Account)}, nil
}
