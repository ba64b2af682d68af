package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"reflect"
	"strconv"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire/json"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
	"github.com/bastide-cloud/bastide/internal/wire/rest"
	"github.com/bastide-cloud/bastide/internal/wire/xml"
)

const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// Encode writes a success: out is a pointer to the operation's Out type, or nil for one without
// members. A stream in it is copied and closed. An error means that the client did not get the
// whole answer.
func (r Routed) Encode(w http.ResponseWriter, out any, requestID string) error {
	op := r.Operation
	p := op.output()
	v := reflect.ValueOf(out)
	if out == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		v = reflect.New(op.Out)
	}
	if v.Kind() != reflect.Pointer || v.Type().Elem() != op.Out {
		err := awserr.Wrap(fmt.Errorf("wire: %s:%s gives *%s, not %T", op.Service.ID, op.Name, op.Out, out))
		r.Fail(w, err, requestID)
		return err
	}
	v = v.Elem()
	r.identify(w.Header(), requestID)
	switch op.Service.Protocol {
	case JSON:
		return r.buffered(w, op.Status, func(b []byte) []byte {
			if len(p.Fields) == 0 {
				return b
			}
			return json.Append(b, p, v)
		})
	case Query:
		return r.buffered(w, op.Status, func(b []byte) []byte { return appendResult(b, op, p, v, requestID) })
	case EC2:
		return r.buffered(w, op.Status, func(b []byte) []byte {
			b = xml.Open(b, op.Name+"Response", op.Service.XMLNamespace)
			b = xml.Element(b, "requestId", requestID)
			b = xml.Encoder{}.Members(b, p, v)
			return xml.Close(b, op.Name+"Response")
		})
	}
	return r.encodeREST(w, p, v)
}

// identify sets the headers that every answer has.
func (r Routed) identify(h http.Header, requestID string) {
	switch r.family {
	case s3Family:
		sum := sha256.Sum256([]byte(requestID))
		h["X-Amz-Request-Id"] = []string{requestID}
		h["X-Amz-Id-2"] = []string{base64.StdEncoding.EncodeToString(sum[:])}
		h["Content-Type"] = []string{"application/xml"}
		return
	case queryFamily:
		h["Content-Type"] = []string{"text/xml"}
	case restFamily:
		h["Content-Type"] = []string{"application/json"}
	default:
		version := "1.0"
		if r.Service != nil && r.Service.JSONVersion != "" {
			version = r.Service.JSONVersion
		}
		h["Content-Type"] = []string{"application/x-amz-json-" + version}
	}
	h["X-Amzn-Requestid"] = []string{requestID}
}

// maxPooled keeps one large answer from holding its buffer for ever.
const maxPooled = 1 << 20

// buffered writes an answer whose length is known before it is sent.
func (r Routed) buffered(w http.ResponseWriter, status int, fill func([]byte) []byte) error {
	buf := r.router.buffers.Get().(*[]byte)
	b := fill((*buf)[:0])
	h := w.Header()
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	if r.Service != nil && r.Service.ID == "dynamodb" {
		h["X-Amz-Crc32"] = []string{strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10)}
	}
	w.WriteHeader(status)
	_, err := w.Write(b)
	if cap(b) <= maxPooled {
		*buf = b
		r.router.buffers.Put(buf)
	}
	return err
}

func appendResult(b []byte, op *Operation, p *plan.Struct, v reflect.Value, requestID string) []byte {
	b = xml.Open(b, op.Name+"Response", op.Service.XMLNamespace)
	if op.Wrapper != "" {
		b = xml.Open(b, op.Wrapper, "")
		b = xml.Encoder{}.Members(b, p, v)
		b = xml.Close(b, op.Wrapper)
	}
	b = xml.Open(b, "ResponseMetadata", "")
	b = xml.Element(b, "RequestId", requestID)
	b = xml.Close(b, "ResponseMetadata")
	return xml.Close(b, op.Name+"Response")
}

func (r Routed) encodeREST(w http.ResponseWriter, p *plan.Struct, v reflect.Value) error {
	h := w.Header()
	usual := h["Content-Type"]
	delete(h, "Content-Type") // an answer without a body has none, unless a member says so
	status := rest.Encode(h, p, v)
	if status == 0 {
		status = r.Operation.Status
	}
	if r.Service.ID == "s3" && h["Content-Range"] != nil && status == http.StatusOK {
		status = http.StatusPartialContent
	}
	f := p.Payload
	if f == nil {
		return r.restDocument(w, status, usual, p, v)
	}
	fv, ok := f.Get(v)
	switch {
	case !ok:
		return empty(w, status)
	case f.Kind == plan.EventStream:
		return writeEvents(w, status, f.Struct, fv.Addr().Interface().(plan.EventSource))
	case f.Kind == plan.Stream:
		defaultType(h, []string{"binary/octet-stream"})
		return copyOut(w, status, fv.Interface().(io.Reader))
	case f.Kind == plan.String:
		usual = []string{"application/json"} // a bucket policy
	}
	defaultType(h, usual)
	return r.buffered(w, status, func(b []byte) []byte { return r.appendPayload(b, f, fv) })
}

func defaultType(h http.Header, t []string) {
	if h["Content-Type"] == nil {
		h["Content-Type"] = t
	}
}

func (r Routed) appendPayload(b []byte, f *plan.Field, v reflect.Value) []byte {
	switch {
	case f.Kind == plan.Blob:
		return append(b, v.Bytes()...)
	case f.Kind == plan.String:
		return append(b, v.String()...)
	case r.Service.Protocol == RestJSON:
		return json.AppendValue(b, &f.Value, v)
	}
	return r.appendXML(b, f.Wire, f.Struct, v)
}

func (r Routed) appendXML(b []byte, root string, p *plan.Struct, v reflect.Value) []byte {
	b = append(b, xmlHeader...)
	b = xml.Open(b, root, r.Service.XMLNamespace)
	b = xml.Encoder{Time: plan.ISOMillis}.Members(b, p, v)
	return xml.Close(b, root)
}

func (r Routed) restDocument(w http.ResponseWriter, status int, usual []string, p *plan.Struct, v reflect.Value) error {
	if !p.HasDocument() || status == http.StatusNoContent || r.Operation.Method == http.MethodHead {
		return empty(w, status)
	}
	defaultType(w.Header(), usual)
	return r.buffered(w, status, func(b []byte) []byte {
		if r.Service.Protocol == RestJSON {
			return json.Append(b, p, v)
		}
		root := r.Operation.Wrapper
		if root == "" {
			root = r.Operation.Name + "Result"
		}
		return r.appendXML(b, root, p, v)
	})
}

// empty writes an answer without a body. HEAD of an object says what length GET would have, so a
// length that a member gave is kept.
func empty(w http.ResponseWriter, status int) error {
	h := w.Header()
	if h["Content-Length"] == nil && status != http.StatusNoContent {
		h["Content-Length"] = []string{"0"}
	}
	w.WriteHeader(status)
	return nil
}

func copyOut(w http.ResponseWriter, status int, body io.Reader) error {
	w.WriteHeader(status)
	_, err := io.Copy(w, body)
	if c, ok := body.(io.Closer); ok {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	return err
}
