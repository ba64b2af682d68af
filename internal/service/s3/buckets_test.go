package s3

import (
	"strings"
	"testing"
)

const europe = `<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>`

func TestNamesBelongToAllAccounts(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.fails(409, "BucketAlreadyOwnedByYou", "PUT /photos", europe)
	stranger := r.as(r.user(other, "stranger", all))
	stranger.fails(409, "BucketAlreadyExists", "PUT /photos", europe)
	stranger.fails(403, "AccessDenied", "HEAD /photos", "")
	if a := stranger.ok("GET /", ""); strings.Contains(a.body, "photos") {
		t.Errorf("another account's bucket is listed: %s", a.body)
	}
	if a := r.ok("GET /", ""); !strings.Contains(a.body, "<Name>photos</Name>") || !strings.Contains(a.body, "<BucketRegion>eu-west-1</BucketRegion>") {
		t.Errorf("%s", a.body)
	}
}

func TestRegions(t *testing.T) {
	r := newRig(t)
	us := r.at("us-east-1")
	r.fails(400, "IllegalLocationConstraintException", "PUT /photos", "")
	r.fails(400, "IllegalLocationConstraintException", "PUT /photos", strings.ReplaceAll(europe, "eu-west-1", "eu-west-2"))
	us.fails(400, "InvalidLocationConstraint", "PUT /photos", strings.ReplaceAll(europe, "eu-west-1", "us-east-1"))
	us.fails(400, "InvalidLocationConstraint", "PUT /photos", strings.ReplaceAll(europe, "eu-west-1", "mars"))
	us.ok("PUT /photos", "")
	us.ok("PUT /photos", "") // again, by its owner: no error in this region alone
	us.ok("PUT /bilder", europe)
	a := us.fails(400, "AuthorizationHeaderMalformed", "PUT /bilder/x", "y")
	if !strings.Contains(a.body, "<Region>eu-west-1</Region>") || a.header.Get("x-amz-bucket-region") != "eu-west-1" {
		t.Errorf("%s %v", a.body, a.header)
	}
	r.ok("PUT /bilder/x", "y")
	if a := us.ok("GET /bilder?location", ""); !strings.Contains(a.body, ">eu-west-1</LocationConstraint>") {
		t.Errorf("%s", a.body)
	}
	if a := us.ok("GET /photos?location", ""); strings.Contains(a.body, "us-east-1") {
		t.Errorf("%s", a.body)
	}
}

func TestBucketNames(t *testing.T) {
	for name, valid := range map[string]bool{"abc": true, "a.b-c.9": true, strings.Repeat("a", 63): true, "ab": false, strings.Repeat("a", 64): false,
		"Abc": false, "a_b": false, "-ab": false, "ab-": false, "a..b": false, "192.168.0.1": false, "xn--abc": false, "sthree-abc": false,
		"amzn-s3-demo-x": false, "abc-s3alias": false, "abc--ol-s3": false, "abc.mrap": false} {
		if validName(name) != valid {
			t.Errorf("%q: valid is %v", name, !valid)
		}
	}
}

func TestDeleteBucket(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos/x", "y")
	r.fails(409, "BucketNotEmpty", "DELETE /photos", "")
	r.ok("DELETE /photos/x", "")
	r.ok("POST /photos/unfinished?uploads", "")
	r.ok("DELETE /photos", "")
	r.fails(404, "NoSuchBucket", "DELETE /photos", "")
	r.as(r.user(other, "next", all)).bucket("photos") // the name is free again, and nothing is left behind it
}

