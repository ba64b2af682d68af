package edge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// Faults of a function's answer.
var (
	errShape  = errors.New("the function's answer is not a response object")
	errStatus = errors.New("the function's answer has no valid statusCode")
	errHeader = errors.New("the function's answer has a header that is not valid")
	errBody   = errors.New("the function's answer has a body that is not text")
)

// answer makes a function's result the response to the client.
func (x *exchange) answer(payload string, result []byte) (*response, error) {
	switch payload {
	case "2.0":
		return answerV2(result, "text/plain;charset=UTF-8")
	case payloadURL:
		return x.answerURL(result)
	case "1.0":
		return answerV1(result)
	}
	return x.answerREST(result)
}

// answerURL is payload 2.0 of a function URL, which renames the headers that a REST API does. Source:
// AWS Lambda Developer Guide, "Invoking Lambda function URLs", and answers of the service.
func (x *exchange) answerURL(result []byte) (*response, error) {
	out, err := answerV2(result, "application/json")
	if err != nil {
		return nil, err
	}
	out.header = remapped(out.header)
	out.header.Set("X-Amzn-Trace-Id", x.trace)
	return out, nil
}

// answerV2 is payload 2.0: a result that names no statusCode is itself the body, of a content type
// that is kind where the result does not say. Source: API Gateway Developer Guide, "Lambda function
// response for format 2.0".
func answerV2(result []byte, kind string) (*response, error) {
	result = bytes.TrimSpace(result)
	var members map[string]json.RawMessage
	if len(result) > 0 && result[0] == '{' {
		if err := json.Unmarshal(result, &members); err != nil {
			return nil, errShape
		}
	}
	if _, ok := members["statusCode"]; !ok {
		return inferred(result)
	}
	out := &response{header: http.Header{}}
	if err := out.read(members, "2.0"); err != nil {
		return nil, err
	}
	if out.header.Get("Content-Type") == "" {
		out.header.Set("Content-Type", kind)
	}
	return out, nil
}

func inferred(result []byte) (*response, error) {
	out := &response{status: 200, header: http.Header{"Content-Type": {"application/json"}}, body: result}
	if len(result) == 0 {
		return out, nil
	}
	if !json.Valid(result) {
		return nil, errShape
	}
	var text string
	if result[0] == '"' && json.Unmarshal(result, &text) == nil {
		out.body = []byte(text)
	}
	return out, nil
}

// answerV1 is payload 1.0 of an HTTP API: an object with a statusCode.
func answerV1(result []byte) (*response, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(result, &members) != nil || members == nil {
		return nil, errShape
	}
	if _, ok := members["statusCode"]; !ok {
		return nil, errStatus
	}
	out := &response{header: http.Header{}}
	if err := out.read(members, "1.0"); err != nil {
		return nil, err
	}
	if out.header.Get("Content-Type") == "" {
		out.header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	return out, nil
}

// restMembers are all that a REST API's function may answer with; nothing is required, anything
// else is malformed.
var restMembers = []string{"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded", "cookies"}

func (x *exchange) answerREST(result []byte) (*response, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(result, &members) != nil || members == nil {
		return nil, errShape
	}
	for k := range members {
		if !slices.Contains(restMembers, k) {
			return nil, fmt.Errorf("%w: %q", errShape, k)
		}
	}
	out := &response{status: 200, header: http.Header{}}
	if err := out.read(members, "rest"); err != nil {
		return nil, err
	}
	out.header = remapped(out.header)
	if out.header.Get("Content-Type") == "" {
		out.header.Set("Content-Type", "application/json")
	}
	out.header.Set("X-Amzn-Trace-Id", x.trace)
	return out, nil
}

// read takes the members of a response object.
func (out *response) read(members map[string]json.RawMessage, payload string) error {
	if raw, ok := members["statusCode"]; ok {
		n, err := strconv.Atoi(string(bytes.Trim(raw, `"`)))
		if err != nil || n < 200 || n > 599 {
			return errStatus
		}
		out.status = n
	}
	if err := out.readHeaders(members, payload); err != nil {
		return err
	}
	var body *string
	if raw, ok := members["body"]; ok {
		if err := json.Unmarshal(raw, &body); err != nil {
			return errBody
		}
	}
	if body == nil {
		return nil
	}
	out.body = []byte(*body)
	var is64 bool
	if raw, ok := members["isBase64Encoded"]; ok {
		if err := json.Unmarshal(raw, &is64); err != nil {
			return errShape
		}
	}
	if is64 {
		b, err := base64.StdEncoding.DecodeString(*body)
		if err != nil {
			return errBody
		}
		out.body = b
	}
	return nil
}

func (out *response) readHeaders(members map[string]json.RawMessage, payload string) error {
	var single map[string]any
	if err := member(members["headers"], &single); err != nil {
		return errHeader
	}
	for k, v := range single {
		text, ok := scalar(v)
		if !ok || !validHeader(k, text) {
			return fmt.Errorf("%w: %q", errHeader, k)
		}
		out.header.Set(k, text)
	}
	if payload == "2.0" {
		var cookies []string
		if err := member(members["cookies"], &cookies); err != nil {
			return errHeader
		}
		for _, c := range cookies {
			if !validHeader("Set-Cookie", c) {
				return errHeader
			}
			out.header.Add("Set-Cookie", c)
		}
		return nil
	}
	var multi map[string][]any
	if err := member(members["multiValueHeaders"], &multi); err != nil {
		return errHeader
	}
	for k, vs := range multi {
		out.header.Del(k) // where both have a header, the list counts
		for _, v := range vs {
			text, ok := scalar(v)
			if !ok || !validHeader(k, text) {
				return fmt.Errorf("%w: %q", errHeader, k)
			}
			out.header.Add(k, text)
		}
	}
	return nil
}

// member decodes a member that may be absent or null.
func member(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

// scalar is a header's value as text.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// reserved are headers that a REST API's function sets under another name. Source: API Gateway
// Developer Guide, "Amazon API Gateway important notes".
var reserved = []string{"Authorization", "Connection", "Content-Length", "Date", "Host", "Max-Forwards", "Server", "Te", "Upgrade", "User-Agent", "Via",
	"Www-Authenticate", "X-Forwarded-For"}

func remapped(h http.Header) http.Header {
	for _, k := range reserved {
		if v, ok := h[k]; ok {
			h["X-Amzn-Remapped-"+k] = v
			delete(h, k)
		}
	}
	return h
}

// validHeader reports whether a function may set a header: a token for its name, and a value
// without line breaks.
func validHeader(name, value string) bool {
	if name == "" {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strchr(`"(),/:;<=>?@[\]{}`, c) {
			return false
		}
	}
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func strchr(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}
