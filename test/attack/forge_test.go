package attack

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// door is one request of a protocol, and the codes that its family of services answers with.
type door struct {
	name    string
	service string
	method  string
	path    string
	header  map[string]string
	body    string

	mismatch, unknown, expired, missing, token, over string // codes; over: of a session
}

func (d door) s3() bool { return d.service == "s3" }

// doors is a request of every protocol, each with a path, a header and a body where the protocol
// has them. The codes are those of AWS's "Common Errors" pages and of S3's "Error Responses".
var doors = []door{
	{name: "json", service: "dynamodb", method: http.MethodPost, path: "/", body: `{"Limit":7}`,
		header:   map[string]string{"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"},
		mismatch: "InvalidSignatureException", unknown: "UnrecognizedClientException", expired: "InvalidSignatureException",
		missing: "MissingAuthenticationTokenException", token: "UnrecognizedClientException", over: "ExpiredTokenException"},
	{name: "query", service: "iam", method: http.MethodPost, path: "/", body: "Action=ListUsers&Version=2010-05-08",
		header:   map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
		mismatch: "SignatureDoesNotMatch", unknown: "InvalidClientTokenId", expired: "SignatureDoesNotMatch",
		missing: "MissingAuthenticationToken", token: "InvalidClientTokenId", over: "ExpiredToken"},
	{name: "rest-json", service: "bastide", method: http.MethodPost, path: "/_bastide/v1/audit/verify", body: `{}`,
		header:   map[string]string{"Content-Type": "application/json"},
		mismatch: "InvalidSignatureException", unknown: "UnrecognizedClientException", expired: "InvalidSignatureException",
		missing: "MissingAuthenticationTokenException", token: "UnrecognizedClientException", over: "ExpiredTokenException"},
	{name: "rest-xml", service: "s3", method: http.MethodPut, path: "/attack-forge/key?x-id=PutObject", body: `{"some": "content"}`,
		header:   map[string]string{"Content-Type": "application/json"},
		mismatch: "SignatureDoesNotMatch", unknown: "InvalidAccessKeyId", expired: "RequestTimeTooSkewed",
		missing: "AccessDenied", token: "InvalidToken", over: "ExpiredToken"},
}

// request is the door's own, unsigned.
func (d door) request(t *testing.T, s *harness.Server) *http.Request {
	t.Helper()
	r, err := http.NewRequest(d.method, s.URL()+d.path, strings.NewReader(d.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range d.header {
		r.Header.Set(k, v)
	}
	return r
}

// signed is the door's request, signed with keys at a time.
func (d door) signed(t *testing.T, s *harness.Server, keys sigv4.Credentials, at time.Time) *http.Request {
	t.Helper()
	r := d.request(t, s)
	if err := d.signer(keys, at).Sign(r, []byte(d.body)); err != nil {
		t.Fatal(err)
	}
	return r
}

func (d door) signer(keys sigv4.Credentials, at time.Time) *sigv4.Signer {
	return sigv4.NewSigner(sigv4.Signing{Credentials: keys, Region: harness.Region, Service: d.service, Clock: clock.NewManual(at), S3: d.s3()})
}

// replaced has another body.
func replaced(r *http.Request, body string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	r.GetBody = nil
}

// code is the error's code in an answer of any protocol.
func code(a harness.Answer) string {
	var out struct {
		Type  string `json:"__type" xml:"-"`
		Code  string `json:"code" xml:"Code"`
		Error struct{ Code string }
	}
	name := a.Header.Get("X-Amzn-Errortype")
	if strings.HasPrefix(strings.TrimSpace(a.Body), "<") {
		_ = xml.Unmarshal([]byte(a.Body), &out) // no XML has no code, which the caller tells
		name = out.Code + out.Error.Code
	} else if name == "" {
		_ = json.Unmarshal([]byte(a.Body), &out)
		name = out.Type
	}
	name, _, _ = strings.Cut(name[strings.LastIndexByte(name, '#')+1:], ":")
	return name
}

// refused wants an error of the client's with the code.
func refused(t *testing.T, a harness.Answer, want string) {
	t.Helper()
	if got := code(a); got != want || a.Status < 400 || a.Status >= 500 {
		t.Errorf("answered %d %q, want %q:\n%s", a.Status, got, want, a.Body)
	}
}

// TestForgedRequests: what was signed is what is done, and only by who signed it.
func TestForgedRequests(t *testing.T) {
	s := harness.Start(t)
	admin := s.Admin(t).Signing()
	now := time.Now().UTC()
	if err := s.Client(t).CreateBucket(t.Context(), "attack-forge"); err != nil {
		t.Fatal(err)
	}
	forged := int64(0)
	for _, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			if a := s.Send(t, d.signed(t, s, admin, now)); a.Status >= 300 {
				t.Fatalf("the request itself fails: %d %s", a.Status, a.Body)
			}
			for name, f := range forgeries(d, admin, now) {
				t.Run(name, func(t *testing.T) {
					r := d.signed(t, s, f.keys, f.at)
					f.forge(r)
					refused(t, s.Send(t, r), f.code)
				})
				forged++
			}
			t.Run("unsigned", func(t *testing.T) { refused(t, s.Send(t, d.request(t, s)), d.missing) })
		})
	}
	counted(t, s, forged)
	s.Alive(t)
}

