package s3

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	api "github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Resources are the CloudFormation resource types of the service. Ref is the bucket's name; a
// template that asks for notifications, lifecycle rules, a website, CORS or replication is refused
// with the property's place, because nothing here would do it.
func (s *Service) Resources() []gate.Resource {
	return []gate.Resource{{
		Type: "AWS::S3::Bucket", Attributes: []string{"Arn", "DomainName", "RegionalDomainName", "DualStackDomainName"},
		Properties: []string{"BucketName", "AccessControl",
			"VersioningConfiguration", "VersioningConfiguration.Status",
			"PublicAccessBlockConfiguration", "PublicAccessBlockConfiguration.BlockPublicAcls", "PublicAccessBlockConfiguration.BlockPublicPolicy",
			"PublicAccessBlockConfiguration.IgnorePublicAcls", "PublicAccessBlockConfiguration.RestrictPublicBuckets",
			"BucketEncryption", "BucketEncryption.ServerSideEncryptionConfiguration", "BucketEncryption.ServerSideEncryptionConfiguration.BucketKeyEnabled",
			"BucketEncryption.ServerSideEncryptionConfiguration.ServerSideEncryptionByDefault",
			"BucketEncryption.ServerSideEncryptionConfiguration.ServerSideEncryptionByDefault.SSEAlgorithm",
			"OwnershipControls", "OwnershipControls.Rules", "OwnershipControls.Rules.ObjectOwnership",
			"Tags", "Tags.Key", "Tags.Value"},
		Unbuilt: map[string]map[string]string{"BucketEncryption.ServerSideEncryptionConfiguration.ServerSideEncryptionByDefault.SSEAlgorithm": {
			"aws:kms":      "SSEAlgorithm aws:kms needs a key service, which is not built; AES256 is",
			"aws:kms:dsse": "SSEAlgorithm aws:kms:dsse needs a key service, which is not built; AES256 is"}},
		Replace:   []string{"BucketName"},
		NameLimit: 63,
		NameLower: true,
		Create:    createResource,
		Update:    updateResource,
		Delete:    deleteResource,
	}, {
		Type:       "AWS::S3::BucketPolicy",
		Properties: []string{"Bucket", "PolicyDocument"},
		Replace:    []string{"Bucket"},
		Create:     createPolicyResource,
		Update:     updatePolicyResource,
		Delete:     deletePolicyResource,
	}}
}

// plan is a bucket as a template describes it; what the template does not speak of is nil.
type plan struct {
	name       string
	versioning *api.VersioningConfiguration
	block      *api.PublicAccessBlockConfiguration
	encryption *api.ServerSideEncryptionConfiguration
	ownership  *api.OwnershipControls
	tags       []api.Tag
}

func createResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	want, err := readPlan(props)
	if err != nil {
		return gate.Made{}, err
	}
	c, name := api.Client{Caller: m}, want.name
	if name == "" {
		name = m.Name
	} else if err := strange(ctx, c, m, name); err != nil {
		return gate.Made{}, err
	}
	// The tags come with the bucket: an attempt that is cut off right after is known by them.
	in := &api.CreateBucketInput{Bucket: name, CreateBucketConfiguration: &api.CreateBucketConfiguration{Tags: want.tags}}
	if m.Region != usEast1 {
		in.CreateBucketConfiguration.LocationConstraint = &m.Region
	}
	if _, err := c.CreateBucket(ctx, in); err != nil && !awserr.Is(err, "BucketAlreadyOwnedByYou") {
		return gate.Made{}, err
	}
	made := madeBucket(m, name)
	return made, configure(ctx, c, name, plan{}, want)
}

