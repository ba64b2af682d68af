package s3

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

const (
	usEast1        = "us-east-1"
	maxListBuckets = 10000
)

// bucketName is the form of names; more rules are in validName. Source: Amazon S3 User Guide,
// "General purpose bucket naming rules".
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func validName(name string) bool {
	if !bucketName.MatchString(name) || strings.Contains(name, "..") {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	for _, prefix := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	for _, suffix := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return true
}

// nameLike admits what may have been a bucket's name, so that everything else never reaches a key.
func nameLike(name string) bool {
	return len(name) >= 3 && len(name) <= 255 && utf8.ValidString(name)
}

func invalidBucketName(name string) error {
	return fail("InvalidBucketName", 400, "The specified bucket is not valid.", "BucketName", name)
}

// placeOf is the region that a bucket is made in. us-east-1 is the one that takes buckets for others.
func placeOf(region string, cfg *api.CreateBucketConfiguration) (string, error) {
	constraint := ""
	if cfg != nil {
		constraint = wire.Val(cfg.LocationConstraint)
	}
	if constraint == "EU" {
		constraint = "eu-west-1"
	}
	switch {
	case constraint == "" && region == usEast1, constraint == region && region != usEast1:
		return region, nil
	case constraint == usEast1, constraint != "" && !regionLike.MatchString(constraint):
		return "", fail("InvalidLocationConstraint", 400, "The specified location-constraint is not valid", "LocationConstraint", constraint)
	case region == usEast1:
		return constraint, nil
	case constraint == "":
		constraint = "unspecified"
	}
	return "", fail("IllegalLocationConstraintException", 400, "The "+constraint+
		" location constraint is incompatible for the region specific endpoint this request was sent to.")
}

var regionLike = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)

func (s *Service) createBucket(c *gate.Call, in *api.CreateBucketInput) (*api.CreateBucketOutput, error) {
	if anonymous(c.Principal()) {
		return nil, accessDenied()
	}
	if !validName(in.Bucket) {
		return nil, invalidBucketName(in.Bucket)
	}
	region, err := placeOf(c.Region(), in.CreateBucketConfiguration)
	if err != nil {
		return nil, err
	}
	if err := bucketOptions(in); err != nil {
		return nil, err
	}
	b := &bucket{Name: in.Bucket, ID: s.ids.Lower(24), Account: c.Account(), Region: region, Created: c.Now(),
		Block: &publicBlock{ACLs: true, IgnoreACLs: true, Policy: true, Restrict: true}, Ownership: ownerEnforced}
	if cfg := in.CreateBucketConfiguration; cfg != nil {
		b.Tags = cfg.Tags
		if err := checkTags(b.Tags, maxBucketTags); err != nil {
			return nil, err
		}
		if len(c.Source().Via) == 0 { // CloudFormation names its stack in tags of the system's
			if err := noSystemTags(b.Tags); err != nil {
				return nil, err
			}
		}
	}
	location := "/" + in.Bucket
	return gate.Commit(c, func(tx *store.Tx) (*api.CreateBucketOutput, error) {
		out := &api.CreateBucketOutput{Location: &location, BucketArn: new(b.arn())}
		old, ok, err := s.t.buckets.Get(tx, store.K(in.Bucket))
		switch {
		case err != nil:
			return nil, err
		case ok && old.Account != c.Account():
			return nil, fail("BucketAlreadyExists", 409, "The requested bucket name is not available. The bucket namespace is shared "+
				"by all users of the system. Please select a different name and try again.", "BucketName", in.Bucket)
		case ok && old.Region == usEast1 && region == usEast1:
			return out, nil // a bucket of us-east-1 may be made again by its owner
		case ok:
			return nil, fail("BucketAlreadyOwnedByYou", 409, "Your previous request to create the named bucket succeeded and you already own it.",
				"BucketName", in.Bucket)
		}
		return out, s.t.putBucket(tx, b)
	})
}

