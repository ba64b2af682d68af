package name

import (
	"strings"
	"testing"
)

func TestFunctionForms(t *testing.T) {
	for in, want := range map[string]Function{
		"hello":                       {Name: "hello"},
		"hello:PROD":                  {Name: "hello", Qualifier: "PROD"},
		"hello:$LATEST":               {Name: "hello", Qualifier: "$LATEST"},
		"function:hello":              {Name: "hello"},
		"function":                    {Name: "function"},
		"123456789012:function:hello": {Account: "123456789012", Name: "hello"},
		"123456789012":                {Name: "123456789012"},
		"eu-west-1:123456789012:function:hello:7":                       {Region: "eu-west-1", Account: "123456789012", Name: "hello", Qualifier: "7"},
		"arn:aws:lambda:eu-west-1:123456789012:function:hello":          {Region: "eu-west-1", Account: "123456789012", Name: "hello"},
		"arn:aws:lambda:us-gov-east-1:123456789012:function:a_b-1:live": {Region: "us-gov-east-1", Account: "123456789012", Name: "a_b-1", Qualifier: "live"},
	} {
		got, err := ParseFunction(in)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", ":", "a b", "a:b:c", "a:", "../x", "arn:aws:lambda:eu-west-1:1:function:x", "arn:aws:s3:eu-west-1:123456789012:function:x",
		"arn:aws:lambda:eu-west-1:123456789012:layer:x", "arn:aws:lambda:eu-west-1:123456789012:function:x:y:z", strings.Repeat("a", 65), "x/y", "é"} {
		if got, err := ParseFunction(in); err == nil {
			t.Errorf("%q was read as %+v", in, got)
		}
	}
}

func TestLayerForms(t *testing.T) {
	for in, want := range map[string]Layer{
		"sdk": {Name: "sdk"},
		"arn:aws:lambda:eu-west-1:123456789012:layer:sdk":    {Region: "eu-west-1", Account: "123456789012", Name: "sdk"},
		"arn:aws:lambda:eu-west-1:123456789012:layer:sdk:12": {Region: "eu-west-1", Account: "123456789012", Name: "sdk", Version: 12},
	} {
		got, err := ParseLayer(in)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "a:1", "arn:aws:lambda:eu-west-1:123456789012:layer:sdk:0", "arn:aws:lambda:eu-west-1:123456789012:layer:sdk:01",
		"arn:aws:lambda:eu-west-1:123456789012:layer:sdk:1:2", "arn:aws:lambda:eu-west-1:123456789012:function:sdk"} {
		if got, err := ParseLayer(in); err == nil {
			t.Errorf("%q was read as %+v", in, got)
		}
	}
}

func TestAliasesAreNoNumbers(t *testing.T) {
	for in, want := range map[string]bool{"PROD": true, "v1": true, "1": false, "": false, "12a": true, "$LATEST": false, "a.b": false} {
		if Alias(in) != want {
			t.Errorf("Alias(%q) = %v", in, !want)
		}
	}
}

func FuzzParseFunction(f *testing.F) {
	for _, s := range []string{"hello:PROD", "arn:aws:lambda:eu-west-1:123456789012:function:hello:7", "eu-west-1:function:x", "123456789012:function:hello"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseFunction(s)
		if err != nil {
			return
		}
		if !strings.Contains(s, got.Name) || strings.ContainsAny(got.Name, "/.:") || got.Account != "" && !Account(got.Account) {
			t.Fatalf("%q → %+v", s, got)
		}
		full := "arn:aws:lambda:eu-west-1:123456789012:function:" + got.Name
		if got.Qualifier != "" {
			full += ":" + got.Qualifier
		}
		again, err := ParseFunction(full)
		if err != nil || again.Name != got.Name || again.Qualifier != got.Qualifier {
			t.Fatalf("%q → %+v, %v", full, again, err)
		}
	})
}
