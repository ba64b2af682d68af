package app

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/bastide-cloud/bastide/internal/app/pack"
)

// TestIssuersOfThisMachineAreAskedFor tells issuers that need leave from those that do not.
func TestIssuersOfThisMachineAreAskedFor(t *testing.T) {
	facts := &pack.Facts{Issuers: []string{"http://127.0.0.1:9099/tenant", "http://localhost:9099", "https://id.example.com", "https://10.1.2.3", "https://8.8.8.8", "https://100.64.1.2", "not a url"}}
	for _, c := range []struct{ allowed, want []string }{
		{nil, []string{"http://127.0.0.1:9099", "http://localhost:9099", "https://10.1.2.3", "https://100.64.1.2"}},
		{[]string{"http://127.0.0.1:9099", "https://10.1.2.3:443", "https://100.64.1.2"}, []string{"http://localhost:9099"}},
		{[]string{"http://127.0.0.1:9098"}, []string{"http://127.0.0.1:9099", "http://localhost:9099", "https://10.1.2.3", "https://100.64.1.2"}},
	} {
		if got := issuersOf(facts, c.allowed); !slices.Equal(got, c.want) {
			t.Errorf("with leave for %v: %v, want %v", c.allowed, got, c.want)
		}
	}
}

type noNames struct{}

func (noNames) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("asked a name server")
}

// TestLocalhostNamesAreThisMachine resolves names below localhost without a name server.
func TestLocalhostNamesAreThisMachine(t *testing.T) {
	for host, own := range map[string]bool{"localhost": true, "db.localhost": true, "localhost.example": false, "notlocalhost": false} {
		got, err := resolver{noNames{}}.LookupNetIP(t.Context(), "ip", host)
		if own != (err == nil) || own && !got[0].IsLoopback() {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
}

// TestLiveViewLeavesOutWhatServicesDo keeps callers' calls and every refusal.
func TestLiveViewLeavesOutWhatServicesDo(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"eventSource":"dynamodb.amazonaws.com","eventName":"PutItem","userIdentity":{"arn":"arn:aws:sts::1:assumed-role/r/f"}}`:                                                 false,
		`{"eventSource":"logs.amazonaws.com","eventName":"PutLogEvents","userIdentity":{"arn":"arn:aws:sts::1:assumed-role/r/f"}}`:                                                true,
		`{"eventSource":"logs.amazonaws.com","eventName":"PutLogEvents","errorCode":"AccessDeniedException"}`:                                                                     false,
		`{"eventSource":"lambda.amazonaws.com","eventName":"Invoke","userIdentity":{"invokedBy":"apigateway.amazonaws.com"}}`:                                                     true,
		`{"eventSource":"execute-api.amazonaws.com","eventName":"Invoke","requestParameters":{"httpMethod":"GET","path":"/x"},"additionalEventData":{"bastidePhase":"admitted"}}`: true,
		`{"eventSource":"execute-api.amazonaws.com","eventName":"Invoke","requestParameters":{"httpMethod":"GET","path":"/x"}}`:                                                   false,
		`{"eventSource":"s3.amazonaws.com","eventName":"PutObject","requestParameters":["of another shape"]}`:                                                                     false,
	} {
		rec, err := readRecord(raw)
		if err != nil || rec.inner() != want {
			t.Errorf("%s: %t, %v", raw, rec.inner(), err)
		}
		if rec.EventSource == applications && rec.Parameters.Path != "/x" {
			t.Errorf("%s: its path is %q", raw, rec.Parameters.Path)
		}
	}
}