// bucketOptions refuses what no bucket here can be.
func bucketOptions(in *api.CreateBucketInput) error {
	grants := in.GrantFullControl != nil || in.GrantRead != nil || in.GrantReadACP != nil || in.GrantWrite != nil || in.GrantWriteACP != nil
	switch {
	case wire.Val(in.ObjectLockEnabledForBucket):
		return notBuilt("x-amz-bucket-object-lock-enabled")
	case in.BucketNamespace != nil && *in.BucketNamespace != "global":
		return notBuilt("x-amz-bucket-namespace")
	case in.ObjectOwnership != nil && *in.ObjectOwnership != ownerEnforced:
		return ownership(*in.ObjectOwnership)
	case grants || in.ACL != nil && *in.ACL != "private":
		return fail("InvalidBucketAclWithObjectOwnership", 400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
	}
	if cfg := in.CreateBucketConfiguration; cfg != nil && (cfg.Location != nil || cfg.Bucket != nil) {
		return notBuilt("directory buckets")
	}
	return nil
}

func (s *Service) deleteBucket(c *gate.Call, in *api.DeleteBucketInput) (*api.DeleteBucketOutput, error) {
	return &api.DeleteBucketOutput{}, c.Update(func(tx *store.Tx) error {
		b, err := s.t.bucket(tx, in.Bucket)
		if err != nil {
			return err
		}
		for _, err := range s.t.objects.Scan(tx, b.rows(), store.Range{Limit: 1}) {
			if err != nil {
				return err
			}
			message := "The bucket you tried to delete is not empty"
			if b.versioned() {
				message += ". You must delete all versions in the bucket."
			}
			return fail("BucketNotEmpty", 409, message, "BucketName", b.Name)
		}
		if err := s.abortAll(tx, b); err != nil {
			return err
		}
		_, err = s.t.buckets.Delete(tx, store.K(b.Name))
		return err
	})
}

func (s *Service) headBucket(c *gate.Call, in *api.HeadBucketInput) (*api.HeadBucketOutput, error) {
	b, err := s.read(c, in.Bucket)
	if err != nil {
		return nil, err
	}
	return &api.HeadBucketOutput{BucketArn: new(b.arn()), BucketRegion: &b.Region, AccessPointAlias: new(false)}, nil
}

// read is a bucket's record.
func (s *Service) read(c *gate.Call, name string) (*bucket, error) {
	var b *bucket
	err := c.View(func(tx *store.Tx) error {
		var err error
		b, err = s.t.bucket(tx, name)
		return err
	})
	return b, err
}

func (s *Service) getBucketLocation(c *gate.Call, in *api.GetBucketLocationInput) (*api.GetBucketLocationOutput, error) {
	b, err := s.read(c, in.Bucket)
	if err != nil {
		return nil, err
	}
	out := &api.GetBucketLocationOutput{}
	if b.Region != usEast1 { // whose constraint is null
		out.LocationConstraint = &b.Region
	}
	return out, nil
}

func (s *Service) listBuckets(c *gate.Call, in *api.ListBucketsInput) (*api.ListBucketsOutput, error) {
	limit := maxListBuckets
	if in.MaxBuckets != nil {
		if limit = int(*in.MaxBuckets); limit < 1 || limit > maxListBuckets {
			return nil, invalidArgument("Argument max-buckets must be an integer between 1 and 10000", "max-buckets", "")
		}
	}
	out := &api.ListBucketsOutput{Buckets: []api.Bucket{}, Owner: owner(c.Account()), Prefix: in.Prefix}
	after, err := openToken(in.ContinuationToken)
	if err != nil {
		return nil, err
	}
	err = c.View(func(tx *store.Tx) error {
		out.Buckets, out.ContinuationToken = out.Buckets[:0], nil
		all := store.K(c.Account())
		r := store.Range{}
		if after != "" {
			r.From = all.With(after)
		}
		for e, err := range s.t.buckets.By("account").Scan(tx, all.Begin(wire.Val(in.Prefix)), r) {
			b := e.Value
			switch {
			case err != nil:
				return err
			case b.Name <= after || in.BucketRegion != nil && *in.BucketRegion != b.Region:
				continue
			case len(out.Buckets) == limit:
				out.ContinuationToken = new(token(*out.Buckets[limit-1].Name))
				return nil
			}
			out.Buckets = append(out.Buckets, api.Bucket{Name: &b.Name, CreationDate: &b.Created, BucketRegion: &b.Region, BucketArn: new(b.arn())})
		}
		return nil
	})
	return out, err
}
