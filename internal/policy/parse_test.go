package policy

import (
	"errors"
	"strings"
	"testing"
)

func TestMalformedDocumentsAreRefusedInIAMsWords(t *testing.T) {
	const stmt = `{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`
	with := func(element string) string {
		return doc(`{"Effect":"Allow","Action":"s3:Get*","Resource":"*",` + element + `}`)
	}
	action := func(a string) string { return doc(`{"Effect":"Allow","Action":` + a + `,"Resource":"*"}`) }
	resource := func(r string) string { return doc(`{"Effect":"Allow","Action":"s3:Get*","Resource":` + r + `}`) }
	public := func(p string) string {
		return doc(`{"Effect":"Allow","Principal":` + p + `,"Action":"s3:Get*","Resource":"*"}`)
	}
	trust := func(a string) string { return doc(`{"Effect":"Allow","Principal":"*","Action":"` + a + `"}`) }
	const syntax = msgSyntax
	for _, c := range []struct {
		name string
		kind Kind
		src  string
		want string // the message
		also string // part of the detail
	}{
		{"nothing", Identity, ``, syntax, "too early"},
		{"not JSON", Identity, `Version: 2012-10-17`, syntax, "JSON value"},
		{"half a document", Identity, `{"Version":"2012-10-17",`, syntax, "key"},
		{"more than one document", Identity, doc(stmt) + doc(stmt), syntax, "after the document"},
		{"a trailing comma", Identity, `{"Version":"2012-10-17","Statement":[` + stmt + `,]}`, syntax, ""},
		{"a trailing comma in an object", Identity, `{"Version":"2012-10-17",}`, syntax, "key"},
		{"a comment", Identity, `/* x */` + doc(stmt), syntax, ""},
		{"a list", Identity, `[` + stmt + `]`, syntax, "object"},
		{"equal elements", Identity, `{"Version":"2012-10-17","Version":"2012-10-17","Statement":` + stmt + `}`, syntax, `duplicate key "Version"`},
		{"equal elements, one escaped", Identity, with(`"Sid":"a","S\u0069d":"b"`), syntax, "duplicate key"},
		{"equal condition keys", Identity, with(`"Condition":{"StringEquals":{"a:b":"1","a:b":"2"}}`), syntax, "duplicate key"},
		{"broken UTF-8", Identity, with("\"Sid\":\"\xff\""), syntax, "UTF-8"},
		{"a control character", Identity, with("\"Sid\":\"a\nb\""), syntax, "control character"},
		{"half a surrogate pair", Identity, with(`"Sid":"\ud800"`), syntax, "surrogate"},
		{"nested too deeply", Identity, `{"Version":"2012-10-17","Statement":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, syntax, "too deeply"},
		{"an unknown element", Identity, `{"Version":"2012-10-17","Statements":` + stmt + `}`, syntax, `"Statements"`},
		{"elements are case-sensitive", Identity, `{"version":"2012-10-17","Statement":` + stmt + `}`, syntax, `"version"`},
		{"an unknown element of a statement", Identity, with(`"Conditions":{}`), syntax, `"Conditions"`},
		{"a version that is a number", Identity, `{"Version":2012,"Statement":` + stmt + `}`, syntax, "Version must be a string"},
		{"an unknown version", Identity, `{"Version":"2012-10-18","Statement":` + stmt + `}`, msgVersion, ""},
		{"a boundary without version", Boundary, `{"Statement":` + stmt + `}`, msgVersion, ""},
		{"an SCP of the old version", SCP, `{"Version":"2008-10-17","Statement":` + stmt + `}`, msgVersion, ""},
		{"no statement", Identity, `{"Version":"2012-10-17"}`, syntax, "Statement"},
		{"an empty list of statements", Identity, doc(), syntax, "empty"},
		{"a statement that is text", Identity, doc(`"Allow"`), syntax, "object"},
		{"no effect", Identity, doc(`{"Action":"s3:*","Resource":"*"}`), syntax, "Missing required field Effect"},
		{"an unknown effect", Identity, doc(`{"Effect":"Permit","Action":"s3:*","Resource":"*"}`), syntax, "Invalid effect: Permit"},
		{"effects are case-sensitive", Identity, doc(`{"Effect":"allow","Action":"s3:*","Resource":"*"}`), syntax, "Invalid effect"},
		{"no action", Identity, doc(`{"Effect":"Allow","Resource":"*"}`), msgNoActions, ""},
		{"an empty list of actions", Identity, action(`[]`), msgNoActions, ""},
		{"action and NotAction", Identity, with(`"NotAction":"s3:Put*"`), syntax, "not both"},
		{"an action that is null", Identity, action(`null`), syntax, "string"},
		{"an action without service", Identity, action(`"GetObject"`), msgVendor, ""},
		{"an action with two colons", Identity, action(`"s3:Get:Object"`), msgOneColon, ""},
		{"an action with a strange service", Identity, action(`"s3 :GetObject"`), "Vendor s3  is not valid", ""},
		{"an action with a wildcard in the service", Identity, action(`"s*:GetObject"`), "Vendor s* is not valid", ""},
		{"an action with a space", Identity, action(`"s3:Get Object"`), syntax, "not an action"},
		{"no resource", Identity, doc(`{"Effect":"Allow","Action":"s3:*"}`), msgNoResources, ""},
		{"an empty list of resources", Identity, resource(`[]`), msgNoResources, ""},
		{"resource and NotResource", Identity, with(`"NotResource":"*"`), syntax, "not both"},
		{"a resource that is no ARN", Identity, resource(`"tasks"`), `Resource tasks must be in ARN format or "*".`, ""},
		{"a resource of an unknown partition", Identity, resource(`"arn:awz:s3:::tasks"`), `Partition "awz" is not valid for resource "arn:awz:s3:::tasks".`, ""},
		{"an ARN that stops after the partition", Identity, resource(`"arn:aws"`), "Resource vendor must be fully qualified and cannot contain regexes.", ""},
		{"a variable that is not closed", Identity, resource(`"arn:aws:s3:::${aws:username"`), syntax, "not closed"},
		{"a variable without a name", Identity, resource(`"arn:aws:s3:::${}"`), syntax, "not a policy variable"},
		{"a default without quotes", Identity, resource(`"arn:aws:s3:::${a:b, c}"`), syntax, "single quotes"},
		{"a variable in a variable", Identity, resource(`"arn:aws:s3:::${a:${b:c}}"`), syntax, "not a policy variable"},
		{"a Principal in an identity policy", Identity, public(`"*"`), "Has prohibited field Principal", ""},
		{"a NotPrincipal in an SCP", SCP, with(`"NotPrincipal":"*"`), "Has prohibited field NotPrincipal", ""},
		{"a resource policy without Principal", Resource, doc(stmt), "Missing required field Principal", ""},
		{"a Principal that is other text", Resource, public(`"111111111111"`), syntax, "object"},
		{"an empty Principal", Resource, public(`{}`), syntax, "object"},
		{"an unknown type of principal", Resource, public(`{"User":"alice"}`), `Invalid principal in policy: "User":"alice"`, ""},
		{"a principal with a wildcard", Resource, public(`{"AWS":"arn:aws:iam::111111111111:user/*"}`), `Invalid principal in policy: "AWS":"arn:aws:iam::111111111111:user/*"`, ""},
		{"a principal of another service", Resource, public(`{"AWS":"arn:aws:s3:::tasks"}`), `Invalid principal in policy: "AWS":"arn:aws:s3:::tasks"`, ""},
		{"a short account", Resource, public(`{"AWS":"123"}`), `Invalid principal in policy: "AWS":"123"`, ""},
		{"a service without a domain", Resource, public(`{"Service":"lambda"}`), `Invalid principal in policy: "Service":"lambda"`, ""},
		{"an empty list of principals", Resource, public(`{"AWS":[]}`), `Invalid principal in policy: "AWS":[]`, ""},
		{"a trust policy with a Resource", Trust, public(`"*"`), "AssumeRole policy may only specify STS AssumeRole actions.", ""},
		{"a trust policy with the right action and a Resource", Trust, strings.Replace(public(`"*"`), "s3:Get*", "sts:AssumeRole", 1), "Has prohibited field Resource", ""},
		{"a trust policy for other actions", Trust, trust("s3:GetObject"), msgTrustActions, ""},
		{"a trust policy for everything", Trust, trust("*"), msgTrustActions, ""},
		{"a trust policy without Principal", Trust, doc(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), "Missing required field Principal", ""},
		{"an RCP for somebody", RCP, public(`{"Service":"s3.amazonaws.com"}`), syntax, "resource control policy"},
		{"an RCP with NotAction", RCP, doc(`{"Effect":"Deny","Principal":"*","NotAction":"s3:*","Resource":"*"}`), "Has prohibited field NotAction", ""},
		{"equal Sids", Identity, doc(`{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"}`, `{"Sid":"A","Effect":"Deny","Action":"*","Resource":"*"}`), msgSidUnique, ""},
		{"a Sid with a space", Identity, with(`"Sid":"my statement"`), msgSidShape, ""},
		{"a Condition that is a list", Identity, with(`"Condition":[]`), syntax, "Condition must be an object"},
		{"an unknown operator", Identity, with(`"Condition":{"StringMatches":{"a:b":"c"}}`), syntax, "Invalid Condition type : StringMatches"},
		{"an unknown set operator", Identity, with(`"Condition":{"ForSomeValues:StringEquals":{"a:b":"c"}}`), syntax, "Invalid Condition type"},
		{"Null takes no IfExists", Identity, with(`"Condition":{"NullIfExists":{"a:b":"true"}}`), syntax, "Invalid Condition type"},
		{"an operator without keys", Identity, with(`"Condition":{"StringEquals":"a"}`), syntax, "StringEquals must be an object"},
		{"a condition key without service", Identity, with(`"Condition":{"StringEquals":{"username":"a"}}`), msgVendor, "username"},
		{"a condition value that is an object", Identity, with(`"Condition":{"StringEquals":{"a:b":{}}}`), syntax, "values of a:b"},
		{"a condition value that is null", Identity, with(`"Condition":{"StringEquals":{"a:b":[null]}}`), syntax, "values of a:b"},
		{"a number that is none", Identity, with(`"Condition":{"NumericEquals":{"a:b":"5e3"}}`), syntax, "not a number"},
		{"a date that is none", Identity, with(`"Condition":{"DateLessThan":{"a:b":"2026-13-01"}}`), syntax, "not a date"},
		{"a range that is none", Identity, with(`"Condition":{"IpAddress":{"a:b":"10.0.0.0/33"}}`), syntax, "not an IP address"},
		{"a boolean that is none", Identity, with(`"Condition":{"Bool":{"a:b":"yes"}}`), syntax, "not true or false"},
		{"base64 that is none", Identity, with(`"Condition":{"BinaryEquals":{"a:b":"?"}}`), syntax, "not base64"},
		{"variables are for text and ARNs only", Identity, with(`"Condition":{"NumericEquals":{"a:b":"${a:c}"}}`), syntax, "not a number"},
		{"a document that is too long", Identity, doc(stmt) + strings.Repeat(" ", 64<<10), msgTooLong, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse([]byte(c.src), c.kind)
			var e *Error
			if p != nil || !errors.As(err, &e) {
				t.Fatalf("parsed; want %q", c.want)
			}
			if e.Message != c.want || !strings.Contains(e.Detail, c.also) {
				t.Errorf("got  %q (%s)\nwant %q (…%s…)", e.Message, e.Detail, c.want, c.also)
			}
			if e.Line < 1 || e.Column < 1 {
				t.Errorf("no position: %v", e)
			}
		})
	}
}

func TestDocumentsAreRead(t *testing.T) {
	for _, c := range []struct {
		name string
		kind Kind
		opts Options
		src  string
	}{
		{"one statement without a list", Identity, Options{}, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`},
		{"no version, as inline policies may", Identity, Options{}, `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`},
		{"an Id", Identity, Options{}, `{"Id":"my id","Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"}]}`},
		{"two empty Sids", Identity, Options{}, doc(`{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"}`, `{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"}`)},
		{"an empty Condition", Identity, Options{}, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}`)},
		{"a byte order of elements that differs", Identity, Options{}, `{"Statement":{"Resource":"*","Action":"*","Effect":"Deny"},"Version":"2012-10-17"}`},
		{"another partition", Identity, Options{}, doc(`{"Effect":"Allow","Action":"*","Resource":"arn:aws-cn:s3:::b"}`)},
		{"a resource policy whose resource is implied", Resource, Options{ResourceOptional: true}, doc(`{"Sid":"with spaces","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}`)},
		{"a trust policy for web identities", Trust, Options{}, doc(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111111111111:oidc-provider/x"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],"Condition":{"StringEquals":{"token.actions.githubusercontent.com:sub":"repo:o/r"}}}`)},
		{"an origin access identity", Resource, Options{}, doc(by("Allow", aws("arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1")))},
		{"an RCP", RCP, Options{}, doc(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"BoolIfExists":{"aws:SecureTransport":"false"}}}`)},
		{"escapes of JSON", Identity, Options{}, doc(`{"S\u0069d":"a","Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::\u00e9\ud83d\ude00\/\n"}`)},
	} {
		p, err := Parse([]byte(c.src), c.kind, c.opts)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if p.Kind() != c.kind || p.Len() == 0 || p.Source() != c.src {
			t.Errorf("%s: got %v with %d statements", c.name, p.Kind(), p.Len())
		}
	}
	if _, err := Parse([]byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`), Identity, Options{RequireVersion: true}); err == nil {
		t.Error("managed policies need their version")
	}
}

