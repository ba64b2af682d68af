package app

import (
	"io"
	"strings"
	"testing"
)

// TestCallersOnALine: who called is named as well as the record can.
func TestCallersOnALine(t *testing.T) {
	for identity, want := range map[string]string{
		`{"type":"IAMUser","arn":"arn:aws:iam::123456789012:user/ann","principalId":"AIDA"}`: "by iam:user/ann",
		`{"type":"AWSService","invokedBy":"lambda.amazonaws.com"}`:                           "by lambda.amazonaws.com",
		`{"type":"Authorized","principalId":"bob"}`:                                          "by bob (as the authorizer says), 192.0.2.7",
		`{"type":"Authorized","principalId":"bob\u001b[2J"}`:                                 "by bob",
		`{"type":"Authorized"}`:                                                              "by somebody whom the authorizer let in, 192.0.2.7",
		`{"type":"AWSAccount","principalId":"ANONYMOUS_PRINCIPAL"}`:                          "by anonymous, 192.0.2.7",
	} {
		r, err := readRecord(`{"eventSource":"execute-api.amazonaws.com","eventName":"Invoke","sourceIPAddress":"192.0.2.7","requestParameters":{"httpMethod":"GET","path":"/a"},"userIdentity":` + identity + `}`)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.line(NewTerminal(io.Discard, io.Discard, false)); !strings.Contains(got, want) || strings.Contains(got, "\x1b") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
