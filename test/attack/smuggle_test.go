package attack

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

// TestFraming: a request that two readers may read differently is refused, and nothing that hides
// in its body is answered.
func TestFraming(t *testing.T) {
	s := harness.Start(t)
	const hidden = "GET /_bastide/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
	head := "POST / HTTP/1.1\r\nHost: " + s.Address + "\r\nConnection: close\r\n"
	for name, request := range map[string]string{
		"two lengths":           head + "Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello" + hidden,
		"a list of lengths":     head + "Content-Length: 5, 50\r\n\r\nhello" + hidden,
		"a signed length":       head + "Content-Length: +5\r\n\r\nhello" + hidden,
		"a negative length":     head + "Content-Length: -1\r\n\r\n" + hidden,
		"a length in hex":       head + "Content-Length: 0x5\r\n\r\nhello" + hidden,
		"a huge length":         head + "Content-Length: 99999999999999999999\r\n\r\n" + hidden,
		"an unknown encoding":   head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
		"two encodings":         head + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden,
		"an encoding twice":     head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a space before colon":  head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a bad chunk":           head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + hidden,
		"a chunk of 2^64":       head + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + hidden,
		"two hosts":             "GET /_bastide/health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
		"no host":               "GET /_bastide/health HTTP/1.1\r\nConnection: close\r\n\r\n",
		"HTTP/1.0 without host": "GET /_bastide/health HTTP/1.0\r\n\r\n",
		"a foreign target":      "GET http://evil.example/_bastide/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"a tunnel":              "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n",
		"a NUL in a path":       "GET /\x00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"a version of its own":  "GET / HTTP/9.9\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"no HTTP at all":        strings.Repeat("\x16\x03\x01", 100) + "\r\n\r\n",
		"a head of 100 KB":      head + "X-Long: " + strings.Repeat("a", 100<<10) + "\r\n\r\n",
		"20,000 headers":        head + strings.Repeat("X-A: b\r\n", 20000) + "\r\n",
		"a path of 100 KB":      "GET /" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := raw(t, s, request)
			if strings.Contains(a, "HTTP/1.1 200") || strings.Contains(a, `"running"`) || strings.Count(a, "HTTP/1.1 ") > 1 {
				t.Errorf("answered %.300q", a)
			}
		})
	}
	s.Alive(t)
}

// TestBothFramings: with a length and chunks, the chunks count (RFC 9112, section 6.3), and the
// connection is not used further.
func TestBothFramings(t *testing.T) {
	s := harness.Start(t)
	a := raw(t, s, "POST / HTTP/1.1\r\nHost: "+s.Address+"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+
		"GET /_bastide/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if strings.Contains(a, `"running"`) {
		t.Errorf("what hid behind the body was answered: %.300q", a)
	}
}

// TestTooLarge: bodies beyond a service's limit are refused unread.
func TestTooLarge(t *testing.T) {
	s := harness.Start(t)
	admin := s.Admin(t).Signing()
	for _, d := range doors {
		if d.s3() {
			continue // objects stream
		}
		d.body = strings.Repeat("a", 17<<20)
		r := d.signed(t, s, admin, time.Now())
		hc := &http.Client{Timeout: patience}
		answer, err := hc.Do(r)
		if err != nil {
			continue // the server closed while we still sent, as it may
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: answered %d", d.name, answer.StatusCode)
		}
	}
	s.Alive(t)
}

// TestSlowClients: who sends a byte now and then is hung up on, in the head and in the body, while
// others are served.
func TestSlowClients(t *testing.T) {
	s := harness.Start(t)
	head := "POST / HTTP/1.1\r\nHost: " + s.Address + "\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\nContent-Length: 1000\r\n"
	for name, start := range map[string]string{"head": head, "body": head + "\r\n{", "chunks": strings.Replace(head, "Content-Length: 1000", "Transfer-Encoding: chunked", 1) + "\r\n5\r\nh"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 50 {
				c, err := net.Dial("tcp", s.Address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				if _, err := io.WriteString(c, start); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.Records(t, nil); len(got) == 0 {
				t.Error("nobody else is served")
			}
			if a := raw(t, s, start); strings.Contains(a, " 200 ") {
				t.Errorf("answered %.200q", a)
			}
		})
	}
}