// strange refuses a name that the template gives and that a bucket has which this making did not
// make: creating one's own bucket again is no error in us-east-1.
func strange(ctx context.Context, c api.Client, m gate.Making, name string) error {
	out, err := c.GetBucketTagging(ctx, &api.GetBucketTaggingInput{Bucket: name})
	switch {
	case awserr.Is(err, "NoSuchBucket"):
		return nil
	case awserr.Is(err, "NoSuchTagSet"):
		out = &api.GetBucketTaggingOutput{}
	case err != nil:
		return err
	}
	tags := map[string]string{}
	for _, t := range out.TagSet {
		tags[t.Key] = t.Value
	}
	if m.Owns(name, tags) {
		return nil
	}
	return fail("BucketAlreadyOwnedByYou", 409, name+" already exists", "BucketName", name)
}

func madeBucket(m gate.Making, name string) gate.Made {
	return gate.Made{ID: name, Attributes: map[string]any{"Arn": "arn:aws:s3:::" + name, "DomainName": name + ".s3.amazonaws.com",
		"RegionalDomainName":  name + ".s3." + m.Region + ".amazonaws.com",
		"DualStackDomainName": name + ".s3.dualstack." + m.Region + ".amazonaws.com"}}
}

func updateResource(ctx context.Context, m gate.Making, id string, before, after map[string]any) (gate.Made, error) {
	was, err := readPlan(before)
	if err != nil {
		return gate.Made{}, err
	}
	want, err := readPlan(after)
	if err != nil {
		return gate.Made{}, err
	}
	return madeBucket(m, id), configure(ctx, api.Client{Caller: m}, id, was, want)
}

// configure brings a bucket from what it was to what is wanted; what the template no longer speaks
// of goes back to what a new bucket has.
func configure(ctx context.Context, c api.Client, name string, was, want plan) error {
	steps := []struct {
		same bool
		do   func() error
	}{
		{reflect.DeepEqual(was.tags, want.tags), func() error { return setTags(ctx, c, name, want.tags) }},
		{reflect.DeepEqual(was.versioning, want.versioning), func() error {
			v := want.versioning
			if v == nil {
				v = &api.VersioningConfiguration{Status: new(suspended)}
			}
			_, err := c.PutBucketVersioning(ctx, &api.PutBucketVersioningInput{Bucket: name, VersioningConfiguration: v})
			return err
		}},
		{reflect.DeepEqual(was.block, want.block), func() error {
			b := want.block
			if b == nil {
				b = &api.PublicAccessBlockConfiguration{BlockPublicAcls: new(true), BlockPublicPolicy: new(true), IgnorePublicAcls: new(true), RestrictPublicBuckets: new(true)}
			}
			_, err := c.PutPublicAccessBlock(ctx, &api.PutPublicAccessBlockInput{Bucket: name, PublicAccessBlockConfiguration: b})
			return err
		}},
		{reflect.DeepEqual(was.encryption, want.encryption), func() (err error) {
			if want.encryption == nil {
				_, err = c.DeleteBucketEncryption(ctx, &api.DeleteBucketEncryptionInput{Bucket: name})
			} else {
				_, err = c.PutBucketEncryption(ctx, &api.PutBucketEncryptionInput{Bucket: name, ServerSideEncryptionConfiguration: want.encryption})
			}
			return err
		}},
		{reflect.DeepEqual(was.ownership, want.ownership), func() error {
			o := want.ownership
			if o == nil {
				o = &api.OwnershipControls{Rules: []api.OwnershipControlsRule{{ObjectOwnership: ownerEnforced}}}
			}
			_, err := c.PutBucketOwnershipControls(ctx, &api.PutBucketOwnershipControlsInput{Bucket: name, OwnershipControls: o})
			return err
		}},
	}
	for _, s := range steps {
		if s.same {
			continue
		}
		if err := s.do(); err != nil {
			return err
		}
	}
	return nil
}

func setTags(ctx context.Context, c api.Client, name string, tags []api.Tag) error {
	if len(tags) == 0 {
		_, err := c.DeleteBucketTagging(ctx, &api.DeleteBucketTaggingInput{Bucket: name})
		return err
	}
	_, err := c.PutBucketTagging(ctx, &api.PutBucketTaggingInput{Bucket: name, Tagging: &api.Tagging{TagSet: tags}})
	return err
}

