package s3

import (
	"slices"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const ownerEnforced = "BucketOwnerEnforced"

// change alters a bucket's record.
func (s *Service) change(c *gate.Call, name string, fn func(*bucket) error) error {
	return c.Update(func(tx *store.Tx) error {
		b, err := s.t.bucket(tx, name)
		if err != nil {
			return err
		}
		if err := fn(b); err != nil {
			return err
		}
		return s.t.putBucket(tx, b)
	})
}

func (s *Service) getBucketVersioning(c *gate.Call, in *api.GetBucketVersioningInput) (*api.GetBucketVersioningOutput, error) {
	b, err := s.read(c, in.Bucket)
	if err != nil {
		return nil, err
	}
	return &api.GetBucketVersioningOutput{Status: optional(b.Versioning)}, nil
}

func (s *Service) putBucketVersioning(c *gate.Call, in *api.PutBucketVersioningInput) (*api.PutBucketVersioningOutput, error) {
	cfg := in.VersioningConfiguration
	switch {
	case cfg == nil || cfg.Status == nil || *cfg.Status != enabled && *cfg.Status != suspended:
		return nil, malformedXML()
	case in.MFA != nil || wire.Val(cfg.MFADelete) == enabled:
		return nil, notBuilt("MFA delete")
	}
	return &api.PutBucketVersioningOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		b.Versioning = *cfg.Status
		return nil
	})
}

func (s *Service) getBucketEncryption(c *gate.Call, in *api.GetBucketEncryptionInput) (*api.GetBucketEncryptionOutput, error) {
	b, err := s.read(c, in.Bucket)
	if err != nil {
		return nil, err
	}
	return &api.GetBucketEncryptionOutput{ServerSideEncryptionConfiguration: &api.ServerSideEncryptionConfiguration{Rules: []api.ServerSideEncryptionRule{{
		ApplyServerSideEncryptionByDefault: &api.ServerSideEncryptionByDefault{SSEAlgorithm: aes256}, BucketKeyEnabled: &b.BucketKey}}}}, nil
}

func (s *Service) putBucketEncryption(c *gate.Call, in *api.PutBucketEncryptionInput) (*api.PutBucketEncryptionOutput, error) {
	cfg := in.ServerSideEncryptionConfiguration
	if cfg == nil || len(cfg.Rules) != 1 {
		return nil, malformedXML()
	}
	rule := cfg.Rules[0]
	if by := rule.ApplyServerSideEncryptionByDefault; by != nil {
		switch {
		case strings.HasPrefix(by.SSEAlgorithm, "aws:"):
			return nil, notBuilt("SSEAlgorithm " + by.SSEAlgorithm)
		case by.SSEAlgorithm != aes256:
			return nil, malformedXML()
		case by.KMSMasterKeyID != nil:
			return nil, invalidArgument("a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse", "KMSMasterKeyID", "")
		}
	}
	if blocked := rule.BlockedEncryptionTypes; blocked != nil && slices.ContainsFunc(blocked.EncryptionType, func(t string) bool { return t != "SSE-C" }) {
		return nil, notBuilt("BlockedEncryptionTypes other than SSE-C") // customer keys are refused anyway
	}
	return &api.PutBucketEncryptionOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		b.BucketKey = wire.Val(rule.BucketKeyEnabled)
		return nil
	})
}

func (s *Service) deleteBucketEncryption(c *gate.Call, in *api.DeleteBucketEncryptionInput) (*api.DeleteBucketEncryptionOutput, error) {
	return &api.DeleteBucketEncryptionOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		b.BucketKey = false
		return nil
	})
}

// ownership refuses the object ownerships that bring ACLs back.
func ownership(name string) error {
	switch name {
	case ownerEnforced:
		return nil
	case "ObjectWriter", "BucketOwnerPreferred":
		return notBuilt("object ownership " + name)
	}
	return invalidArgument("Invalid x-amz-object-ownership header: "+name, "x-amz-object-ownership", name)
}

func (s *Service) getOwnership(c *gate.Call, in *api.GetBucketOwnershipControlsInput) (*api.GetBucketOwnershipControlsOutput, error) {
	b, err := s.read(c, in.Bucket)
	switch {
	case err != nil:
		return nil, err
	case b.Ownership == "":
		return nil, fail("OwnershipControlsNotFoundError", 404, "The bucket ownership controls were not found", "BucketName", b.Name)
	}
	return &api.GetBucketOwnershipControlsOutput{OwnershipControls: &api.OwnershipControls{
		Rules: []api.OwnershipControlsRule{{ObjectOwnership: b.Ownership}}}}, nil
}

