package wire

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire/json"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
	"github.com/bastide-cloud/bastide/internal/wire/query"
	"github.com/bastide-cloud/bastide/internal/wire/rest"
	"github.com/bastide-cloud/bastide/internal/wire/xml"
)

// Routed is what a request names. Only Router.Route makes one that can decode.
type Routed struct {
	Service   *Service   // nil where no service is known
	Operation *Operation // nil where Route returned an error
	Name      string     // the operation's name, also of one that is not built
	Region    string     // of the credential scope, else of the host, else the default

	router *Router
	req    *http.Request
	family family
	labels [][2]string
	query  url.Values
	form   string // of the query protocol: where the Action was found
}

// HostBucket is the bucket that a request to S3 names in its host; empty where it names none there.
func (r Routed) HostBucket() string {
	if r.Service == nil || r.Service.ID != "s3" {
		return ""
	}
	return bucketOf(r.req.Host)
}

// Label is a decoded part of the path ("Bucket", "FunctionName"), by the model's name for it.
func (r Routed) Label(name string) (string, bool) {
	for _, l := range r.labels {
		if l[0] == name {
			return l[1], true
		}
	}
	return "", false
}

// Decode reads and checks the operation's input. body is the whole body, which the input may
// point into; stream is what an operation that streams reads (nil elsewhere), already freed of
// aws-chunked framing. Errors are *awserr.Error.
func (r Routed) Decode(body []byte, stream io.Reader) (In, error) {
	op := r.Operation
	if op == nil {
		return In{}, awserr.Wrap(errors.New("wire: Decode without an operation"))
	}
	if err := r.intact(body); err != nil {
		return In{}, err
	}
	in, check, err := r.read(body, stream)
	if err != nil {
		return In{}, malformed(op.Service, err)
	}
	check.Validate(op.input(), reflect.ValueOf(in).Elem(), false)
	if err := op.Service.invalid(check.Violations()); err != nil {
		return In{}, err
	}
	return In{op, in}, nil
}

// read decodes the input; what it breaks of the model is in the check.
func (r Routed) read(body []byte, stream io.Reader) (any, *plan.Check, error) {
	op := r.Operation
	in, check := op.NewIn(), &plan.Check{}
	v, p := reflect.ValueOf(in).Elem(), op.input()
	switch op.Service.Protocol {
	case JSON:
		return in, check, decodeJSON(body, p, v, check)
	case Query:
		return in, check, query.Decode(r.form, p, v, check, query.Limits{})
	case EC2:
		return in, check, query.Decode(r.form, p, v, check, query.Limits{EC2: true})
	}
	return in, check, r.decodeREST(body, stream, p, v, check)
}

func decodeJSON(body []byte, p *plan.Struct, v reflect.Value, check *plan.Check) error {
	if len(body) == 0 {
		body = []byte("{}") // clients of operations without members send nothing
	}
	return json.Decode(body, p, v, check, json.Limits{})
}

func (r Routed) decodeREST(body []byte, stream io.Reader, p *plan.Struct, v reflect.Value, check *plan.Check) error {
	bound := rest.Request{Labels: r.Label, Query: r.query, Header: r.headers()}
	if err := rest.Decode(bound, p, v, check); err != nil {
		return &boundError{err}
	}
	if f := p.Payload; f != nil {
		return r.payload(f, body, stream, p, v, check)
	}
	switch {
	case len(body) > 0 && p.HasDocument():
		return r.document(body, p, v, check)
	case p.Required != 0:
		check.Missing(p, p.Required)
	}
	return nil
}

// boundError is a member outside the body that cannot be read: no fault of a document.
type boundError struct{ error }

// headers are the request's headers as members see them. S3 takes x-amz-* headers from a presigned
// query too (SDKs move them there); and what aws-chunked framing added to them is taken off again.
func (r Routed) headers() http.Header {
	h := r.req.Header
	if r.Service.ID != "s3" {
		return h
	}
	_, presigned := r.query["X-Amz-Signature"]
	if _, legacy := r.query["AWSAccessKeyId"]; presigned || legacy {
		h = h.Clone()
		for name, values := range r.query {
			key := http.CanonicalHeaderKey(name)
			if strings.HasPrefix(key, "X-Amz-") && !notHoisted[key] && !strings.HasPrefix(key, "X-Amz-Checksum-") && h[key] == nil {
				h[key] = values
			}
		}
	}
	length := h.Get("X-Amz-Decoded-Content-Length")
	encoding := h.Get("Content-Encoding")
	if length == "" && !strings.HasPrefix(encoding, "aws-chunked") {
		return h
	}
	h = h.Clone()
	if length != "" {
		h["Content-Length"] = []string{length}
	}
	if rest, ok := strings.CutPrefix(encoding, "aws-chunked"); ok {
		if rest = strings.TrimLeft(rest, ", "); rest == "" {
			delete(h, "Content-Encoding")
		} else {
			h["Content-Encoding"] = []string{rest}
		}
	}
	return h
}

// notHoisted are parameters of a presigned query that are no members: the signature's own, the
// source of a copy (it would change the operation); nor are checksums of a body that nobody knew
// when the URL was signed.
var notHoisted = map[string]bool{"X-Amz-Algorithm": true, "X-Amz-Credential": true, "X-Amz-Date": true, "X-Amz-Expires": true,
	"X-Amz-Signedheaders": true, "X-Amz-Signature": true, "X-Amz-Security-Token": true, "X-Amz-Content-Sha256": true,
	"X-Amz-Copy-Source": true, "X-Amz-Sdk-Checksum-Algorithm": true}

func (r Routed) document(body []byte, p *plan.Struct, v reflect.Value, check *plan.Check) error {
	if r.Service.Protocol == RestJSON {
		return json.Decode(body, p, v, check, json.Limits{})
	}
	n, err := xml.Parse(body, xml.Limits{})
	if err != nil {
		return err
	}
	return xml.Decode(n, p, v, check)
}

// payload reads the member that is the body.
func (r Routed) payload(f *plan.Field, body []byte, stream io.Reader, p *plan.Struct, v reflect.Value, check *plan.Check) error {
	if f.Kind == plan.Stream {
		if stream == nil {
			stream = http.NoBody
		}
		v.Field(f.Index).Set(reflect.ValueOf(&stream).Elem())
		return nil
	}
	if len(body) == 0 {
		if f.Bit != 0 {
			check.Missing(p, f.Bit)
		}
		return nil
	}
	check.Enter(f.Label, 0)
	defer check.Leave()
	switch f.Kind {
	case plan.Blob:
		v.Field(f.Index).SetBytes(body)
		return nil
	case plan.String:
		f.Make(v).SetString(string(body))
		return nil
	case plan.Structure:
		return r.document(body, f.Struct, f.Make(v), check)
	}
	return json.DecodeValue(body, &f.Value, f.Make(v), check, json.Limits{})
}