func TestStatementsKeepTheirPlaceAndWords(t *testing.T) {
	src := "{\n  \"Version\": \"2012-10-17\",\n  \"Id\": \"x\",\n  \"Statement\": [\n    {\"Effect\": \"Allow\", \"Action\": \"*\", \"Resource\": \"*\"},\n" +
		"    {\"Sid\": \"Two\", \"Effect\": \"Deny\", \"NotPrincipal\": {\"AWS\": [\"111111111111\"]}, \"NotAction\": [\"s3:Get*\"],\n" +
		"     \"NotResource\": \"arn:aws:s3:::b\", \"Condition\": {\"stringlikeifexists\": {\"aws:UserAgent\": \"x*\"}}}\n  ]\n}"
	src = strings.Replace(src, `"Action": "*"`, `"Principal": "*", "Action": "*"`, 1)
	p := must(t, Resource, src)
	s := p.Statement(1)
	if s.Line != 6 || s.Column != 5 || s.Index != 1 || s.Sid != "Two" || s.Allow {
		t.Errorf("got line %d, column %d, %+v", s.Line, s.Column, s)
	}
	if !strings.HasPrefix(s.Source, `{"Sid": "Two"`) || !strings.HasSuffix(s.Source, "}}}") {
		t.Errorf("source %q", s.Source)
	}
	if s.NotPrincipals["AWS"][0] != home || s.NotActions[0] != "s3:Get*" || s.NotResources[0] != "arn:aws:s3:::b" ||
		s.Conditions[0].Operator != "StringLikeIfExists" || s.Conditions[0].Key != "aws:UserAgent" {
		t.Errorf("got %+v", s)
	}
	if p.ID() != "x" || p.Version() != "2012-10-17" || p.Statement(0).Principals["*"] == nil {
		t.Errorf("got %+v", p.Statement(0))
	}
	_, err := Parse([]byte(strings.Replace(src, `"x*"`, `{}`, 1)), Resource)
	if err == nil || !strings.Contains(err.Error(), "line 7, column 93") {
		t.Errorf("got %v", err)
	}
}
