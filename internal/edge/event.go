package edge

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// payloadURL is payload 2.0 as function URLs have it.
const payloadURL = "url"

// event is what a function receives, in the payload version that the route asks for.
func (x *exchange) event(payload string) ([]byte, error) {
	if payload == "2.0" || payload == payloadURL {
		e := x.eventV2(false)
		return json.Marshal(&e)
	}
	e := x.eventV1()
	if payload == "1.0" {
		e.Version = "1.0"
	}
	return json.Marshal(&e)
}

// text is the body as an event carries it: as text, or in base64 where the content type is binary.
// An HTTP API takes a body for text by its type alone, and forms for binary; a REST API takes for
// binary only what its binaryMediaTypes name. Bytes that are no UTF-8 are never mangled.
func (x *exchange) text() (body string, isBase64 bool) {
	if len(x.body) == 0 {
		return "", false
	}
	kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	binary := !textual(kind)
	if x.api.rest {
		binary = accepts(x.stage.binary, kind)
	}
	if binary || x.r.Header.Get("Content-Encoding") != "" && !x.api.rest || !utf8.Valid(x.body) {
		return base64.StdEncoding.EncodeToString(x.body), true
	}
	return string(x.body), false
}

func textual(kind string) bool {
	switch kind {
	case "", "application/json", "application/xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
}

// accepts reports whether one of a REST API's binary media types covers a type.
func accepts(types []string, kind string) bool {
	for _, t := range types {
		if t == "*/*" || t == kind || strings.HasSuffix(t, "/*") && strings.HasPrefix(kind, strings.TrimSuffix(t, "*")) {
			return true
		}
	}
	return false
}

// joined is the query with equal keys put together by commas, as payload 2.0 has it.
func (x *exchange) joined() map[string]string {
	if len(x.query) == 0 {
		return nil
	}
	out := make(map[string]string, len(x.query))
	for _, p := range x.query {
		if old, ok := out[p.key]; ok {
			out[p.key] = old + "," + p.value
		} else {
			out[p.key] = p.value
		}
	}
	return out
}

// lists is the query as lists, and its last values, as payload 1.0 has them.
func (x *exchange) lists() (last map[string]string, all map[string][]string) {
	if len(x.query) == 0 {
		return nil, nil
	}
	last, all = map[string]string{}, map[string][]string{}
	for _, p := range x.query {
		last[p.key] = p.value
		all[p.key] = append(all[p.key], p.value)
	}
	return last, all
}

// cookies are those of the request, one each; payload 2.0 has them beside the headers.
func cookies(h http.Header) []string {
	var out []string
	for _, line := range h["Cookie"] {
		for one := range strings.SplitSeq(line, ";") {
			if one = strings.TrimSpace(one); one != "" {
				out = append(out, one)
			}
		}
	}
	return out
}

// domainPrefix is the first label of the host.
func (x *exchange) domainPrefix() string {
	first, _, _ := strings.Cut(x.host, ".")
	return first
}

// timeForm is Common Log Format's, which events have.
const timeForm = "02/Jan/2006:15:04:05 -0700"
