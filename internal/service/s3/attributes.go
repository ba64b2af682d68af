package s3

import (
	"slices"
	"time"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) needAttributes(a *gate.Ask, in *api.GetObjectAttributesInput) ([]gate.Need, error) {
	p, err := s.at(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return []gate.Need{p.on(versioned("GetObjectAttributes", in.VersionId), in.Key, in.VersionId), p.list(),
		p.on(versioned("GetObject", in.VersionId), in.Key, in.VersionId)}, nil
}

func (s *Service) getObjectAttributes(c *gate.Call, in *api.GetObjectAttributesInput) (*api.GetObjectAttributesOutput, error) {
	if given(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5) {
		return nil, notBuilt("x-amz-server-side-encryption-customer-algorithm")
	}
	for _, name := range in.ObjectAttributes {
		if !slices.Contains([]string{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}, name) {
			return nil, invalidArgument("Invalid attribute name specified.", "x-amz-object-attributes", name)
		}
	}
	limit, err := counted(in.MaxParts, "max-parts")
	if err != nil {
		return nil, err
	}
	f, err := s.find(c, in.Bucket, in.Key, in.VersionId, false)
	if err != nil {
		return nil, err
	}
	modified := f.Modified.Truncate(time.Second)
	out := &api.GetObjectAttributesOutput{LastModified: &modified, VersionId: f.shown(f.object)}
	for _, name := range in.ObjectAttributes {
		switch name {
		case "ETag":
			out.ETag = &f.ETag // here without quotes
		case "Checksum":
			k := &api.Checksum{ChecksumType: optional(f.Sum.Type)}
			carry(f.Sum, &k.ChecksumCRC32, &k.ChecksumCRC32C, &k.ChecksumCRC64NVME, &k.ChecksumSHA1, &k.ChecksumSHA256)
			out.Checksum = k
		case "ObjectParts":
			if len(f.parts) > 0 {
				out.ObjectParts = f.listed(limit, wire.Val(in.PartNumberMarker))
			}
		case "StorageClass":
			out.StorageClass = new(f.class())
		case "ObjectSize":
			out.ObjectSize = &f.object.Size
		}
	}
	return out, nil
}

// listed are the parts behind the marker. Their numbers are their places: GetObject counts so.
func (f *found) listed(limit int, marker int32) *api.GetObjectAttributesParts {
	out := &api.GetObjectAttributesParts{TotalPartsCount: new(int32(len(f.parts))), MaxParts: new(int32(limit)), PartNumberMarker: &marker,
		NextPartNumberMarker: new(marker), IsTruncated: new(false)}
	for i := max(int(marker), 0); i < len(f.parts); i++ {
		if len(out.Parts) == limit {
			out.IsTruncated = new(true)
			break
		}
		p, number := f.parts[i], int32(i+1)
		shown := api.ObjectPart{PartNumber: &number, Size: &p.Body.Size}
		carry(p.Sum, &shown.ChecksumCRC32, &shown.ChecksumCRC32C, &shown.ChecksumCRC64NVME, &shown.ChecksumSHA1, &shown.ChecksumSHA256)
		out.Parts = append(out.Parts, shown)
		out.NextPartNumberMarker = &number
	}
	return out
}