// deleteResource fails for a bucket that is not empty, as CloudFormation does.
func deleteResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := api.Client{Caller: m}.DeleteBucket(ctx, &api.DeleteBucketInput{Bucket: id})
	if awserr.Is(err, "NoSuchBucket") {
		return nil
	}
	return err
}

func createPolicyResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	name, _ := props["Bucket"].(string)
	c := api.Client{Caller: m}
	_, err := c.GetBucketPolicy(ctx, &api.GetBucketPolicyInput{Bucket: name})
	switch {
	case err == nil && !m.Again:
		return gate.Made{}, fail("AlreadyExists", 409, "The bucket policy already exists on bucket "+name+".", "BucketName", name)
	case err != nil && !awserr.Is(err, "NoSuchBucketPolicy"):
		return gate.Made{}, err
	}
	return updatePolicyResource(ctx, m, name, nil, props)
}

func updatePolicyResource(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	text, ok := after["PolicyDocument"].(string)
	if !ok {
		raw, err := json.Marshal(after["PolicyDocument"])
		if err != nil {
			return gate.Made{}, malformedPolicy(err.Error())
		}
		text = string(raw)
	}
	_, err := api.Client{Caller: m}.PutBucketPolicy(ctx, &api.PutBucketPolicyInput{Bucket: id, Policy: text})
	if err != nil {
		return gate.Made{}, err
	}
	return gate.Made{ID: id, Attributes: map[string]any{}}, nil
}

func deletePolicyResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := api.Client{Caller: m}.DeleteBucketPolicy(ctx, &api.DeleteBucketPolicyInput{Bucket: id})
	if awserr.Is(err, "NoSuchBucket") {
		return nil
	}
	return err
}

func readPlan(props map[string]any) (plan, error) {
	r := &properties{}
	p := plan{name: wire.Val(r.text(props, "BucketName"))}
	if acl := r.text(props, "AccessControl"); acl != nil && *acl != "Private" {
		return p, noACL()
	}
	if g := r.group(props, "VersioningConfiguration"); g != nil {
		p.versioning = &api.VersioningConfiguration{Status: r.text(g, "Status")}
	}
	if g := r.group(props, "PublicAccessBlockConfiguration"); g != nil {
		p.block = &api.PublicAccessBlockConfiguration{BlockPublicAcls: r.truth(g, "BlockPublicAcls"), BlockPublicPolicy: r.truth(g, "BlockPublicPolicy"),
			IgnorePublicAcls: r.truth(g, "IgnorePublicAcls"), RestrictPublicBuckets: r.truth(g, "RestrictPublicBuckets")}
	}
	for _, g := range r.groups(r.group(props, "BucketEncryption"), "ServerSideEncryptionConfiguration") {
		rule := api.ServerSideEncryptionRule{BucketKeyEnabled: r.truth(g, "BucketKeyEnabled")}
		if by := r.group(g, "ServerSideEncryptionByDefault"); by != nil {
			rule.ApplyServerSideEncryptionByDefault = &api.ServerSideEncryptionByDefault{SSEAlgorithm: wire.Val(r.text(by, "SSEAlgorithm"))}
		}
		if p.encryption == nil {
			p.encryption = &api.ServerSideEncryptionConfiguration{}
		}
		p.encryption.Rules = append(p.encryption.Rules, rule)
	}
	for _, g := range r.groups(r.group(props, "OwnershipControls"), "Rules") {
		p.ownership = &api.OwnershipControls{Rules: []api.OwnershipControlsRule{{ObjectOwnership: wire.Val(r.text(g, "ObjectOwnership"))}}}
	}
	for _, g := range r.groups(props, "Tags") {
		p.tags = append(p.tags, api.Tag{Key: wire.Val(r.text(g, "Key")), Value: wire.Val(r.text(g, "Value"))})
	}
	slices.SortFunc(p.tags, func(a, b api.Tag) int { return strings.Compare(a.Key, b.Key) })
	return p, r.err
}
