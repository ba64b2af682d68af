package wire

import (
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire/json"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
	"github.com/bastide-cloud/bastide/internal/wire/xml"
)

// Fail writes a refusal or failure as the service's clients expect it. What is no *awserr.Error
// becomes an internal error that tells nothing. It may be called on the Routed of a failed Route,
// but not after Encode has begun.
func (r Routed) Fail(w http.ResponseWriter, err error, requestID string) {
	e := awserr.Wrap(err)
	word := r.word(e)
	h := w.Header()
	connection, set := h["Connection"] // front's word on the connection
	clear(h)                           // whatever a success had set
	if set {
		h["Connection"] = connection
	}
	r.identify(h, requestID)
	for name, value := range e.Header {
		h.Set(name, value)
	}
	if r.router == nil {
		r.router = NewRouter("", nil) // a request that was refused before it was routed
	}
	if word.status == http.StatusNotModified || r.req != nil && r.req.Method == http.MethodHead {
		delete(h, "Content-Type")
		w.WriteHeader(word.status)
		return
	}
	// A client that has gone away cannot be told.
	_ = r.buffered(w, word.status, func(b []byte) []byte {
		switch r.family {
		case queryFamily:
			return r.appendQueryError(b, word, e, requestID)
		case s3Family:
			return r.appendS3Error(b, word, e, requestID)
		}
		h["X-Amzn-Errortype"] = []string{word.code}
		return r.appendJSONError(b, word, e)
	})
}

// Code is the error's code and HTTP status as Fail would write them.
func (r Routed) Code(err error) (code string, status int) {
	word := r.word(awserr.Wrap(err))
	return word.code, word.status
}

// Code is an error's code and HTTP status as clients of the service see them: what an audit
// record names. op may be nil.
func (s *Service) Code(op *Operation, err error) (code string, status int) {
	word := s.word(op, awserr.Wrap(err))
	return word.code, word.status
}

func (r Routed) word(e *awserr.Error) wording {
	if r.Service == nil {
		return wordIn(r.family, e)
	}
	return r.Service.word(r.Operation, e)
}

// wordIn words an error for a service that Bastide does not have.
func wordIn(f family, e *awserr.Error) wording {
	if w, ok := kinds[e.Kind]; ok {
		return w[f]
	}
	return wording{e.Code, max(e.Status, http.StatusBadRequest)}
}

// shapeNames are the namespaces that JSON services put before an error's name.
var shapeNames = map[string]string{"dynamodb": "com.amazonaws.dynamodb.v20120810#"}

func (r Routed) appendJSONError(b []byte, word wording, e *awserr.Error) []byte {
	label := "message"
	b = append(b, '{')
	switch {
	case r.family == jsonFamily:
		b = append(b, `"__type":`...)
		prefix := ""
		if r.Service != nil {
			prefix = shapeNames[r.Service.ID]
		}
		b = json.AppendString(b, prefix+word.code)
		b = append(b, ',')
	case r.Service != nil && r.Service.ID == "lambda":
		label = "Message"
		side := "User"
		if word.status >= http.StatusInternalServerError {
			side = "Service"
		}
		b = append(append(b, `"Type":`...), '"')
		b = append(append(b, side...), '"', ',')
	}
	b = json.AppendString(b, label)
	b = append(b, ':')
	b = json.AppendString(b, e.Message)
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		p, v, ok := r.field(e.Fields[name])
		if !ok {
			continue
		}
		b = append(b, ',')
		b = json.AppendString(b, name)
		b = append(b, ':')
		b = json.AppendValue(b, p, v)
	}
	return append(b, '}')
}

// field plans a value of an error's Fields; nil and what no codec writes is left out.
func (r Routed) field(x any) (*plan.Value, reflect.Value, bool) {
	v := reflect.ValueOf(x)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() == reflect.Pointer {
		return nil, v, false
	}
	var cache plan.Cache
	plans := &cache
	if r.Service != nil {
		plans = r.Service.plans
	}
	p := plans.Value(v.Type())
	return p, v, p != nil
}

func (r Routed) appendQueryError(b []byte, word wording, e *awserr.Error, requestID string) []byte {
	if r.Service != nil && r.Service.Protocol == EC2 {
		b = xml.Open(b, "Response", "")
		b = xml.Open(b, "Errors", "")
		b = xml.Open(b, "Error", "")
		b = xml.Element(b, "Code", word.code)
		b = xml.Element(b, "Message", e.Message)
		b = xml.Close(b, "Error")
		b = xml.Close(b, "Errors")
		b = xml.Element(b, "RequestID", requestID)
		return xml.Close(b, "Response")
	}
	side, ns := "Sender", ""
	if word.status >= http.StatusInternalServerError {
		side = "Receiver"
	}
	if r.Service != nil {
		ns = r.Service.XMLNamespace
	}
	b = xml.Open(b, "ErrorResponse", ns)
	b = xml.Open(b, "Error", "")
	b = xml.Element(b, "Type", side)
	b = xml.Element(b, "Code", word.code)
	b = xml.Element(b, "Message", e.Message)
	b = r.appendFields(b, e)
	b = xml.Close(b, "Error")
	b = xml.Element(b, "RequestId", requestID)
	return xml.Close(b, "ErrorResponse")
}

func (r Routed) appendS3Error(b []byte, word wording, e *awserr.Error, requestID string) []byte {
	b = append(b, xmlHeader...)
	b = xml.Open(b, "Error", "")
	b = xml.Element(b, "Code", word.code)
	b = xml.Element(b, "Message", e.Message)
	b = r.appendFields(b, e)
	if r.req != nil {
		b = xml.Element(b, "Resource", r.req.URL.Path)
	}
	b = xml.Element(b, "RequestId", requestID)
	return xml.Close(b, "Error")
}

func (r Routed) appendFields(b []byte, e *awserr.Error) []byte {
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		if p, v, ok := r.field(e.Fields[name]); ok {
			b = xml.Encoder{}.Value(b, name, p, v)
		}
	}
	return b
}
