package s3

import (
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/identity"
)

func TestWhoLearnsThatAnObjectIsMissing(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	reader := r.as(r.user(account, "reader", statement(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}`)))
	if a := reader.fails(403, "AccessDenied", "GET /photos/none", ""); !strings.Contains(a.body, "s3:ListBucket") {
		t.Errorf("the refusal does not name what is missing: %s", a.body)
	}
	reader.fails(403, "", "HEAD /photos/none", "")
	r.allow(reader.who, statement(`{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::photos/*","arn:aws:s3:::photos"]}`))
	reader.fails(404, "NoSuchKey", "GET /photos/none", "")
	reader.fails(404, "", "HEAD /photos/none", "")
	reader.fails(404, "NoSuchBucket", "GET /nowhere/none", "")
	r.allow(reader.who, nothing)
	reader.fails(403, "AccessDenied", "GET /photos/none", "")
}

func TestEachActionIsItsOwn(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	version := r.ok("PUT /photos/x", "1", "x-amz-tagging", "k=v").header.Get("x-amz-version-id")
	const tags = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
	u := r.as(r.user(account, "user", nothing))
	for _, c := range []struct {
		needs  []string // what it takes, all of it
		line   string
		body   string
		header []string
	}{
		{[]string{"GetObject"}, "GET /photos/x", "", nil},
		{[]string{"GetObjectVersion"}, "GET /photos/x?versionId=" + version, "", nil},
		{[]string{"GetObject"}, "HEAD /photos/x", "", nil},
		{[]string{"GetObjectTagging"}, "GET /photos/x?tagging", "", nil},
		{[]string{"GetObjectVersionTagging"}, "GET /photos/x?tagging&versionId=" + version, "", nil},
		{[]string{"PutObjectTagging"}, "PUT /photos/x?tagging", tags, nil},
		{[]string{"GetObjectAcl"}, "GET /photos/x?acl", "", nil},
		{[]string{"GetObject", "GetObjectAttributes"}, "GET /photos/x?attributes", "", []string{"x-amz-object-attributes", "ETag"}},
		{[]string{"PutObject"}, "PUT /photos/y", "1", nil},
		{[]string{"PutObject", "PutObjectTagging"}, "PUT /photos/y", "1", []string{"x-amz-tagging", "k=v"}},
		{[]string{"PutObject", "PutObjectAcl"}, "PUT /photos/y", "1", []string{"x-amz-acl", "private"}},
		{[]string{"PutObject", "GetObject"}, "PUT /photos/y", "1", []string{"If-Match", "*"}},
		{[]string{"GetObject", "PutObject", "GetObjectTagging", "PutObjectTagging"}, "PUT /photos/z", "", []string{"x-amz-copy-source", "photos/x"}},
		{[]string{"GetObject", "PutObject"}, "PUT /photos/z", "", []string{"x-amz-copy-source", "photos/x", "x-amz-tagging-directive", "REPLACE"}},
		{[]string{"GetObjectVersion", "PutObject"}, "PUT /photos/z", "", []string{"x-amz-copy-source", "photos/x?versionId=" + version, "x-amz-tagging-directive", "REPLACE"}},
		{[]string{"DeleteObject"}, "DELETE /photos/z", "", nil},
		{[]string{"DeleteObjectVersion"}, "DELETE /photos/z?versionId=null", "", nil},
		{[]string{"ListBucket"}, "GET /photos?list-type=2", "", nil},
		{[]string{"ListBucketVersions"}, "GET /photos?versions", "", nil},
		{[]string{"ListBucketMultipartUploads"}, "GET /photos?uploads", "", nil},
		{[]string{"PutObject"}, "POST /photos/up?uploads", "", nil},
		{[]string{"GetBucketVersioning"}, "GET /photos?versioning", "", nil},
		{[]string{"GetBucketLocation"}, "GET /photos?location", "", nil},
		{[]string{"GetEncryptionConfiguration"}, "GET /photos?encryption", "", nil},
		{[]string{"GetBucketPublicAccessBlock"}, "GET /photos?publicAccessBlock", "", nil},
		{[]string{"ListAllMyBuckets"}, "GET /", "", nil},
	} {
		for missing := range len(c.needs) + 1 {
			var have []string
			for i, n := range c.needs {
				if i != missing {
					have = append(have, `"s3:`+n+`"`)
				}
			}
			doc := nothing
			if len(have) > 0 {
				doc = statement(`{"Effect":"Allow","Action":[%s],"Resource":"*"}`, strings.Join(have, ","))
			}
			r.allow(u.who, doc)
			a := u.send(c.line, c.body, c.header...)
			if whole := missing == len(c.needs); whole != (a.code < 300) || !whole && a.code != 403 {
				t.Errorf("%s %v with %v: %d %s", c.line, c.header, have, a.code, a.body)
			}
		}
	}
}

func TestDeleteObjectsRefusesEachByItself(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	for _, k := range []string{"mine/a", "theirs/b", "mine/c"} {
		r.ok("PUT /photos/"+k, k)
	}
	u := r.as(r.user(account, "user", statement(`{"Effect":"Allow","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::photos/mine/*"}`)))
	a := u.ok("POST /photos?delete", "<Delete><Object><Key>mine/a</Key></Object><Object><Key>theirs/b</Key></Object><Object><Key>mine/c</Key></Object></Delete>")
	if strings.Count(a.body, "<Deleted>") != 2 || strings.Count(a.body, "<Error>") != 1 || !strings.Contains(a.body, "<Key>theirs/b</Key><Code>AccessDenied</Code>") {
		t.Errorf("%s", a.body)
	}
	r.reads("/photos/theirs/b", "theirs/b")
	r.fails(404, "NoSuchKey", "GET /photos/mine/a", "")
	r.fails(400, "MalformedXML", "POST /photos?delete", "<Delete></Delete>")
}

func TestConditionKeys(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos/open", "1", "x-amz-tagging", "class=public")
	r.ok("PUT /photos/closed", "1", "x-amz-tagging", "class=secret")
	u := r.as(r.user(account, "user", nothing))
	may := func(operator, key, value string) {
		r.allow(u.who, statement(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"%s":{"%s":"%s"}}}`, operator, key, value))
	}
	may("StringEquals", "s3:ExistingObjectTag/class", "public")
	u.reads("/photos/open", "1")
	u.fails(403, "AccessDenied", "GET /photos/closed", "")
	u.fails(403, "AccessDenied", "GET /photos/none", "")
	may("StringEquals", "s3:RequestObjectTag/class", "public")
	u.ok("PUT /photos/x", "1", "x-amz-tagging", "class=public")
	u.fails(403, "AccessDenied", "PUT /photos/x", "1", "x-amz-tagging", "class=secret")
	u.fails(403, "AccessDenied", "PUT /photos/x", "1")
	may("StringLike", "s3:prefix", "home/*")
	u.ok("GET /photos?list-type=2&prefix=home/me", "")
	u.fails(403, "AccessDenied", "GET /photos?list-type=2", "")
	may("NumericLessThanEquals", "s3:max-keys", "10")
	u.ok("GET /photos?list-type=2&max-keys=10", "")
	u.fails(403, "AccessDenied", "GET /photos?list-type=2&max-keys=11", "")
	may("StringEquals", "s3:x-amz-server-side-encryption", "AES256")
	u.ok("PUT /photos/x", "1", "x-amz-server-side-encryption", "AES256")
	u.fails(403, "AccessDenied", "PUT /photos/x", "1")
	may("StringEquals", "s3:ResourceAccount", account)
	u.reads("/photos/open", "1")
	may("StringEquals", "s3:ResourceAccount", other)
	u.fails(403, "AccessDenied", "GET /photos/open", "")
}

func TestSignatureKeys(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos/x", "1")
	u := r.user(account, "user", nothing)
	for _, c := range []struct {
		operator, key, value string
		signed               gate.Source
		allowed              bool
	}{
		{"StringEquals", "s3:authType", "REST-QUERY-STRING", gate.Source{Signature: gate.Signature{SignedAt: r.clock.Now(), Presigned: true}}, true},
		{"StringEquals", "s3:authType", "REST-QUERY-STRING", gate.Source{Signature: gate.Signature{SignedAt: r.clock.Now()}}, false},
		{"StringEquals", "s3:authType", "REST-QUERY-STRING", gate.Source{}, false},
		{"NumericLessThan", "s3:signatureAge", "600000", gate.Source{Signature: gate.Signature{SignedAt: r.clock.Now().Add(-9 * time.Minute), Presigned: true}}, true},
		{"NumericLessThan", "s3:signatureAge", "600000", gate.Source{Signature: gate.Signature{SignedAt: r.clock.Now().Add(-11 * time.Minute), Presigned: true}}, false},
		{"StringEquals", "s3:signatureversion", "AWS4-HMAC-SHA256", gate.Source{Signature: gate.Signature{SignedAt: r.clock.Now()}}, true},
		{"StringEquals", "s3:signatureversion", "AWS", gate.Source{Signature: gate.Signature{Presigned: true, Legacy: true}}, true},
		{"StringNotEquals", "s3:signatureversion", "AWS", gate.Source{Signature: gate.Signature{Presigned: true, Legacy: true}}, false},
		{"NumericLessThan", "s3:signatureAge", "600000", gate.Source{Signature: gate.Signature{Presigned: true, Legacy: true}}, false},
		{"StringEquals", "s3:x-amz-content-sha256", "UNSIGNED-PAYLOAD", gate.Source{Signature: gate.Signature{SignedAt: r.clock.Now(), Payload: "UNSIGNED-PAYLOAD"}}, true},
		{"NumericGreaterThanEquals", "s3:TlsVersion", "1.2", gate.Source{TLS: true, TLSVersion: "1.3"}, true},
		{"NumericGreaterThanEquals", "s3:TlsVersion", "1.2", gate.Source{}, false},
	} {
		r.allow(u, statement(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"%s":{"%s":"%s"}}}`, c.operator, c.key, c.value))
		caller := gate.Client{Gate: r.gate, Principal: u, Region: region, Source: c.signed}
		if _, err := headOf(t, caller, "photos", "x"); (err == nil) != c.allowed {
			t.Errorf("%s %s %s for %+v: %v", c.key, c.operator, c.value, c.signed, err)
		}
	}
}

func TestOtherAccountsNeedBothSides(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos/x", "1")
	u := r.as(r.user(other, "user", all))
	u.fails(403, "AccessDenied", "GET /photos/x", "")
	r.ok("PUT /photos?policy", statement(`{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"s3:*","Resource":["arn:aws:s3:::photos","arn:aws:s3:::photos/*"]}`, other))
	u.reads("/photos/x", "1")
	u.ok("PUT /photos/theirs", "2")
	r.reads("/photos/theirs", "2")
	u.fails(405, "MethodNotAllowed", "GET /photos?policy", "")
	u.fails(405, "MethodNotAllowed", "DELETE /photos?policy", "")
	r.allow(u.who, nothing)
	u.fails(403, "AccessDenied", "GET /photos/x", "")
	r.ok("DELETE /photos?policy", "")
	r.allow(u.who, all)
	u.fails(403, "AccessDenied", "GET /photos/x", "")
}

const everybody = `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}`

func TestBlockPublicAccess(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos/x", "1")
	nobody, foreign, own := r.as(identity.Anonymous()), r.as(r.user(other, "user", all)), r.as(r.user(account, "own", nothing))
	nobody.fails(403, "AccessDenied", "GET /photos/x", "")
	a := r.fails(403, "AccessDenied", "PUT /photos?policy", statement(everybody))
	if !strings.Contains(a.body, "BlockPublicPolicy") {
		t.Errorf("%s", a.body)
	}
	r.ok("PUT /photos?publicAccessBlock", "<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>")
	r.ok("PUT /photos?policy", statement(everybody))
	if a := r.ok("GET /photos?policyStatus", ""); !strings.Contains(a.body, "<IsPublic>true</IsPublic>") {
		t.Errorf("%s", a.body)
	}
	for _, u := range []*rig{nobody, foreign} {
		if a := u.fails(403, "AccessDenied", "GET /photos/x", ""); !strings.Contains(a.body, "RestrictPublicBuckets") {
			t.Errorf("%s", a.body)
		}
	}
	own.reads("/photos/x", "1") // the owner's own principals are no public
	r.ok("DELETE /photos?publicAccessBlock", "")
	nobody.reads("/photos/x", "1")
	foreign.reads("/photos/x", "1")
	nobody.fails(403, "AccessDenied", "PUT /photos/x", "2")
	nobody.fails(403, "AccessDenied", "GET /photos?list-type=2", "")
	nobody.fails(403, "AccessDenied", "GET /", "")
	nobody.fails(403, "AccessDenied", "PUT /photos2", "")
	nobody.fails(400, "InvalidRequest", "GET /photos/x?response-content-type=text/html", "")
}

func TestRootIsNeverLockedOutOfThePolicy(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	r.ok("PUT /photos?policy", statement(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::photos","arn:aws:s3:::photos/*"]}`))
	r.fails(403, "AccessDenied", "DELETE /photos?policy", "")
	root, err := identity.Session{Kind: identity.KindRoot, Account: account, UserARN: "arn:aws:iam::" + account + ":root", UserID: account, Issued: r.clock.Now(), Expires: r.clock.Now().Add(time.Hour)}.Principal()
	if err != nil {
		t.Fatal(err)
	}
	r.allow(root, all)
	r.as(root).fails(403, "AccessDenied", "PUT /photos/x", "1")
	r.as(root).ok("DELETE /photos?policy", "")
	r.ok("PUT /photos/x", "1")
}

func TestMalformedPolicies(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	for _, doc := range []string{"x", "{", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow"}]}`,
		statement(`{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"}`, account),
		statement(`{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::photos-too/*"}`, account),
		statement(`{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"s3:GetObject","Resource":"*"}`, account),
		statement(`{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"ec2:Start","Resource":"arn:aws:s3:::photos/*"}`, account),
		statement(`{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::photos"}`, account),
		statement(`{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::photos/*"}`, account),
		statement(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}`),
	} {
		r.fails(400, "MalformedPolicy", "PUT /photos?policy", doc)
	}
	r.fails(400, "PolicyTooLarge", "PUT /photos?policy", statement("%s", strings.Repeat(" ", maxPolicy)))
	r.fails(404, "NoSuchBucketPolicy", "GET /photos?policy", "")
	for _, doc := range []string{statement(`{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"s3:Get*","Resource":"arn:aws:s3:::ph*/*"}`, account),
		statement(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::photos/*","Condition":{"StringEquals":{"s3:x-amz-acl":"public-read"}}}`)} {
		r.ok("PUT /photos?policy", doc)
		if a := r.ok("GET /photos?policy", ""); a.body != doc {
			t.Errorf("%s", a.body)
		}
	}
}

func TestWildcard(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{{"", "", true}, {"*", "", true}, {"a*c", "abbc", true}, {"a?c", "abc", true}, {"a?c", "ac", false}, {"*a*b", "xaxbxb", true}, {"a", "", false},
		{strings.Repeat("*a", 40), strings.Repeat("a", 60) + "b", false}} {
		if got := wildcard(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
}
