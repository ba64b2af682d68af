package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/clock"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

// Keys are what calls are signed with.
type Keys struct{ ID, Secret string }

// Request is a kind of call. "{n}" in path and body becomes another number for every call.
type Request struct {
	Service string // signing name; "" for an unsigned call
	Method  string
	Host    string // where it is not the server's address
	Path    string // with its query
	Headers map[string]string
	Body    string
	Fill    int // bytes of body, in place of Body
}

// conn is one caller: a connection that is kept, and its signer.
type conn struct {
	address string
	keys    Keys
	region  string
	net     net.Conn
	in      *bufio.Reader
	out     *bufio.Writer
	signers map[string]*sigv4.Signer
	filled  []byte
	hash    string
	answer  []byte
	path    string // that url was parsed of
	url     url.URL
}

func dial(address string, keys Keys) (*conn, error) {
	c := &conn{address: address, keys: keys, region: "us-east-1", signers: map[string]*sigv4.Signer{}}
	return c, c.redial()
}

func (c *conn) redial() error {
	n, err := net.Dial("tcp", c.address)
	if err != nil {
		return err
	}
	c.net, c.in, c.out = n, bufio.NewReaderSize(n, 64<<10), bufio.NewWriterSize(n, 64<<10)
	return nil
}

func (c *conn) Close() { c.net.Close() }

// signer signs for a service.
func (c *conn) signer(service string) *sigv4.Signer {
	s := c.signers[service]
	if s == nil {
		s = sigv4.NewSigner(sigv4.Signing{Credentials: sigv4.Credentials{AccessKeyID: c.keys.ID, SecretAccessKey: c.keys.Secret},
			Region: c.region, Service: service, Clock: clock.System{}, S3: service == "s3"})
		c.signers[service] = s
	}
	return s
}

// do makes one call and returns the whole answer, which holds until the next one.
func (c *conn) do(r Request, n int) (status int, answer []byte, err error) {
	body, hash := c.body(r, n)
	number := strconv.Itoa(n)
	req := &http.Request{Method: r.Method, Host: c.address, Header: make(http.Header, 8), ContentLength: int64(len(body)), ProtoMajor: 1, ProtoMinor: 1}
	if r.Host != "" {
		req.Host = r.Host
	}
	if path := strings.ReplaceAll(r.Path, "{n}", number); path != c.path {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return 0, nil, err
		}
		c.path, c.url = path, *u
	}
	req.URL = &c.url
	for k, v := range r.Headers {
		req.Header[k] = []string{v}
	}
	if r.Service != "" {
		if _, err = c.signer(r.Service).SignPayload(req, hash); err != nil {
			return 0, nil, err
		}
	}
	if err = c.send(req, body); err != nil {
		return 0, nil, err
	}
	return c.receive(req)
}

func (c *conn) body(r Request, n int) (body []byte, hash string) {
	if r.Fill > 0 {
		if len(c.filled) != r.Fill {
			c.filled = bytes.Repeat([]byte("0123456789abcdef"), (r.Fill+15)/16)[:r.Fill]
			sum := sha256.Sum256(c.filled)
			c.hash = hex.EncodeToString(sum[:])
		}
		return c.filled, c.hash
	}
	body = []byte(strings.ReplaceAll(r.Body, "{n}", strconv.Itoa(n)))
	sum := sha256.Sum256(body)
	return body, hex.EncodeToString(sum[:])
}

// send writes the request by hand: net/http's client costs more than some servers under test.
func (c *conn) send(r *http.Request, body []byte) error {
	w := c.out
	w.WriteString(r.Method)
	w.WriteString(" ")
	w.WriteString(r.URL.RequestURI())
	w.WriteString(" HTTP/1.1\r\n")
	c.header("Host", r.Host)
	for k, v := range r.Header {
		c.header(k, v[0])
	}
	if len(body) > 0 || r.Method != http.MethodGet {
		c.header("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteString("\r\n")
	w.Write(body)
	return w.Flush() // holds any earlier error too
}

func (c *conn) header(name, value string) {
	c.out.WriteString(name)
	c.out.WriteString(": ")
	c.out.WriteString(value)
	c.out.WriteString("\r\n")
}

// receive returns the whole answer, which holds until the next call.
func (c *conn) receive(r *http.Request) (int, []byte, error) {
	head, err := c.head()
	if err != nil {
		return 0, nil, err
	}
	status, length, ok := plain(head)
	if !ok || length > mega {
		return c.receiveAny(r)
	}
	if _, err := c.in.Discard(len(head)); err != nil {
		return 0, nil, err
	}
	c.answer = slices.Grow(c.answer[:0], length)[:length]
	_, err = io.ReadFull(c.in, c.answer)
	return status, c.answer, err
}

// head is the answer up to its empty line, still to be read; all that has come where that is not in
// what the buffer holds.
func (c *conn) head() ([]byte, error) {
	for n := 1; ; n = c.in.Buffered() + 1 {
		if _, err := c.in.Peek(n); errors.Is(err, bufio.ErrBufferFull) {
			return c.in.Peek(c.in.Buffered())
		} else if err != nil {
			return nil, err
		}
		head, _ := c.in.Peek(c.in.Buffered()) // which cannot fail
		if end := bytes.Index(head, []byte("\r\n\r\n")); end >= 0 {
			return head[:end+4], nil
		}
	}
}

// plain reads the head of an answer that keeps its connection and says how long it is; others are
// left to net/http.
func plain(head []byte) (status, length int, ok bool) {
	line, rest, _ := strings.Cut(string(head), "\r\n")
	if len(line) < 12 || !strings.HasPrefix(line, "HTTP/1.1 ") {
		return 0, 0, false
	}
	status, err := strconv.Atoi(line[9:12])
	if err != nil || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified {
		return 0, 0, false
	}
	for line != "" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		switch {
		case strings.EqualFold(name, "Content-Length"):
			length, err = strconv.Atoi(strings.TrimSpace(value))
			ok = err == nil && length >= 0
		case strings.EqualFold(name, "Connection"), strings.EqualFold(name, "Transfer-Encoding"):
			return 0, 0, false
		}
	}
	return status, length, ok
}

func (c *conn) receiveAny(r *http.Request) (int, []byte, error) {
	res, err := http.ReadResponse(c.in, r)
	if err != nil {
		return 0, nil, err
	}
	var answer []byte
	if res.ContentLength > mega {
		_, err = io.Copy(io.Discard, res.Body)
	} else {
		answer, err = io.ReadAll(res.Body)
	}
	res.Body.Close()
	if err == nil && res.Close {
		c.net.Close()
		err = c.redial()
	}
	return res.StatusCode, answer, err
}
