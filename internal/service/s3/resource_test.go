package s3

import (
	"slices"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
)

func (r *rig) making(name string) gate.Making {
	c := gate.Client{Gate: r.gate, Principal: r.who, Region: r.region, Source: gate.Source{Via: []string{"cloudformation.amazonaws.com"}}}
	return gate.Making{Caller: c, Account: account, Region: r.region, StackID: "stack-1", LogicalID: "Photos", Name: name}
}

func resources(t *testing.T, s *Service, kind string) gate.Resource {
	t.Helper()
	for _, res := range s.Resources() {
		if res.Type == kind {
			return res
		}
	}
	t.Fatalf("no resource %s", kind)
	return gate.Resource{}
}

func tag(k, v string) any { return map[string]any{"Key": k, "Value": v} }

func TestBucketResource(t *testing.T) {
	r := newRig(t)
	kind, m := resources(t, r.s, "AWS::S3::Bucket"), r.making("stack-photos-1")
	if slices.ContainsFunc(kind.Properties, func(p string) bool { return strings.HasPrefix(p, "Cors") }) {
		t.Error("a template's CORS rules are taken, and nothing applies them")
	}
	before := map[string]any{
		"VersioningConfiguration":        map[string]any{"Status": "Enabled"},
		"PublicAccessBlockConfiguration": map[string]any{"BlockPublicPolicy": "true", "RestrictPublicBuckets": false},
		"BucketEncryption": map[string]any{"ServerSideEncryptionConfiguration": []any{
			map[string]any{"ServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "AES256"}}}},
		"OwnershipControls": map[string]any{"Rules": []any{map[string]any{"ObjectOwnership": "BucketOwnerEnforced"}}},
		"Tags":              []any{tag("team", "a"), tag(gate.TagStackID, "stack-1"), tag(gate.TagLogicalID, "Photos")},
	}
	for range 2 { // a retry gives the same
		made, err := kind.Create(t.Context(), m, before)
		if err != nil || made.ID != "stack-photos-1" || made.Attributes["Arn"] != "arn:aws:s3:::stack-photos-1" ||
			made.Attributes["RegionalDomainName"] != "stack-photos-1.s3.eu-west-1.amazonaws.com" {
			t.Fatalf("%+v, %v", made, err)
		}
	}
	for query, want := range map[string]string{"versioning": "<Status>Enabled</Status>", "tagging": "<Key>team</Key>",
		"publicAccessBlock": "<RestrictPublicBuckets>false</RestrictPublicBuckets>"} {
		if a := r.ok("GET /stack-photos-1?"+query, ""); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	// The owner's own requests leave the stack's tags alone.
	r.ok("PUT /stack-photos-1?tagging", "<Tagging><TagSet><Tag><Key>mine</Key><Value>b</Value></Tag></TagSet></Tagging>")
	if a := r.ok("GET /stack-photos-1?tagging", ""); !strings.Contains(a.body, gate.TagStackID) || strings.Contains(a.body, "team") {
		t.Errorf("%s", a.body)
	}
	after := map[string]any{"Tags": []any{tag("team", "b")}}
	if _, err := kind.Update(t.Context(), m, "stack-photos-1", before, after); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{"versioning": "<Status>Suspended</Status>", "tagging": "<Value>b</Value>",
		"publicAccessBlock": "<RestrictPublicBuckets>true</RestrictPublicBuckets>"} {
		if a := r.ok("GET /stack-photos-1?"+query, ""); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	r.ok("PUT /stack-photos-1/x", "1")
	if err := kind.Delete(t.Context(), m, "stack-photos-1", after); !awserr.Is(err, "BucketNotEmpty") {
		t.Errorf("a bucket that is not empty: %v", err)
	}
	r.ok("DELETE /stack-photos-1/x?versionId=null", "")
	for range 2 {
		if err := kind.Delete(t.Context(), m, "stack-photos-1", after); err != nil {
			t.Error(err)
		}
	}
}

func TestBucketResourceRefusals(t *testing.T) {
	r := newRig(t)
	r.bucket("taken")
	kind := resources(t, r.s, "AWS::S3::Bucket")
	for name, c := range map[string]struct {
		props map[string]any
		code  string
	}{
		"a bucket that is there": {map[string]any{"BucketName": "taken"}, "BucketAlreadyOwnedByYou"},
		"a public ACL":           {map[string]any{"AccessControl": "PublicRead"}, "AccessControlListNotSupported"},
		"no list":                {map[string]any{"Tags": "x"}, "InvalidRequest"},
		"no truth":               {map[string]any{"PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": "maybe"}}, "InvalidRequest"},
	} {
		if _, err := kind.Create(t.Context(), r.making("stack-refused"), c.props); !awserr.Is(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	encrypted := map[string]any{"BucketEncryption": map[string]any{"ServerSideEncryptionConfiguration": []any{
		map[string]any{"ServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "aws:kms"}}}}}
	made, err := kind.Create(t.Context(), r.making("stack-kms"), encrypted)
	if awserr.Wrap(err).Kind != awserr.NotImplemented || made.ID != "stack-kms" {
		t.Errorf("%+v, %v", made, err)
	}
}

func TestBucketPolicyResource(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	kind, m := resources(t, r.s, "AWS::S3::BucketPolicy"), r.making("unused")
	doc := func(effect string) map[string]any {
		return map[string]any{"Bucket": "photos", "PolicyDocument": map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
			"Effect": effect, "Principal": map[string]any{"AWS": account}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}}}}
	}
	made, err := kind.Create(t.Context(), m, doc("Allow"))
	if err != nil || made.ID != "photos" {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := kind.Create(t.Context(), m, doc("Allow")); !awserr.Is(err, "AlreadyExists") {
		t.Errorf("a second policy: %v", err)
	}
	if _, err := kind.Update(t.Context(), m, "photos", doc("Allow"), doc("Deny")); err != nil {
		t.Error(err)
	}
	r.ok("PUT /photos/x", "1")
	r.fails(403, "AccessDenied", "GET /photos/x", "")
	if err := kind.Delete(t.Context(), m, "photos", doc("Deny")); err != nil {
		t.Error(err)
	}
	r.reads("/photos/x", "1")
}