// forgery is one way of using a signature for what it does not sign.
type forgery struct {
	keys  sigv4.Credentials
	at    time.Time
	forge func(*http.Request)
	code  string
}

func forgeries(d door, admin sigv4.Credentials, now time.Time) map[string]forgery {
	nothing := func(*http.Request) {}
	wrong := admin
	wrong.SecretAccessKey = strings.Repeat("a", 40)
	unknown := sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: strings.Repeat("b", 40)}
	keyless := sigv4.Credentials{AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: strings.Repeat("b", 40)}
	made := keyless
	made.SessionToken = "bm90IGEgdG9rZW4="
	out := map[string]forgery{
		"wrong secret":       {wrong, now, nothing, d.mismatch},
		"unknown key":        {unknown, now, nothing, d.unknown},
		"session's key only": {keyless, now, nothing, d.unknown},
		"invented token":     {made, now, nothing, d.token},
		"replayed":           {admin, now.Add(-16 * time.Minute), nothing, d.expired},
		"from the future":    {admin, now.Add(16 * time.Minute), nothing, d.expired},
		"other query":        {admin, now, func(r *http.Request) { r.URL.RawQuery += "&other=1" }, d.mismatch},
		"other header":       {admin, now, func(r *http.Request) { r.Header.Set("X-Amz-Date", now.Add(time.Second).Format("20060102T150405Z")) }, d.mismatch},
		"other signature": {admin, now, func(r *http.Request) {
			auth := r.Header.Get("Authorization")
			last := "0"
			if strings.HasSuffix(auth, "0") {
				last = "1"
			}
			r.Header.Set("Authorization", auth[:len(auth)-1]+last)
		}, d.mismatch},
		"other body": {admin, now, func(r *http.Request) { replaced(r, strings.Replace(d.body, "}", ` }`, 1)+" ") }, d.mismatch},
	}
	if d.s3() {
		// The payload's hash is in a signed header, so that it is the body that fails.
		// Source: Amazon S3 API Reference, "Error Responses", XAmzContentSHA256Mismatch.
		f := out["other body"]
		f.code = "XAmzContentSHA256Mismatch"
		out["other body"] = f
		out["other path"] = forgery{admin, now, func(r *http.Request) { r.URL.Path = "/attack-other" }, d.mismatch}
		out["other method"] = forgery{admin, now, func(r *http.Request) { r.Method = http.MethodDelete }, d.mismatch}
		out["unsigned source"] = forgery{admin, now, func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "/attack-forge/x") }, "AccessDenied"}
	} else if d.name == "json" {
		out["signed for logs"] = forgery{admin, now, func(r *http.Request) {
			other := door{service: "logs"}
			replaced(r, d.body)
			if err := other.signer(admin, now).Sign(r, []byte(d.body)); err != nil {
				panic(err)
			}
		}, d.mismatch}
	}
	return out
}

// counted wants the trail to tell of n refusals of strangers at least: they are counted by source
// and second, not stored one by one.
func counted(t *testing.T, s *harness.Server, n int64) {
	t.Helper()
	var total int64
	harness.Until(t, "the count of refusals", func() bool {
		total = 0
		for _, r := range s.Records(t, map[string][]string{"eventName": {"RefuseRequest"}}) {
			count, _ := r.Additional["bastideCount"].(float64)
			total += int64(count)
		}
		return total >= n
	})
}

// TestAuthorizationHeaders: headers that are cut, doubled or contradict themselves.
func TestAuthorizationHeaders(t *testing.T) {
	s := harness.Start(t)
	admin := s.Admin(t).Signing()
	now := time.Now().UTC()
	for _, d := range doors {
		whole := d.signed(t, s, admin, now).Header.Get("Authorization")
		for name, auth := range map[string]string{
			"empty":          "AWS4-HMAC-SHA256 ",
			"no signature":   whole[:strings.Index(whole, ", Signature")],
			"no headers":     strings.Replace(whole, "SignedHeaders=", "Signed=", 1),
			"short scope":    strings.Replace(whole, "/aws4_request", "", 1),
			"host unsigned":  strings.Replace(whole, "host;", "", 1),
			"other scheme":   strings.Replace(whole, "AWS4-HMAC-SHA256", "AWS9-NONE", 1),
			"basic":          "Basic YWRtaW46YWRtaW4=",
			"bearer":         "Bearer x",
			"long":           whole + strings.Repeat("0", 30000),
			"line in a name": strings.Replace(whole, "Credential=", "Credential=\x00", 1),
		} {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				r := d.signed(t, s, admin, now)
				r.Header["Authorization"] = []string{auth}
				if strings.Contains(auth, "\x00") { // which Go's client does not send
					if a := raw(t, s, "POST / HTTP/1.1\r\nHost: "+s.Address+"\r\nAuthorization: "+auth+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(a, "HTTP/1.1 400") {
						t.Errorf("a NUL in a header: %.80q", a)
					}
					return
				}
				if a := s.Send(t, r); a.Status < 400 || a.Status >= 500 || code(a) == "" {
					t.Errorf("answered %d %s", a.Status, a.Body)
				}
			})
		}
		t.Run(d.name+"/two", func(t *testing.T) {
			r := d.signed(t, s, admin, now)
			r.Header["Authorization"] = []string{whole, strings.Replace(whole, "AKIA", "AKIB", 1)}
			if a := s.Send(t, r); a.Status < 400 || a.Status >= 500 {
				t.Errorf("two headers: answered %d %s", a.Status, a.Body)
			}
		})
		t.Run(d.name+"/header and query", func(t *testing.T) {
			r := d.signed(t, s, admin, now)
			r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"
			if a := s.Send(t, r); a.Status < 400 || a.Status >= 500 {
				t.Errorf("signed twice: answered %d %s", a.Status, a.Body)
			}
		})
	}
	s.Alive(t)
}