func (s *Service) putOwnership(c *gate.Call, in *api.PutBucketOwnershipControlsInput) (*api.PutBucketOwnershipControlsOutput, error) {
	if in.OwnershipControls == nil || len(in.OwnershipControls.Rules) != 1 {
		return nil, malformedXML()
	}
	if err := ownership(in.OwnershipControls.Rules[0].ObjectOwnership); err != nil {
		return nil, err
	}
	return &api.PutBucketOwnershipControlsOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		b.Ownership = ownerEnforced
		return nil
	})
}

func (s *Service) deleteOwnership(c *gate.Call, in *api.DeleteBucketOwnershipControlsInput) (*api.DeleteBucketOwnershipControlsOutput, error) {
	return &api.DeleteBucketOwnershipControlsOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		b.Ownership = "" // ACLs stay off all the same
		return nil
	})
}

// ownersOnly is the ACL of everything: the owner may do all.
func ownersOnly(account string) []api.Grant {
	return []api.Grant{{Grantee: &api.Grantee{ID: owner(account).ID, Type: "CanonicalUser"}, Permission: new("FULL_CONTROL")}}
}

func (s *Service) getBucketACL(c *gate.Call, in *api.GetBucketAclInput) (*api.GetBucketAclOutput, error) {
	b, err := s.read(c, in.Bucket)
	if err != nil {
		return nil, err
	}
	return &api.GetBucketAclOutput{Owner: owner(b.Account), Grants: ownersOnly(b.Account)}, nil
}

// putBucketACL takes the ACL that every bucket has, and no other.
func (s *Service) putBucketACL(c *gate.Call, in *api.PutBucketAclInput) (*api.PutBucketAclOutput, error) {
	if given(in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWrite, in.GrantWriteACP) || in.ACL != nil && *in.ACL != "private" {
		return nil, noACL()
	}
	if in.ACL == nil && in.AccessControlPolicy == nil {
		return nil, fail("MissingSecurityHeader", 400, "Your request was missing a required header", "MissingHeaderName", "x-amz-acl")
	}
	return &api.PutBucketAclOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		if p := in.AccessControlPolicy; p != nil && !(len(p.Grants) == 1 && p.Grants[0].Grantee != nil &&
			wire.Val(p.Grants[0].Grantee.ID) == *owner(b.Account).ID && wire.Val(p.Grants[0].Permission) == "FULL_CONTROL") {
			return noACL()
		}
		return nil
	})
}

func (s *Service) getBucketTagging(c *gate.Call, in *api.GetBucketTaggingInput) (*api.GetBucketTaggingOutput, error) {
	b, err := s.read(c, in.Bucket)
	switch {
	case err != nil:
		return nil, err
	case len(b.Tags) == 0:
		return nil, fail("NoSuchTagSet", 404, "The TagSet does not exist", "BucketName", b.Name)
	}
	return &api.GetBucketTaggingOutput{TagSet: b.Tags}, nil
}

func (s *Service) putBucketTagging(c *gate.Call, in *api.PutBucketTaggingInput) (*api.PutBucketTaggingOutput, error) {
	if in.Tagging == nil {
		return nil, malformedXML()
	}
	if err := checkTags(in.Tagging.TagSet, maxBucketTags); err != nil {
		return nil, err
	}
	return &api.PutBucketTaggingOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		tags, err := b.retagged(c, in.Tagging.TagSet)
		b.Tags = tags
		return err
	})
}

func (s *Service) deleteBucketTagging(c *gate.Call, in *api.DeleteBucketTaggingInput) (*api.DeleteBucketTaggingOutput, error) {
	return &api.DeleteBucketTaggingOutput{}, s.change(c, in.Bucket, func(b *bucket) error {
		tags, err := b.retagged(c, nil)
		b.Tags = tags
		return err
	})
}

// retagged are the bucket's tags after a request. The system's own (aws:…) only a service that
// acts for the caller may change; from others they stay.
func (b *bucket) retagged(c *gate.Call, tags []api.Tag) ([]api.Tag, error) {
	if len(c.Source().Via) > 0 {
		return tags, nil
	}
	var out []api.Tag
	for _, t := range b.Tags {
		if isSystem(t) {
			out = append(out, t)
		}
	}
	for _, t := range tags {
		switch {
		case !isSystem(t):
			out = append(out, t)
		case !slices.Contains(b.Tags, t):
			return nil, noSystemTags([]api.Tag{t})
		}
	}
	return out, nil
}

// getBucketCORS has nothing to show: a rule can be put only where pages of other origins are let in,
// and clients (terraform) ask every bucket.
func (s *Service) getBucketCORS(c *gate.Call, in *api.GetBucketCorsInput) (*api.GetBucketCorsOutput, error) {
	b, err := s.read(c, in.Bucket)
	if err != nil {
		return nil, err
	}
	return nil, fail("NoSuchCORSConfiguration", 404, "The CORS configuration does not exist", "BucketName", b.Name)
}
