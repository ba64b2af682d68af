package wire

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// endpoint is one operation, built or not, of a rest protocol, with what its route asks for.
type endpoint struct {
	svc      *Service
	op       *Operation // nil: not built
	name     string
	labels   []string    // names of the path's labels in their order
	literals [][2]string // query parameters that the route names; the value "" is any
	needs    []string    // required query parameters
	headers  []string    // required headers that tell operations apart
}

// tree finds endpoints by path. A path is matched segment by segment before it is decoded, so that
// an encoded slash stays in its label.
type tree struct {
	fixed   map[string]*tree
	label   *tree
	greedy  *tree
	methods map[string][]*endpoint
}

func (t *tree) add(method, uri string, e *endpoint) {
	path, query, _ := strings.Cut(uri, "?")
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' }) {
		k, v, _ := strings.Cut(pair, "=")
		e.literals = append(e.literals, [2]string{k, v})
	}
	for _, seg := range strings.Split(strings.Trim(path, "/"), "/") {
		name, isLabel := strings.CutPrefix(seg, "{")
		name = strings.TrimSuffix(name, "}")
		switch {
		case seg == "":
			continue
		case isLabel && strings.HasSuffix(name, "+"):
			e.labels = append(e.labels, strings.TrimSuffix(name, "+"))
			t = child(&t.greedy)
		case isLabel:
			e.labels = append(e.labels, name)
			t = child(&t.label)
		default:
			if t.fixed == nil {
				t.fixed = map[string]*tree{}
			}
			next := t.fixed[seg]
			if next == nil {
				next = &tree{}
				t.fixed[seg] = next
			}
			t = next
		}
	}
	if t.methods == nil {
		t.methods = map[string][]*endpoint{}
	}
	t.methods[method] = append(t.methods[method], e)
}

func child(t **tree) *tree {
	if *t == nil {
		*t = &tree{}
	}
	return *t
}

// match is an endpoint with the values of its labels, still encoded.
type match struct {
	*endpoint
	values []string
}

// request is what matching looks at.
type request struct {
	method string
	query  url.Values
	header http.Header
}

// find is the endpoint that fits a path, without its first slash, best: fixed segments go before
// labels, labels before greedy ones.
func (t *tree) find(path string, values []string, r request) (match, bool) {
	if path == "" {
		if e := best(t.methods[r.method], r); e != nil {
			return match{e, values}, true
		}
		return match{}, false
	}
	seg, rest, _ := strings.Cut(path, "/")
	if next := t.fixed[seg]; next != nil {
		if m, ok := next.find(rest, values, r); ok {
			return m, true
		}
	}
	if t.label != nil && seg != "" {
		if m, ok := t.label.under(rest, append(values[:len(values):len(values)], seg), r); ok {
			return m, true
		}
	}
	if t.greedy != nil {
		if e := best(t.greedy.methods[r.method], r); e != nil {
			return match{e, append(values[:len(values):len(values)], path)}, true
		}
	}
	return match{}, false
}

// under continues after a label. Only there a rest that begins with a slash is meaningful: S3's
// keys may.
func (t *tree) under(rest string, values []string, r request) (match, bool) {
	if t.greedy != nil && strings.HasPrefix(rest, "/") {
		if e := best(t.greedy.methods[r.method], r); e != nil {
			return match{e, append(values[:len(values):len(values)], rest)}, true
		}
	}
	return t.find(rest, values, r)
}

// best is the endpoint of which most query parameters and headers are there. One whose literal or
// header is missing is out; one whose required parameter is missing is the last resort. Of two that
// are not built and share a route, S3's deprecated GetBucketLifecycle and
// GetBucketLifecycleConfiguration, clients mean the longer name.
func best(from []*endpoint, r request) *endpoint {
	var found *endpoint
	top := -1 << 30
	for _, e := range from {
		if s, ok := e.score(r); ok && (s > top || s == top && found.op == nil && (e.op != nil || strings.HasPrefix(e.name, found.name))) {
			found, top = e, s
		}
	}
	return found
}

func (e *endpoint) score(r request) (int, bool) {
	n := 0
	for _, l := range e.literals {
		got, ok := r.query[l[0]]
		if !ok || l[1] != "" && got[0] != l[1] {
			return 0, false
		}
		n += 10
	}
	for _, h := range e.headers {
		if r.header.Get(h) == "" {
			return 0, false
		}
		n += 10
	}
	for _, q := range e.needs {
		if _, ok := r.query[q]; ok {
			n++
		} else {
			n -= 1000
		}
	}
	return n, true
}

// endpointOf reads from an operation's input what its route asks for besides the URI.
func endpointOf(op *Operation) *endpoint {
	e := &endpoint{svc: op.Service, op: op, name: op.Name}
	for i := range op.In.NumField() {
		f := op.In.Field(i)
		name, required := f.Tag.Get("wire"), hasOption(f.Tag, "required")
		switch {
		case required && f.Tag.Get("in") == "querystring":
			e.needs = append(e.needs, name)
		case required && name == "x-amz-copy-source": // tells CopyObject from PutObject
			e.headers = append(e.headers, name)
		}
	}
	return e
}

func hasOption(tag reflect.StructTag, option string) bool {
	return strings.Contains(","+tag.Get("opt")+",", ","+option+",")
}