// TestPresigned: a presigned URL opens what it names, for as long as it says, and nothing else.
func TestPresigned(t *testing.T) {
	s := harness.Start(t)
	c := s.Client(t)
	admin := s.Admin(t).Signing()
	for _, err := range []error{c.CreateBucket(t.Context(), "attack-url"), c.PutObject(t.Context(), "attack-url", "mine", []byte("content")),
		c.PutObject(t.Context(), "attack-url", "other", []byte("other content"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	presign := func(method, path string, at time.Time, header string) *http.Request {
		r, err := http.NewRequest(method, s.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			r.Header.Set("X-Amz-Meta-Owner", header)
		}
		link, err := door{service: "s3"}.signer(admin, at).Presign(r, nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		out, err := http.NewRequest(method, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	now := time.Now().UTC()
	if a := s.Send(t, presign(http.MethodGet, "/attack-url/mine", now, "")); a.Status != 200 || a.Body != "content" {
		t.Fatalf("the URL itself: %d %s", a.Status, a.Body)
	}
	cases := map[string]struct {
		code  string
		at    time.Time
		forge func(*http.Request)
	}{
		"expired":           {"AccessDenied", now.Add(-61 * time.Minute), func(*http.Request) {}},
		"from the future":   {"AccessDenied", now.Add(20 * time.Minute), func(*http.Request) {}},
		"longer":            {"SignatureDoesNotMatch", now, query("X-Amz-Expires", "7200")},
		"too long":          {"AuthorizationQueryParametersError", now, query("X-Amz-Expires", "604801")},
		"negative":          {"AuthorizationQueryParametersError", now, query("X-Amz-Expires", "-1")},
		"other date":        {"SignatureDoesNotMatch", now, query("X-Amz-Date", now.Add(time.Second).Format("20060102T150405Z"))},
		"other method":      {"SignatureDoesNotMatch", now, func(r *http.Request) { r.Method = http.MethodDelete }},
		"other key":         {"SignatureDoesNotMatch", now, func(r *http.Request) { r.URL.Path = "/attack-url/other" }},
		"key by dots":       {"SignatureDoesNotMatch", now, func(r *http.Request) { r.URL.Opaque = "/attack-url/mine/../other" }},
		"other parameter":   {"SignatureDoesNotMatch", now, query("response-content-type", "text/html")},
		"unsigned source":   {"AccessDenied", now, func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "/attack-url/other") }},
		"without signature": {"AuthorizationQueryParametersError", now, query("X-Amz-Signature", "")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := presign(http.MethodGet, "/attack-url/mine", c.at, "")
			c.forge(r)
			refused(t, s.Send(t, r), c.code)
		})
	}
	t.Run("signed header", func(t *testing.T) {
		r := presign(http.MethodPut, "/attack-url/new", now, "ann")
		refused(t, s.Send(t, r), "SignatureDoesNotMatch")
		r = presign(http.MethodPut, "/attack-url/new", now, "ann")
		r.Header.Set("X-Amz-Meta-Owner", "eve")
		refused(t, s.Send(t, r), "SignatureDoesNotMatch")
		r = presign(http.MethodPut, "/attack-url/new", now, "ann")
		r.Header.Set("X-Amz-Meta-Owner", "ann")
		if a := s.Send(t, r); a.Status != 200 {
			t.Errorf("with its header: %d %s", a.Status, a.Body)
		}
	})
	if got, err := c.HeadObject(t.Context(), "attack-url", "mine"); err != nil || !got {
		t.Errorf("the object is gone: %v %v", got, err)
	}
	counted(t, s, int64(len(cases)))
}

func query(key, value string) func(*http.Request) {
	return func(r *http.Request) {
		q := r.URL.Query()
		q.Set(key, value)
		if value == "" {
			q.Del(key)
		}
		r.URL.RawQuery = q.Encode()
	}
}