func TestNewBucketIsClosed(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	for query, want := range map[string]string{
		"publicAccessBlock": "<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>" +
			"<BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets>",
		"encryption":        "<SSEAlgorithm>AES256</SSEAlgorithm>",
		"ownershipControls": "<ObjectOwnership>BucketOwnerEnforced</ObjectOwnership>",
		"acl":               "<Permission>FULL_CONTROL</Permission>",
	} {
		if a := r.ok("GET /photos?"+query, ""); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	for query, code := range map[string]string{"policy": "NoSuchBucketPolicy", "tagging": "NoSuchTagSet", "cors": "NoSuchCORSConfiguration", "policyStatus": "NoSuchBucketPolicy"} {
		r.fails(404, code, "GET /photos?"+query, "")
	}
	r.ok("DELETE /photos?publicAccessBlock", "")
	r.fails(404, "NoSuchPublicAccessBlockConfiguration", "GET /photos?publicAccessBlock", "")
	r.ok("DELETE /photos?ownershipControls", "")
	r.fails(404, "OwnershipControlsNotFoundError", "GET /photos?ownershipControls", "")
}

func TestWhatIsNotBuiltIsRefused(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	for _, header := range [][2]string{{"x-amz-server-side-encryption", "aws:kms"}, {"x-amz-server-side-encryption-aws-kms-key-id", "k"},
		{"x-amz-server-side-encryption-customer-algorithm", "AES256"}, {"x-amz-website-redirect-location", "/"}, {"x-amz-storage-class", "GLACIER"},
		{"x-amz-write-offset-bytes", "1"}, {"If-None-Match", `"etag"`}, {"x-amz-checksum-sha512", "x"}} {
		r.fails(501, "NotImplemented", "PUT /photos/x", "y", header[0], header[1])
	}
	r.fails(400, "AccessControlListNotSupported", "PUT /photos/x", "y", "x-amz-acl", "public-read")
	r.fails(400, "AccessControlListNotSupported", "PUT /photos/x", "y", "x-amz-grant-read", "id=1")
	r.fails(400, "AccessControlListNotSupported", "PUT /photos?acl", "", "x-amz-acl", "public-read")
	r.fails(400, "InvalidRequest", "PUT /photos/x", "y", "x-amz-object-lock-mode", "GOVERNANCE")
	r.fails(400, "InvalidStorageClass", "PUT /photos/x", "y", "x-amz-storage-class", "WARM")
	r.fails(501, "NotImplemented", "PUT /photos2", europe, "x-amz-bucket-object-lock-enabled", "true")
	r.fails(400, "InvalidBucketAclWithObjectOwnership", "PUT /photos2", europe, "x-amz-acl", "public-read")
	r.fails(501, "NotImplemented", "PUT /photos?encryption", `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>`+
		`<SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`)
	r.fails(501, "NotImplemented", "PUT /photos?lifecycle", "<LifecycleConfiguration/>")
	r.fails(404, "NoSuchKey", "GET /photos/x", "")
}

func TestBucketSettings(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos?tagging", "<Tagging><TagSet><Tag><Key>team</Key><Value>a</Value></Tag></TagSet></Tagging>")
	r.fails(400, "InvalidTag", "PUT /photos?tagging", "<Tagging><TagSet><Tag><Key>aws:x</Key><Value>a</Value></Tag></TagSet></Tagging>")
	if a := r.ok("GET /photos?tagging", ""); !strings.Contains(a.body, "<Tag><Key>team</Key><Value>a</Value></Tag>") {
		t.Errorf("%s", a.body)
	}
	r.ok("DELETE /photos?tagging", "")
	r.fails(404, "NoSuchTagSet", "GET /photos?tagging", "")
	cors := `<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>https://*.example.com</AllowedOrigin></CORSRule></CORSConfiguration>`
	r.fails(501, "NotImplemented", "PUT /photos?cors", cors) // nothing would apply it
	r.fails(501, "NotImplemented", "DELETE /photos?cors", "")
	r.fails(404, "NoSuchCORSConfiguration", "GET /photos?cors", "")
	tags := "<Tagging><TagSet><Tag><Key>team</Key><Value>a</Value></Tag></TagSet></Tagging>"
	r.fails(400, "BadDigest", "PUT /photos?tagging", tags, "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")
	r.fails(400, "BadDigest", "PUT /photos?tagging", tags, "x-amz-checksum-crc32", "AAAAAA==")
	r.fails(403, "AccessDenied", "GET /photos?cors", "", "x-amz-expected-bucket-owner", other)
}
