package policy

import (
	"testing"
)

// TestConditionOperators: does the condition hold for a request with these values of k:v? The keys
// k:other = ["o"] and k:many = ["m","n"] are always there; the caller is alice, tagged Team=red.
func TestConditionOperators(t *testing.T) {
	type values = []string
	tagged := *alice
	tagged.Tags = map[string]string{"Team": "red"}
	for _, c := range []struct {
		name, operator, wanted string
		got                    values
		want                   bool
	}{
		{"equal text", "StringEquals", `"a"`, values{"a"}, true},
		{"text is case-sensitive", "StringEquals", `"a"`, values{"A"}, false},
		{"one of several values", "StringEquals", `["x","a"]`, values{"a"}, true},
		{"no values at all", "StringEquals", `[]`, values{"a"}, false},
		{"a star is itself under StringEquals", "StringEquals", `"a*"`, values{"ab"}, false},
		{"a star is itself, and equal", "StringEquals", `"a*"`, values{"a*"}, true},
		{"numbers and booleans may be bare", "StringEquals", `[true, 12]`, values{"12"}, true},
		{"not equal", "StringNotEquals", `"a"`, values{"b"}, true},
		{"not equal is false for one of the values", "StringNotEquals", `["a","b"]`, values{"b"}, false},
		{"ignoring case", "StringEqualsIgnoreCase", `"ABC"`, values{"abC"}, true},
		{"not equal ignoring case", "StringNotEqualsIgnoreCase", `"ABC"`, values{"abC"}, false},
		{"like with a star", "StringLike", `"home/*"`, values{"home/a/b"}, true},
		{"like with a question mark", "StringLike", `"a?c"`, values{"abc"}, true},
		{"a question mark is one character", "StringLike", `"a?c"`, values{"ac"}, false},
		{"a question mark is one character, not one byte", "StringLike", `"a?c"`, values{"aéc"}, true},
		{"like is case-sensitive", "StringLike", `"Home/*"`, values{"home/a"}, false},
		{"not like", "StringNotLike", `"home/*"`, values{"home/a"}, false},
		{"operators are not case-sensitive", "stringlike", `"a*"`, values{"ab"}, true},

		{"equal numbers", "NumericEquals", `"5"`, values{"5.0"}, true},
		{"numbers are exact", "NumericEquals", `"9007199254740993"`, values{"9007199254740992"}, false},
		{"bare numbers", "NumericEquals", `5`, values{"5"}, true},
		{"not equal numbers", "NumericNotEquals", `5`, values{"6"}, true},
		{"less", "NumericLessThan", `10`, values{"9"}, true},
		{"less is of the number, not the text", "NumericLessThan", `10`, values{"9.99"}, true},
		{"less, but equal", "NumericLessThan", `10`, values{"10"}, false},
		{"less or equal", "NumericLessThanEquals", `10`, values{"10"}, true},
		{"greater", "NumericGreaterThan", `-1`, values{"-0.5"}, true},
		{"greater or equal", "NumericGreaterThanEquals", `10`, values{"9"}, false},
		{"not a number", "NumericEquals", `5`, values{"five"}, false},
		{"not a number is not equal either", "NumericNotEquals", `5`, values{"five"}, true},

		{"equal dates", "DateEquals", `"2026-07-01T00:00:00Z"`, values{"2026-07-01"}, true},
		{"dates in other zones", "DateEquals", `"2026-07-01T00:00:00Z"`, values{"2026-07-01T02:00:00+02:00"}, true},
		{"seconds since 1970", "DateEquals", `"2026-01-01"`, values{"1767225600"}, true},
		{"not equal dates", "DateNotEquals", `"2026-01-01"`, values{"2026-01-02"}, true},
		{"before", "DateLessThan", `"2026-01-01"`, values{"2025-12-31T23:59:59.999Z"}, true},
		{"before or at", "DateLessThanEquals", `"2026-01-01"`, values{"2026-01-01"}, true},
		{"after", "DateGreaterThan", `"2026-01-01"`, values{"2026-01-01"}, false},
		{"after or at", "DateGreaterThanEquals", `"2026"`, values{"2026-01-01"}, true},
		{"not a date", "DateLessThan", `"2026-01-01"`, values{"yesterday"}, false},
		{"no such day", "DateLessThan", `"2026-12-01"`, values{"2026-02-30"}, false},

		{"true", "Bool", `"true"`, values{"true"}, true},
		{"true, bare", "Bool", `true`, values{"true"}, true},
		{"true in capitals", "Bool", `"true"`, values{"TRUE"}, true},
		{"false is not true", "Bool", `"true"`, values{"false"}, false},
		{"equal bytes", "BinaryEquals", `"YQ=="`, values{"YQ=="}, true},
		{"other bytes", "BinaryEquals", `"YQ=="`, values{"Yg=="}, false},

		{"address in range", "IpAddress", `"203.0.113.0/24"`, values{"203.0.113.9"}, true},
		{"address out of range", "IpAddress", `"203.0.113.0/24"`, values{"203.0.114.9"}, false},
		{"a single address", "IpAddress", `"203.0.113.9"`, values{"203.0.113.9"}, true},
		{"a range with host bits", "IpAddress", `"203.0.113.7/24"`, values{"203.0.113.9"}, true},
		{"IPv6", "IpAddress", `"2001:db8::/32"`, values{"2001:db8:1::1"}, true},
		{"IPv6 is not in an IPv4 range", "IpAddress", `"0.0.0.0/0"`, values{"2001:db8::1"}, false},
		{"IPv4 written as IPv6", "IpAddress", `"203.0.113.0/24"`, values{"::ffff:203.0.113.9"}, true},
		{"several ranges", "IpAddress", `["10.0.0.0/8","2001:db8::/32"]`, values{"10.9.9.9"}, true},
		{"not in range", "NotIpAddress", `"10.0.0.0/8"`, values{"11.0.0.1"}, true},
		{"not an address", "IpAddress", `"0.0.0.0/0"`, values{"nowhere"}, false},
		{"an address with a zone", "IpAddress", `"fe80::/10"`, values{"fe80::1%eth0"}, false},

		{"equal ARNs", "ArnEquals", `"arn:aws:sns:eu-west-1:1:t"`, values{"arn:aws:sns:eu-west-1:1:t"}, true},
		{"ArnEquals takes wildcards", "ArnEquals", `"arn:aws:sns:*:1:*"`, values{"arn:aws:sns:eu-west-1:1:t"}, true},
		{"ArnLike", "ArnLike", `"arn:aws:sns:eu-*:1:t?"`, values{"arn:aws:sns:eu-west-1:1:t1"}, true},
		{"a star stays in its segment", "ArnLike", `"arn:aws:sns:*:t"`, values{"arn:aws:sns:eu-west-1:1:t"}, false},
		{"a star in the last segment takes colons", "ArnLike", `"arn:aws:logs:*:1:log-group:*"`, values{"arn:aws:logs:eu:1:log-group:a:*"}, true},
		{"a lone star is any ARN", "ArnLike", `"*"`, values{"arn:aws:sns:eu-west-1:1:t"}, true},
		{"a lone star is no other text", "ArnLike", `"*"`, values{"t"}, false},
		{"a pattern cut short by a star", "ArnLike", `"arn:aws:sns:*"`, values{"arn:aws:sns:eu-west-1:1:t"}, true},
		{"a pattern that is no ARN", "ArnLike", `"111111111111"`, values{"arn:aws:sns:eu-west-1:1:t"}, false},
		{"ArnNotEquals", "ArnNotEquals", `"arn:aws:sns:*:1:t"`, values{"arn:aws:sns:eu:1:t"}, false},
		{"ArnNotLike", "ArnNotLike", `"arn:aws:sns:*:2:*"`, values{"arn:aws:sns:eu:1:t"}, true},

		{"Null true: the key must be absent", "Null", `"true"`, nil, true},
		{"Null true with the key", "Null", `"true"`, values{"a"}, false},
		{"Null false: the key must be there", "Null", `false`, values{"a"}, true},
		{"Null false without the key", "Null", `"false"`, nil, false},
		{"Null with both", "Null", `["true","false"]`, nil, true},

		{"a missing key fails", "StringEquals", `"a"`, nil, false},
		{"a missing key fails Bool", "Bool", `"false"`, nil, false},
		{"a missing key satisfies a negated operator", "StringNotEquals", `"a"`, nil, true},
		{"a missing key satisfies NotIpAddress", "NotIpAddress", `"10.0.0.0/8"`, nil, true},
		{"a missing key satisfies ArnNotLike", "ArnNotLike", `"*"`, nil, true},
		{"IfExists without the key", "StringEqualsIfExists", `"a"`, nil, true},
		{"IfExists with the key", "StringEqualsIfExists", `"a"`, values{"b"}, false},
		{"IfExists in any case", "BOOLIFEXISTS", `"true"`, nil, true},

		{"ForAllValues, all in the list", "ForAllValues:StringEquals", `["a","b"]`, values{"a", "b"}, true},
		{"ForAllValues, one not", "ForAllValues:StringEquals", `["a","b"]`, values{"a", "c"}, false},
		{"ForAllValues without the key", "ForAllValues:StringEquals", `["a"]`, nil, true},
		{"ForAllValues with an empty value", "ForAllValues:StringEquals", `["a"]`, values{""}, true},
		{"ForAllValues negated, none in the list", "ForAllValues:StringNotEquals", `["a","b"]`, values{"c", "d"}, true},
		{"ForAllValues negated, one in the list", "ForAllValues:StringNotEquals", `["a","b"]`, values{"a", "d"}, false},
		{"ForAllValues like", "ForAllValues:StringLike", `["a*"]`, values{"ab", "ac"}, true},
		{"ForAnyValue, one in the list", "ForAnyValue:StringEquals", `["a","b"]`, values{"x", "b"}, true},
		{"ForAnyValue, none in the list", "ForAnyValue:StringEquals", `["a","b"]`, values{"x"}, false},
		{"ForAnyValue without the key", "ForAnyValue:StringEquals", `["a"]`, nil, false},
		{"ForAnyValue with an empty value", "ForAnyValue:StringLike", `["*"]`, values{""}, false},
		{"ForAnyValue negated, one not in the list", "ForAnyValue:StringNotEquals", `["a"]`, values{"a", "b"}, true},
		{"ForAnyValue negated, all in the list", "ForAnyValue:StringNotEquals", `["a","b"]`, values{"a", "b"}, false},
		{"ForAnyValue negated without the key", "ForAnyValue:StringNotEquals", `["a"]`, nil, false},
		{"ForAnyValue IfExists without the key", "ForAnyValue:StringEqualsIfExists", `["a"]`, nil, true},
		{"several values without a set operator: one is enough", "StringEquals", `"a"`, values{"x", "a"}, true},
		{"several values, negated: none may be", "StringNotEquals", `"a"`, values{"x", "a"}, false},

		{"a variable", "StringEquals", `"${aws:username}"`, values{"alice"}, true},
		{"variables are not case-sensitive", "StringEquals", `"${AWS:UserName}"`, values{"alice"}, true},
		{"a tag as variable", "StringLike", `"${aws:PrincipalTag/team}-*"`, values{"red-1"}, true},
		{"a variable without a value is equal to nothing", "StringEquals", `"${k:none}"`, values{""}, false},
		{"and like nothing", "StringLike", `"*${k:none}"`, values{"a"}, false},
		{"a negated operator matches against no value", "StringNotLike", `"${k:none}"`, values{"a"}, true},
		{"a default", "StringEquals", `"${k:none, 'a}b'}"`, values{"a}b"}, true},
		{"a default is not used when there is a value", "StringEquals", `"${k:other, 'a'}"`, values{"a"}, false},
		{"multi-valued keys are no variables", "StringEquals", `"${k:many}"`, values{"m"}, false},
		{"but may have a default", "StringEquals", `"${k:many, 'z'}"`, values{"z"}, true},
		{"an escaped star", "StringLike", `"a${*}"`, values{"ab"}, false},
		{"an escaped star is a star", "StringLike", `"a${*}"`, values{"a*"}, true},
		{"escaped question mark and dollar", "StringLike", `"${?}${$}{x}"`, values{"?${x}"}, true},
		{"a variable ignoring case", "StringEqualsIgnoreCase", `"ALICE-${aws:PrincipalTag/Team}"`, values{"alice-RED"}, true},
		{"a variable in an ARN", "ArnLike", `"arn:aws:s3:::b/${aws:username}/*"`, values{"arn:aws:s3:::b/alice/1"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := must(t, Identity, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"`+c.operator+`":{"k:V":`+c.wanted+`}}}`))
			keys := &Keys{}
			keys.Set("k:other", "o")
			keys.SetAll("k:many", values{"m", "n"})
			if c.got != nil {
				keys.SetAll("K:v", c.got)
			}
			req := &Request{Principal: &tagged, Action: "s3:GetObject", Resource: taskARN, Context: keys}
			if got := Decide(req, &Set{Identity: []Attached{{Policy: p}}}).Allowed; got != c.want {
				t.Errorf("%s %s against %q: got %v, want %v", c.operator, c.wanted, c.got, got, c.want)
			}
		})
	}
}

func TestResourcePatterns(t *testing.T) {
	for _, c := range []struct {
		name, pattern, resource string
		want                    bool
	}{
		{"everything", "*", taskARN, true},
		{"everything includes actions without resource", "*", "*", true},
		{"an ARN pattern does not", "arn:aws:s3:::*", "*", false},
		{"the same", taskARN, taskARN, true},
		{"case matters", "arn:aws:s3:::Tasks/1", taskARN, false},
		{"a prefix", "arn:aws:s3:::tasks/*", taskARN, true},
		{"a bucket is not its objects", "arn:aws:s3:::tasks", taskARN, false},
		{"objects are not their bucket", "arn:aws:s3:::tasks/*", "arn:aws:s3:::tasks", false},
		{"a star in the middle", "arn:aws:s3:::t*s/1", taskARN, true},
		{"a star takes slashes", "arn:aws:s3:::b/*/c", "arn:aws:s3:::b/x/y/c", true},
		{"a star takes colons in the resource part", "arn:aws:logs:eu:1:log-group:*", "arn:aws:logs:eu:1:log-group:a:log-stream:b", true},
		{"a star in the middle of the resource part takes colons", "arn:aws:lambda:eu:1:function:*:live", "arn:aws:lambda:eu:1:function:f:g:live", true},
		{"a question mark", "arn:aws:s3:::tasks/?", taskARN, true},
		{"a question mark takes a colon in the resource part", "arn:aws:s3:::a?b", "arn:aws:s3:::a:b", true},
		{"any region", "arn:aws:sqs:*:111111111111:q", "arn:aws:sqs:eu-west-1:111111111111:q", true},
		{"any region, another account", "arn:aws:sqs:*:111111111111:q", "arn:aws:sqs:eu-west-1:222222222222:q", false},
		{"a star inside a segment stays there", "arn:aws:sqs:eu-*-1:1:q", "arn:aws:sqs:eu-w:2:x-1:1:q", false},
		{"a star that ends a segment may go beyond", "arn:aws:sqs:*:q", "arn:aws:sqs:eu-west-1:111111111111:q", true},
		{"a pattern cut short", "arn:aws:sqs:*", "arn:aws:sqs:eu-west-1:111111111111:q", true},
		{"a question mark before the resource part is no colon", "arn:aws:s3?::b", "arn:aws:s3:::b", false},
		{"a variable", "arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::home/alice/x", true},
		{"a variable of somebody else", "arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::home/bob/x", false},
		{"a variable without a value", "arn:aws:s3:::home/${k:none}*", "arn:aws:s3:::home/", false},
		{"a default", "arn:aws:s3:::home/${k:none, 'guest'}/*", "arn:aws:s3:::home/guest/x", true},
		{"a star in a value is a star", "arn:aws:s3:::home/${k:star}", "arn:aws:s3:::home/x", false},
		{"and matches itself", "arn:aws:s3:::home/${k:star}", "arn:aws:s3:::home/*", true},
		{"an escaped star", "arn:aws:s3:::home/${*}", "arn:aws:s3:::home/x", false},
		{"a variable before the resource part", "arn:aws:sqs:eu:${aws:PrincipalAccount}:q", "arn:aws:sqs:eu:111111111111:q", true},
		{"a value cannot move the colons", "arn:aws:sqs:${k:colons}:q", "arn:aws:sqs:eu:111111111111:q", false},
		{"stars that must give back", "arn:aws:s3:::*ab*ab", "arn:aws:s3:::abab", true},
		{"stars that cannot", "arn:aws:s3:::*ab*ab", "arn:aws:s3:::ab", false},
	} {
		keys := &Keys{}
		keys.Set("k:star", "*")
		keys.Set("k:colons", "eu:111111111111")
		req := &Request{Principal: alice, Action: "a:B", Resource: c.resource, Context: keys}
		for element, want := range map[string]bool{"Resource": c.want, "NotResource": !c.want} {
			p := must(t, Identity, doc(`{"Effect":"Allow","Action":"*","`+element+`":"`+c.pattern+`"}`))
			if got := Decide(req, &Set{Identity: []Attached{{Policy: p}}}).Allowed; got != want {
				t.Errorf("%s: %s %s against %s: got %v", c.name, element, c.pattern, c.resource, got)
			}
		}
	}
}

func TestActionPatterns(t *testing.T) {
	for _, c := range []struct {
		patterns, action string
		want             bool
	}{
		{`"*"`, "s3:GetObject", true},
		{`"*:*"`, "s3:GetObject", true},
		{`"s3:*"`, "s3:GetObject", true},
		{`"s3:*"`, "s3express:GetObject", false},
		{`"s3:GetObject"`, "s3:GetObject", true},
		{`"S3:getOBJECT"`, "s3:GetObject", true},
		{`"s3:GetObject"`, "S3:GETOBJECT", true},
		{`"s3:Get*"`, "s3:GetObject", true},
		{`"s3:Get*"`, "s3:PutObject", false},
		{`"s3:*Object"`, "s3:GetObject", true},
		{`"s3:*Object"`, "s3:GetObjectAcl", false},
		{`"s3:?etObject"`, "s3:GetObject", true},
		{`"s3:Get?bject*"`, "s3:GetObjectAcl", true},
		{`"s3:*Object*Acl"`, "s3:GetObjectVersionAcl", true},
		{`"*:GetObject"`, "s3:GetObject", true},
		{`["sqs:*","s3:Get*"]`, "s3:GetObject", true},
		{`["sqs:*","sns:*"]`, "s3:GetObject", false},
		{`"execute-api:Invoke"`, "execute-api:Invoke", true},
		{`"s3:GetObject"`, "s3:GetObjectVersion", false},
		{`"s3:GetObjectVersion"`, "s3:GetObject", false},
	} {
		req := &Request{Principal: alice, Action: c.action, Resource: "*"}
		for element, want := range map[string]bool{"Action": c.want, "NotAction": !c.want} {
			p := must(t, Identity, doc(`{"Effect":"Allow","`+element+`":`+c.patterns+`,"Resource":"*"}`))
			if got := Decide(req, &Set{Identity: []Attached{{Policy: p}}}).Allowed; got != want {
				t.Errorf("%s %s against %s: got %v", element, c.patterns, c.action, got)
			}
		}
	}
}

func TestOldDocumentsHaveNoVariables(t *testing.T) {
	src := `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}"}}`
	set := &Set{Identity: []Attached{attach(t, Identity, src)}}
	for resource, want := range map[string]bool{"arn:aws:s3:::home/alice": false, "arn:aws:s3:::home/${aws:username}": true} {
		req := &Request{Principal: alice, Action: "s3:GetObject", Resource: resource}
		if got := Decide(req, set).Allowed; got != want {
			t.Errorf("%s: got %v", resource, got)
		}
	}
}

func TestPrincipalKeys(t *testing.T) {
	tagged := *role
	tagged.Tags = map[string]string{"Cost Center": "7", "TEAM": "b", "Team": "a"}
	lying := &Keys{}
	for _, k := range []string{"aws:PrincipalArn", "aws:username", "aws:userid", "aws:PrincipalTag/New", "aws:PrincipalAccount"} {
		lying.Set(k, "forged")
	}
	for _, c := range []struct {
		who       *Principal
		key, want string // "" means that there is no such key
	}{
		{alice, "aws:username", "alice"},
		{alice, "aws:userid", "AIDAALICEALICEALICE0"},
		{alice, "aws:PrincipalType", "User"},
		{alice, "aws:PrincipalArn", aliceARN},
		{alice, "aws:PrincipalAccount", home},
		{alice, "aws:PrincipalTag/New", ""},
		{&tagged, "aws:PrincipalArn", roleARN},
		{&tagged, "aws:username", ""},
		{&tagged, "aws:userid", "AROAREADERREADERREAD:s1"},
		{&tagged, "aws:PrincipalType", "AssumedRole"},
		{&tagged, "aws:PrincipalTag/cost center", "7"},
		{&tagged, "aws:PrincipalTag/team", "b"},
		{own, "aws:PrincipalType", "Account"},
		{own, "aws:userid", home},
		{own, "aws:username", ""},
		{fed, "aws:PrincipalType", "FederatedUser"},
		{svc, "aws:PrincipalIsAWSService", "true"},
		{svc, "aws:PrincipalServiceName", "apigateway.amazonaws.com"},
		{svc, "aws:PrincipalArn", ""},
		{nil, "aws:PrincipalType", "Anonymous"},
		{nil, "aws:userid", ""},
		{alice, "aws:PrincipalIsAWSService", "false"},
		{alice, "aws:ResourceAccount", away},
	} {
		e := evaluate(&Request{Principal: c.who, ResourceAccount: away, Context: lying}, nil)
		got := e.lookup(string(evaluate(&Request{Action: c.key}, nil).action))
		if c.want == "" && got.Len() == 0 {
			continue
		}
		if got.Len() != 1 || got.At(0) != c.want {
			t.Errorf("%s of %s: got %q, want %q", c.key, c.who.name(), got.Strings(), c.want)
		}
	}
}