// TestBombs: bodies that swell when read are refused before they do.
func TestBombs(t *testing.T) {
	s := harness.Start(t)
	admin := s.Admin(t).Signing()
	if err := s.Client(t).CreateBucket(t.Context(), "attack-bombs"); err != nil {
		t.Fatal(err)
	}
	target := func(op string) map[string]string {
		return map[string]string{"X-Amz-Target": "DynamoDB_20120810." + op, "Content-Type": "application/x-amz-json-1.0"}
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	deep := strings.Repeat("[", 200000)
	laughs := `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">` + entities() + `]><VersioningConfiguration><Status>&j;</Status></VersioningConfiguration>`
	outside := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><VersioningConfiguration><Status>&f;</Status></VersioningConfiguration>`
	for name, d := range map[string]door{
		"JSON arrays":         {service: "dynamodb", body: `{"TableName":` + deep, header: target("ListTables")},
		"JSON objects":        {service: "dynamodb", body: strings.Repeat(`{"a":`, 200000), header: target("PutItem")},
		"JSON unknown":        {service: "dynamodb", body: `{"unknown":` + deep + strings.Repeat("]", 200000) + `}`, header: target("ListTables")},
		"JSON attribute":      {service: "dynamodb", body: `{"TableName":"t","Item":{"id":` + strings.Repeat(`{"L":[`, 50000) + strings.Repeat(`]}`, 50000) + `}}`, header: target("PutItem")},
		"JSON number":         {service: "dynamodb", body: `{"Limit":1e999999999}`, header: target("ListTables")},
		"JSON invalid UTF-8":  {service: "dynamodb", body: "{\"TableName\":\"\xff\xfe\"}", header: target("DescribeTable")},
		"JSON cut":            {service: "dynamodb", body: `{"TableName":"`, header: target("DescribeTable")},
		"expression":          {service: "dynamodb", body: `{"TableName":"t","FilterExpression":"` + strings.Repeat("(", 4000) + `"}`, header: target("Scan")},
		"query index":         {service: "iam", body: "Action=TagUser&Version=2010-05-08&UserName=x&Tags.member.2147483647.Key=a&Tags.member.2147483647.Value=b", header: form},
		"query depth":         {service: "iam", body: "Action=TagUser&Version=2010-05-08&UserName=x&Tags" + strings.Repeat(".member.1", 20000) + "=a", header: form},
		"query pairs":         {service: "iam", body: "Action=TagUser&Version=2010-05-08" + strings.Repeat("&a=b", 200000), header: form},
		"policy document":     {service: "iam", body: "Action=CreatePolicy&Version=2010-05-08&PolicyName=deep&PolicyDocument=" + strings.Repeat("%5B", 50000), header: form},
		"XML depth":           {service: "s3", method: http.MethodPut, path: "/attack-bombs?versioning", body: strings.Repeat("<a>", 100000)},
		"XML entities":        {service: "s3", method: http.MethodPut, path: "/attack-bombs?versioning", body: laughs},
		"XML outside entity":  {service: "s3", method: http.MethodPut, path: "/attack-bombs?versioning", body: outside},
		"XML attributes":      {service: "s3", method: http.MethodPut, path: "/attack-bombs?versioning", body: `<VersioningConfiguration ` + attributes() + `/>`},
		"XML list of objects": {service: "s3", method: http.MethodPost, path: "/attack-bombs?delete", body: "<Delete>" + strings.Repeat("<Object><Key>a</Key></Object>", 50000) + "</Delete>"},
	} {
		t.Run(name, func(t *testing.T) {
			if d.method == "" {
				d.method, d.path = http.MethodPost, "/"
			}
			a := s.Send(t, d.signed(t, s, admin, time.Now()))
			if a.Status < 400 || a.Status >= 500 || code(a) == "" {
				t.Errorf("answered %d %.300s", a.Status, a.Body)
			}
			if strings.Contains(a.Body, "root:") || len(a.Body) > 8<<10 {
				t.Errorf("an answer of %d bytes: %.300s", len(a.Body), a.Body)
			}
		})
	}
	s.Recorded(t, "a bomb", map[string][]string{"eventName": {"ListTables"}}, func(r audit.Record) bool { return r.ErrorCode != "" })
	s.Alive(t)
}

// entities are ten, each of ten of the one before: ten gigabytes when read.
func entities() string {
	var b strings.Builder
	for c := 'b'; c <= 'j'; c++ {
		fmt.Fprintf(&b, `<!ENTITY %c "%s">`, c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
	}
	return b.String()
}

func attributes() string {
	var b strings.Builder
	for n := range 50000 {
		fmt.Fprintf(&b, `a%d="b" `, n)
	}
	return b.String()
}

// TestOpenCredentialsStayHome: they are refused on any address but this machine's own.
func TestOpenCredentialsStayHome(t *testing.T) {
	for _, flags := range [][]string{{"--listen", "0.0.0.0:0"}, {"--listen", ":0"}, {"--listen", "[::]:0"}, {"--listen", "192.0.2.1:0"},
		{"--listen", "127.0.0.1:0", "--listen-apps", "0.0.0.0:0"}} {
		args := append([]string{"serve", "--data", t.TempDir(), "--open-credentials"}, flags...)
		out, err := exec.CommandContext(t.Context(), harness.Binary(), args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "open-credentials") || strings.Contains(string(out), "ready") {
			t.Errorf("%v: %v %s", flags, err, out)
		}
	}
	s := harness.Start(t, "--open-credentials")
	for _, keys := range []string{"test", "anything"} {
		c := s.Client(t)
		c.Credentials.AccessKeyID, c.Credentials.SecretAccessKey = keys, keys
		if err := c.JSON(t.Context(), "dynamodb", "DynamoDB_20120810.ListTables", map[string]any{}, nil); err != nil {
			t.Errorf("key %q under open credentials: %v", keys, err)
		}
	}
	r := s.Recorded(t, "an open call", map[string][]string{"eventName": {"ListTables"}}, func(r audit.Record) bool { return r.ErrorCode == "" })
	if r.Additional["openCredentials"] == nil && !strings.Contains(fmt.Sprint(r.Additional), "pen") {
		t.Errorf("the record does not say that credentials are open: %+v", r.Additional)
	}
	if !strings.Contains(s.Log.String(), "open credentials") {
		t.Error("the log does not say that credentials are open")
	}
	if a := raw(t, s, "GET /_bastide/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.Contains(a, `"openCredentials":true`) {
		t.Errorf("the health page does not say that credentials are open: %s", a)
	}
}
