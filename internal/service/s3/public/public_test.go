package public

import (
	"testing"

	"github.com/bastide-cloud/bastide/internal/policy"
)

func TestPolicy(t *testing.T) {
	const everybody = `"Principal":"*"`
	for name, c := range map[string]struct {
		statement string
		public    bool
	}{
		"everybody":                      {everybody, true},
		"everybody by AWS":               {`"Principal":{"AWS":"*"}`, true},
		"an account and everybody":       {`"Principal":{"AWS":["123456789012","*"]}`, true},
		"an account":                     {`"Principal":{"AWS":"123456789012"}`, false},
		"a role":                         {`"Principal":{"AWS":"arn:aws:iam::123456789012:role/x"}`, false},
		"a service":                      {`"Principal":{"Service":"cloudfront.amazonaws.com"}`, false},
		"every service":                  {`"Principal":{"Service":"*"}`, true},
		"all but one":                    {`"NotPrincipal":{"AWS":"123456789012"}`, true},
		"an address range":               {everybody + `,"Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, false},
		"an address":                     {everybody + `,"Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.7"}}`, false},
		"half the internet":              {everybody + `,"Condition":{"IpAddress":{"aws:SourceIp":["203.0.113.0/24","0.0.0.0/1"]}}`, true},
		"a wide range of IPv6":           {everybody + `,"Condition":{"IpAddress":{"aws:SourceIp":"2001::/16"}}`, true},
		"a range of IPv6":                {everybody + `,"Condition":{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`, false},
		"all but a range":                {everybody + `,"Condition":{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, true},
		"an endpoint":                    {everybody + `,"Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`, false},
		"an endpoint, if there is one":   {everybody + `,"Condition":{"StringEqualsIfExists":{"aws:SourceVpce":"vpce-1"}}`, true},
		"all endpoints of none":          {everybody + `,"Condition":{"ForAllValues:StringEquals":{"aws:SourceVpce":"vpce-1"}}`, true},
		"any endpoint but one":           {everybody + `,"Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`, true},
		"an ARN with a star":             {everybody + `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:123456789012:*"}}`, true},
		"an ARN":                         {everybody + `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:eu-west-1:123456789012:t"}}`, false},
		"an organisation":                {everybody + `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`, false},
		"a variable":                     {everybody + `,"Condition":{"StringEquals":{"aws:PrincipalAccount":"${aws:ResourceAccount}"}}`, true},
		"the referer, which anybody can": {everybody + `,"Condition":{"StringLike":{"aws:Referer":"https://example.com/"}}`, true},
		"TLS":                            {everybody + `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`, true},
		"two conditions, one narrows":    {everybody + `,"Condition":{"Bool":{"aws:SecureTransport":"true"},"StringEquals":{"aws:SourceAccount":"123456789012"}}`, false},
	} {
		for _, effect := range []string{"Allow", "Deny"} {
			doc := `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `",` + c.statement + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}`
			p, err := policy.Parse([]byte(doc), policy.Resource)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := Policy(p); got != (c.public && effect == "Allow") {
				t.Errorf("%s, %s: public is %v", name, effect, got)
			}
		}
	}
}
