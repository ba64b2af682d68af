// Package client is how Bastide's own commands reach a running server: signed requests to the
// public API, the same that any AWS client makes. It knows protocols, not operations:
//
//	err := c.JSON(ctx, "logs", "Logs_20140328.FilterLogEvents", in, &out)
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

// Client calls one server as one principal.
type Client struct {
	Endpoint    string // "http://127.0.0.1:4566"
	Region      string
	Credentials sigv4.Credentials
	HTTP        *http.Client
}

// Error is a refusal or failure that the server answered.
type Error struct {
	Status    int
	Code      string
	Message   string
	RequestID string
}

func (e *Error) Error() string {
	s := e.Code + ": " + e.Message
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// Is reports whether err is an answer with one of the codes.
func Is(err error, codes ...string) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// New makes a client.
func New(endpoint, region string, creds sigv4.Credentials) *Client {
	return &Client{Endpoint: endpoint, Region: region, Credentials: creds, HTTP: &http.Client{Timeout: 20 * time.Minute}}
}

const maxAnswer = 64 << 20 // bytes of an answer that is read whole

// Do sends one signed request and gives the answer, whose body the caller closes.
func (c *Client) Do(ctx context.Context, service string, r *http.Request, body []byte) (*http.Response, error) {
	s := sigv4.NewSigner(sigv4.Signing{Credentials: c.Credentials, Region: c.Region, Service: service, Clock: clock.System{}, S3: service == "s3"})
	if err := s.Sign(r, body); err != nil {
		return nil, err
	}
	answer, err := c.HTTP.Do(r.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", c.Endpoint, err)
	}
	if answer.StatusCode >= 400 {
		defer answer.Body.Close()
		return nil, failure(answer)
	}
	return answer, nil
}

func (c *Client) request(method, path string, body []byte) (*http.Request, error) {
	return http.NewRequest(method, c.Endpoint+path, bytes.NewReader(body))
}

// JSON calls an operation of a JSON protocol by its X-Amz-Target.
func (c *Client) JSON(ctx context.Context, service, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := c.request(http.MethodPost, "/", body)
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	return c.decode(ctx, service, r, body, func(b []byte) error { return json.Unmarshal(b, out) }, out == nil)
}

// REST calls an operation of a rest-json protocol.
func (c *Client) REST(ctx context.Context, service, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	r, err := c.request(method, path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	return c.decode(ctx, service, r, body, func(b []byte) error { return json.Unmarshal(b, out) }, out == nil)
}

// Query calls an operation of a query protocol.
func (c *Client) Query(ctx context.Context, service, version, action string, in url.Values, out any) error {
	form := url.Values{"Action": {action}, "Version": {version}}
	for k, v := range in {
		form[k] = v
	}
	body := []byte(form.Encode())
	r, err := c.request(http.MethodPost, "/", body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.decode(ctx, service, r, body, func(b []byte) error { return xml.Unmarshal(b, out) }, out == nil)
}

func (c *Client) decode(ctx context.Context, service string, r *http.Request, body []byte, into func([]byte) error, empty bool) error {
	answer, err := c.Do(ctx, service, r, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil || empty || len(b) == 0 {
		return err
	}
	if err := into(b); err != nil {
		return fmt.Errorf("%s answered what cannot be read: %w", c.Endpoint, err)
	}
	return nil
}

// PutObject stores body; HeadObject tells whether it is there.
func (c *Client) PutObject(ctx context.Context, bucket, key string, body []byte) error {
	r, err := c.request(http.MethodPut, "/"+bucket+"/"+key, body)
	if err != nil {
		return err
	}
	return c.decode(ctx, "s3", r, body, nil, true)
}

// HeadObject tells whether an object is there.
func (c *Client) HeadObject(ctx context.Context, bucket, key string) (bool, error) {
	r, err := c.request(http.MethodHead, "/"+bucket+"/"+key, nil)
	if err != nil {
		return false, err
	}
	answer, err := c.Do(ctx, "s3", r, []byte{})
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, answer.Body.Close()
}

// CreateBucket makes a bucket in the client's region; one that is the caller's already is fine.
func (c *Client) CreateBucket(ctx context.Context, bucket string) error {
	var body []byte
	if c.Region != "us-east-1" {
		body = []byte(`<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>` + c.Region + `</LocationConstraint></CreateBucketConfiguration>`)
	}
	r, err := c.request(http.MethodPut, "/"+bucket, body)
	if err != nil {
		return err
	}
	err = c.decode(ctx, "s3", r, body, nil, true)
	if Is(err, "BucketAlreadyOwnedByYou") {
		return nil
	}
	return err
}

// PutStream stores size bytes of body, whose SHA-256 is known, in hex; other bytes are refused.
func (c *Client) PutStream(ctx context.Context, bucket, key, sha256 string, size int64, body io.Reader) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, c.Endpoint+"/"+bucket+"/"+key, body)
	if err != nil {
		return err
	}
	r.ContentLength = size
	s := sigv4.NewSigner(sigv4.Signing{Credentials: c.Credentials, Region: c.Region, Service: "s3", Clock: clock.System{}, S3: true, HashHeader: true})
	if _, err := s.SignPayload(r, sha256); err != nil {
		return err
	}
	answer, err := c.HTTP.Do(r)
	if err != nil {
		return fmt.Errorf("calling %s: %w", c.Endpoint, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 400 {
		return failure(answer)
	}
	return nil
}

// failure reads an error answer of any protocol.
func failure(answer *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20)) // a cut body leaves code and message empty, which is said below
	e := &Error{Status: answer.StatusCode, RequestID: answer.Header.Get("X-Amzn-Requestid")}
	if e.RequestID == "" {
		e.RequestID = answer.Header.Get("X-Amz-Request-Id")
	}
	if strings.Contains(answer.Header.Get("Content-Type"), "xml") {
		e.xml(b)
	} else {
		e.json(b, answer.Header.Get("X-Amzn-Errortype"))
	}
	if e.Code == "" {
		e.Code = answer.Status
	}
	return e
}

func (e *Error) json(b []byte, header string) {
	var body struct {
		Type    string `json:"__type"`
		Code    string
		Lower   string `json:"message"`
		Upper   string `json:"Message"`
		Request string `json:"requestId"`
	}
	_ = json.Unmarshal(b, &body) // no JSON: the status line says it
	e.Code = header
	if e.Code == "" {
		e.Code = body.Type
	}
	e.Code, _, _ = strings.Cut(e.Code[strings.LastIndexByte(e.Code, '#')+1:], ":")
	e.Message = body.Lower + body.Upper
}

func (e *Error) xml(b []byte) {
	var body struct {
		Error struct{ Code, Message string }
		Code  string
		Text  string `xml:"Message"`
	}
	_ = xml.Unmarshal(b, &body) // no XML: the status line says it
	e.Code, e.Message = body.Error.Code+body.Code, body.Error.Message+body.Text
}
