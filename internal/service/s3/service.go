package s3

import (
	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/ids"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

// Sealer keeps the keys of contents unreadable in the store; package sealing's is one.
type Sealer interface {
	Seal(tx *store.Tx, sc sealing.Scope, row, plaintext []byte) ([]byte, error)
	Open(tx *store.Tx, row, sealed []byte) ([]byte, error)
}

// Deps are what the service works with.
type Deps struct {
	IDs    ids.Source
	Blobs  *store.Blobs
	Sealer Sealer
}

// Service is S3.
type Service struct {
	ids    ids.Source
	blobs  *store.Blobs
	sealer Sealer
	t      tables
}

// New makes the service.
func New(d Deps) *Service {
	return &Service{ids: d.IDs, blobs: d.Blobs, sealer: d.Sealer, t: newTables()}
}

// Unit is the service's table.
func (s *Service) Unit() gate.Unit { return gate.Unit{Model: api.Service, Ops: s.Ops()} }

// Ops is the table: operation, access, needs, handler.
func (s *Service) Ops() []gate.Op { return append(s.bucketOps(), s.objectOps()...) }

func (s *Service) bucketOps() []gate.Op {
	return []gate.Op{
		gate.On(api.OpListBuckets, gate.Read, s.needListBuckets, s.listBuckets),
		gate.On(api.OpCreateBucket, gate.Write, s.needCreateBucket, s.createBucket),
		gate.On(api.OpGetBucketLocation, gate.Read, s.needLocation, s.getBucketLocation),
		gate.On(api.OpHeadBucket, gate.Read, onBucket(s, "ListBucket", func(in *api.HeadBucketInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.headBucket),
		gate.On(api.OpDeleteBucket, gate.Write, onBucket(s, "DeleteBucket", func(in *api.DeleteBucketInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.deleteBucket),
		gate.On(api.OpGetBucketVersioning, gate.Read, onBucket(s, "GetBucketVersioning", func(in *api.GetBucketVersioningInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.getBucketVersioning),
		gate.On(api.OpPutBucketVersioning, gate.Write, onBucket(s, "PutBucketVersioning", func(in *api.PutBucketVersioningInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.putBucketVersioning),
		gate.On(api.OpGetBucketEncryption, gate.Read, onBucket(s, "GetEncryptionConfiguration", func(in *api.GetBucketEncryptionInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.getBucketEncryption),
		gate.On(api.OpPutBucketEncryption, gate.Write, onBucket(s, "PutEncryptionConfiguration", func(in *api.PutBucketEncryptionInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.putBucketEncryption),
		gate.On(api.OpDeleteBucketEncryption, gate.Write, onBucket(s, "PutEncryptionConfiguration", func(in *api.DeleteBucketEncryptionInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.deleteBucketEncryption),
		gate.On(api.OpGetBucketOwnershipControls, gate.Read, onBucket(s, "GetBucketOwnershipControls", func(in *api.GetBucketOwnershipControlsInput) (string, *string) {
			return in.Bucket, in.ExpectedBucketOwner
		}), s.getOwnership),
		gate.On(api.OpPutBucketOwnershipControls, gate.Write, onBucket(s, "PutBucketOwnershipControls", func(in *api.PutBucketOwnershipControlsInput) (string, *string) {
			return in.Bucket, in.ExpectedBucketOwner
		}), s.putOwnership),
		gate.On(api.OpDeleteBucketOwnershipControls, gate.Write, onBucket(s, "PutBucketOwnershipControls", func(in *api.DeleteBucketOwnershipControlsInput) (string, *string) {
			return in.Bucket, in.ExpectedBucketOwner
		}), s.deleteOwnership),
		gate.On(api.OpGetBucketAcl, gate.Read, onBucket(s, "GetBucketAcl", func(in *api.GetBucketAclInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.getBucketACL),
		gate.On(api.OpPutBucketAcl, gate.Write, onBucket(s, "PutBucketAcl", func(in *api.PutBucketAclInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.putBucketACL),
		gate.On(api.OpGetBucketTagging, gate.Read, onBucket(s, "GetBucketTagging", func(in *api.GetBucketTaggingInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.getBucketTagging),
		gate.On(api.OpPutBucketTagging, gate.Write, onBucket(s, "PutBucketTagging", func(in *api.PutBucketTaggingInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.putBucketTagging),
		gate.On(api.OpDeleteBucketTagging, gate.Write, onBucket(s, "PutBucketTagging", func(in *api.DeleteBucketTaggingInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.deleteBucketTagging),
		gate.On(api.OpGetBucketCors, gate.Read, onBucket(s, "GetBucketCORS", func(in *api.GetBucketCorsInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.getBucketCORS),
		gate.On(api.OpGetBucketPolicy, gate.Read, needPolicy(s, "GetBucketPolicy", func(in *api.GetBucketPolicyInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.getBucketPolicy),
		gate.On(api.OpPutBucketPolicy, gate.Write, needPolicy(s, "PutBucketPolicy", func(in *api.PutBucketPolicyInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.putBucketPolicy),
		gate.On(api.OpDeleteBucketPolicy, gate.Write, needPolicy(s, "DeleteBucketPolicy", func(in *api.DeleteBucketPolicyInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.deleteBucketPolicy),
		gate.On(api.OpGetBucketPolicyStatus, gate.Read, onBucket(s, "GetBucketPolicyStatus", func(in *api.GetBucketPolicyStatusInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.getBucketPolicyStatus),
		gate.On(api.OpGetPublicAccessBlock, gate.Read, onBucket(s, "GetBucketPublicAccessBlock", func(in *api.GetPublicAccessBlockInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.getPublicAccessBlock),
		gate.On(api.OpPutPublicAccessBlock, gate.Write, onBucket(s, "PutBucketPublicAccessBlock", func(in *api.PutPublicAccessBlockInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.putPublicAccessBlock),
		gate.On(api.OpDeletePublicAccessBlock, gate.Write, onBucket(s, "PutBucketPublicAccessBlock", func(in *api.DeletePublicAccessBlockInput) (string, *string) { return in.Bucket, in.ExpectedBucketOwner }), s.deletePublicAccessBlock),
	}
}

func (s *Service) objectOps() []gate.Op {
	return []gate.Op{
		gate.On(api.OpPutObject, gate.Write, s.needPut, s.putObject),
		gate.On(api.OpCopyObject, gate.Write, s.needCopy, s.copyObject),
		gate.On(api.OpGetObject, gate.Read, s.needGet, s.getObject),
		gate.On(api.OpHeadObject, gate.Read, s.needHead, s.headObject),
		gate.On(api.OpGetObjectAttributes, gate.Read, s.needAttributes, s.getObjectAttributes),
		gate.On(api.OpGetObjectAcl, gate.Read, s.needGetACL, s.getObjectACL),
		gate.On(api.OpDeleteObject, gate.Write, s.needDelete, s.deleteObject),
		gate.On(api.OpDeleteObjects, gate.Write, s.needDeleteObjects, s.deleteObjects),
		gate.On(api.OpGetObjectTagging, gate.Read, s.needGetTags, s.getObjectTagging),
		gate.On(api.OpPutObjectTagging, gate.Write, s.needPutTags, s.putObjectTagging),
		gate.On(api.OpDeleteObjectTagging, gate.Write, s.needDeleteTags, s.deleteObjectTagging),

		gate.On(api.OpListObjectsV2, gate.Read, s.needListV2, s.listObjectsV2),
		gate.On(api.OpListObjects, gate.Read, s.needList, s.listObjects),
		gate.On(api.OpListObjectVersions, gate.Read, s.needListVersions, s.listVersions),

		gate.On(api.OpCreateMultipartUpload, gate.Write, s.needCreateUpload, s.createUpload),
		gate.On(api.OpUploadPart, gate.Write, s.needUploadPart, s.uploadPart),
		gate.On(api.OpUploadPartCopy, gate.Write, s.needUploadPartCopy, s.uploadPartCopy),
		gate.On(api.OpCompleteMultipartUpload, gate.Write, s.needComplete, s.complete),
		gate.On(api.OpAbortMultipartUpload, gate.Write, s.needAbort, s.abort),
		gate.On(api.OpListParts, gate.Read, s.needListParts, s.listParts),
		gate.On(api.OpListMultipartUploads, gate.Read, s.needListUploads, s.listUploads),
	}
}
