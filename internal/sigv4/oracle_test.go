package sigv4

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

var oracleKey = Credentials{"ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE//+token=="}

// lenient ties no token to the key: the oracle signs with and without one.
type lenient struct{ Credentials }

func (l lenient) Key(id, token string, _ time.Time) (Secret, error) {
	if id != l.AccessKeyID || token != "" && token != l.SessionToken {
		return Secret{}, awserr.Of(awserr.InvalidToken, "The security token included in the request is invalid.")
	}
	return Secret{Key: l.SecretAccessKey}, nil
}

type oracleRequest struct {
	Name, Method, URL string
	Headers           [][2]string
	Service           string
	S3                bool
	Body              []byte
}

// wire sends the request through net/http's own parser, as a server would read it.
func (o oracleRequest) wire(t *testing.T) *http.Request {
	t.Helper()
	var b bytes.Buffer
	target := strings.TrimPrefix(o.URL, "https://localhost:4566")
	b.WriteString(o.Method + " " + target + " HTTP/1.1\r\nHost: localhost:4566\r\n")
	chunked := false
	for _, h := range o.Headers {
		if strings.EqualFold(h[0], "Content-Length") {
			continue
		}
		chunked = chunked || strings.EqualFold(h[0], "Transfer-Encoding")
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	if !chunked {
		b.WriteString("Content-Length: " + itoa(len(o.Body)) + "\r\n")
	}
	b.WriteString("\r\n")
	r, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// oracleRequests runs botocore; a machine without it cannot run this test and must say so.
func oracleRequests(t *testing.T) []oracleRequest {
	t.Helper()
	cmd := exec.Command("python3", "testdata/oracle.py", oracleKey.AccessKeyID, oracleKey.SecretAccessKey, oracleKey.SessionToken)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the oracle wants python3 with boto3: %v\n%s", err, stderr.String())
	}
	var all []oracleRequest
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var o oracleRequest
		if err := d.Decode(&o); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
}

func TestBotocoreRequests(t *testing.T) {
	all := oracleRequests(t)
	if len(all) < 40 {
		t.Fatalf("the oracle made %d requests", len(all))
	}
	v := New(Options{Keys: lenient{oracleKey}, Clock: clock.System{}})
	for i, o := range all {
		t.Run(itoa(i)+" "+o.Name, func(t *testing.T) {
			svc := SigningOptions{Services: []string{o.Service}, Region: "eu-west-1", S3: o.S3}
			body := o.Body
			if o.S3 {
				body = nil
			}
			got, err := v.Verify(o.wire(t), body, svc)
			if err != nil {
				e := err.(*awserr.Error)
				t.Fatalf("%v\n%v\n%s %s %v", err, e.Fields, o.Method, o.URL, o.Headers)
			}
			read, err := io.ReadAll(got.Body(bytes.NewReader(o.Body)))
			if err != nil {
				t.Fatalf("%s: %v", got.PayloadHash(), err)
			}
			if got.PayloadHash() == streamUnsigned && len(read) >= len(o.Body) {
				t.Errorf("framing was not removed: %d of %d bytes", len(read), len(o.Body))
			}
			o.Method = "DELETE"
			if _, err := v.Verify(o.wire(t), body, svc); !isKind(err, awserr.SignatureDoesNotMatch) {
				t.Errorf("with another method: %v", err)
			}
		})
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
