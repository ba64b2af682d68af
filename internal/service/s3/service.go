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
func (s *Service) Ops() []gate.Op {
	return []gate.Op{
		gate.On(api.OpListBuckets, gate.Read, s.needListBuckets, s.listBuckets),
		gate.On(api.OpCreateBucket, gate.Write, s.needCreateBucket, s.createBucket),
		gate.On(api.OpDeleteBucket, gate.Write, onBucket(s, "DeleteBucket", ofDeleteBucket), s.deleteBucket),
		gate.On(api.OpHeadBucket, gate.Read, s.needHeadBucket, s.headBucket),
		gate.On(api.OpGetBucketLocation, gate.Read, s.needLocation, s.getBucketLocation),

		gate.On(api.OpPutObject, gate.Write, s.needPut, s.putObject),
		gate.On(api.OpGetObject, gate.Read, s.needGet, s.getObject),
		gate.On(api.OpHeadObject, gate.Read, s.needHead, s.headObject),
		gate.On(api.OpDeleteObject, gate.Write, s.needDelete, s.deleteObject),
		gate.On(api.OpDeleteObjects, gate.Write, s.needDeleteObjects, s.deleteObjects),
		gate.On(api.OpListObjectsV2, gate.Read, s.needListV2, s.listObjectsV2),
		gate.On(api.OpListObjects, gate.Read, s.needList, s.listObjects),
	}
}
