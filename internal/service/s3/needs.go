package s3

import (
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/service/s3/public"
	"github.com/bastide-cloud/bastide/internal/store"
)

// place is a bucket as a decision sees it. A bucket that does not exist is told to everybody, as
// S3 does.
type place struct {
	s *Service
	a *gate.Ask
	*bucket
	policy *policy.Attached
	hidden error // the refusal where the policy may not speak to strangers
}

// at finds the bucket that a request names, which must be in the region that it was signed for.
func (s *Service) at(a *gate.Ask, name string, owner *string) (*place, error) {
	p, err := s.anywhere(a, name, owner)
	if err != nil {
		return nil, err
	}
	// Anonymous requests name no region.
	if !anonymous(a.Principal()) && a.Region() != p.Region {
		e := fail("AuthorizationHeaderMalformed", 400, "The authorization header is malformed; the region '"+
			a.Region()+"' is wrong; expecting '"+p.Region+"'", "Region", p.Region)
		e.Header = map[string]string{"x-amz-bucket-region": p.Region}
		return nil, e
	}
	return p, nil
}

func (s *Service) anywhere(a *gate.Ask, name string, owner *string) (*place, error) {
	if !nameLike(name) {
		return nil, invalidBucketName(name)
	}
	p := &place{s: s, a: a}
	err := a.View(func(tx *store.Tx) error {
		var err error
		p.bucket, err = s.t.bucket(tx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	if owner != nil && *owner != p.Account {
		return nil, accessDenied()
	}
	return p, p.readPolicy()
}

// readPolicy attaches the bucket's policy, unless that is public and Block Public Access restricts
// the bucket: then it lets in nobody but services and the owner's own principals.
func (p *place) readPolicy() error {
	if p.Policy == "" {
		return nil
	}
	doc, err := p.a.Policy(policy.Resource, p.Policy)
	if err != nil {
		return err
	}
	p.policy = &policy.Attached{Policy: doc, Name: p.Name, ARN: p.arn(), Where: "policy of the bucket " + p.Name}
	who := p.a.Principal()
	if p.Block == nil || !p.Block.Restrict || who.Account() == p.Account || who.ServiceName() != "" || !public.Policy(doc) {
		return nil
	}
	p.policy = nil
	p.hidden = awserr.Of(awserr.AccessDenied, "Access Denied because the bucket's public policy is restricted by the "+
		"RestrictPublicBuckets block public access setting.")
	return nil
}

// need is an action on the bucket.
func (p *place) need(action string) gate.Need {
	return gate.Need{Action: "s3:" + action, Resource: p.arn(), Account: p.Account, Policy: p.policy, Hidden: p.hidden, Lazy: p.lazy(nil)}
}

// on is an action on an object; version is nil where the request names none.
func (p *place) on(action, key string, version *string) gate.Need {
	n := p.need(action)
	n.Resource += "/" + key
	n.Lazy = p.lazy(&named{key, version})
	if version != nil {
		n.Keys = map[string][]string{"s3:VersionId": {*version}}
	}
	return n
}

// versioned is the action's name, which says Version where the request names one:
// GetObject and GetObjectVersion, GetObjectTagging and GetObjectVersionTagging.
func versioned(action string, version *string) string {
	if version == nil {
		return action
	}
	verb, rest, _ := strings.Cut(action, "Object")
	return verb + "ObjectVersion" + rest
}

// list is the need by which S3 decides whether a caller may learn that an object is missing.
func (p *place) list() gate.Need {
	n := p.need("ListBucket")
	n.Optional = true
	return n
}

// onBucket is one action on the bucket that the input names.
func onBucket[In any](s *Service, action string, of func(*In) (name string, owner *string)) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		p, err := s.at(a, first(of(in)), second(of(in)))
		if err != nil {
			return nil, err
		}
		return []gate.Need{p.need(action)}, nil
	}
}

func first[A, B any](a A, _ B) A  { return a }
func second[A, B any](_ A, b B) B { return b }

func (s *Service) needCreateBucket(a *gate.Ask, in *api.CreateBucketInput) ([]gate.Need, error) {
	keys := set(nil, "s3:x-amz-acl", in.ACL)
	if region, err := placeOf(a.Region(), in.CreateBucketConfiguration); err == nil {
		keys = set(keys, "s3:LocationConstraint", &region)
	}
	var tags []api.Tag
	if in.CreateBucketConfiguration != nil {
		tags = in.CreateBucketConfiguration.Tags
	}
	for _, t := range tags {
		keys = set(keys, "aws:RequestTag/"+t.Key, &t.Value)
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	n := gate.Need{Action: "s3:CreateBucket", Resource: "arn:aws:s3:::" + in.Bucket, Keys: keys, Lazy: signature(a)}
	needs := []gate.Need{n}
	for action, wanted := range map[string]bool{"s3:PutBucketOwnershipControls": in.ObjectOwnership != nil,
		"s3:PutBucketAcl": in.ACL != nil, "s3:TagResource": len(tags) > 0} {
		if wanted {
			n.Action = action
			needs = append(needs, n)
		}
	}
	return needs, nil
}

func (s *Service) needListBuckets(a *gate.Ask, _ *api.ListBucketsInput) ([]gate.Need, error) {
	return []gate.Need{{Action: "s3:ListAllMyBuckets", Resource: "*", Lazy: signature(a)}}, nil
}

func (s *Service) needLocation(a *gate.Ask, in *api.GetBucketLocationInput) ([]gate.Need, error) {
	p, err := s.anywhere(a, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return []gate.Need{p.need("GetBucketLocation")}, nil
}
