package wire_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// told is one line of the oracle.
type told struct {
	Service, Operation string
	Params, Result     map[string]any
	Error              *struct {
		Code, Message, RequestID string
		Status                   int
	}
}

// ask lets botocore call every operation of the services at h.
func ask(t *testing.T, h http.Handler, services []*wire.Service) []told {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	var list strings.Builder
	for _, s := range services {
		for _, op := range s.Operations {
			fmt.Fprintf(&list, "%s %s\n", s.ID, op.Name)
		}
	}
	cmd := exec.Command("python3", "testdata/oracle.py", srv.URL)
	cmd.Stdin = strings.NewReader(list.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the oracle needs python3 with PyPI botocore==1.43.11: %v\n%s", err, stderr.String())
	}
	var all []told
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var x told
		if err := json.Unmarshal(sc.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	if want := strings.Count(list.String(), "\n"); len(all) != want {
		t.Fatalf("the oracle answered %d of %d operations", len(all), want)
	}
	return all
}

// TestBotocoreAgrees sends every served operation with every member through botocore: what we
// decode must be what it was given, and what it parses must be what we encoded.
func TestBotocoreAgrees(t *testing.T) {
	var mu sync.Mutex
	got, sent := map[string]any{}, map[string]any{}
	rt := wire.NewRouter("us-east-1", awsServices())
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, stream := rt.Peek(r)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var whole []byte
		if !stream {
			whole = body
		}
		routed, err := rt.Route(r, whole)
		if err != nil {
			t.Errorf("route %s %s: %v", r.Method, r.URL, err)
			routed.Fail(w, err, "id")
			return
		}
		in, err := routed.Read(whole, bytes.NewReader(body))
		if err != nil {
			t.Errorf("decode %s %s: %v\n%s", r.Method, r.URL, err, body)
			routed.Fail(w, err, "id")
			return
		}
		if routed.Region != "eu-west-1" && routed.Region != "us-east-1" {
			t.Errorf("%s: region %q", routed.Name, routed.Region)
		}
		out := reflect.New(routed.Operation.Out)
		fill(out.Elem(), 0)
		name := routed.Service.ID + " " + routed.Name
		mu.Lock()
		got[name], sent[name] = dump(reflect.ValueOf(in).Elem()), dump(out.Elem())
		mu.Unlock()
		again := reflect.New(routed.Operation.Out) // dump has read the streams
		fill(again.Elem(), 0)
		if err := routed.Encode(w, again.Interface(), "11111111-2222-4333-8444-555555555555"); err != nil {
			t.Errorf("encode %s: %v", name, err)
		}
	})
	for _, x := range ask(t, h, awsServices()) {
		t.Run(x.Service+" "+x.Operation, func(t *testing.T) {
			if x.Error != nil {
				t.Fatalf("botocore failed: %+v", *x.Error)
			}
			name := x.Service + " " + x.Operation
			in, _ := got[name].(map[string]any)
			if diff := cmp.Diff(x.Params, without(in, x.Params)); diff != "" {
				t.Errorf("input: botocore was given (-), we decoded (+):\n%s", diff)
			}
			if s, ok := x.Result["ExpiresString"]; ok { // botocore's own name for what it could not parse
				x.Result["Expires"] = s
				delete(x.Result, "ExpiresString")
			}
			if diff := cmp.Diff(sent[name], any(x.Result)); diff != "" {
				t.Errorf("output: we encoded (-), botocore parsed (+):\n%s", diff)
			}
		})
	}
}

// without leaves out what botocore adds to S3's requests by itself.
func without(in, params map[string]any) map[string]any {
	for _, name := range []string{"ContentMD5", "ContentLength", "ChecksumAlgorithm", "ChecksumCRC32", "ContentEncoding", "ContentType",
		"accept", "EncodingType"} {
		if _, ok := params[name]; !ok {
			delete(in, name)
		}
	}
	return in
}

// TestBotocoreReadsErrors lets botocore parse every kind of failure in every protocol.
func TestBotocoreReadsErrors(t *testing.T) {
	rt := wire.NewRouter("us-east-1", awsServices())
	want := map[string]told{}
	n := 0
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		routed, err := rt.Route(r, body)
		if err != nil {
			t.Errorf("route %s %s: %v", r.Method, r.URL, err)
		}
		n++
		e := awserr.Of(awserr.Kind(1+n%15), `no <"luck"> & é %d`, n)
		if n%4 == 0 && len(routed.Operation.Errors) > 0 {
			shape := routed.Operation.Errors[n%len(routed.Operation.Errors)]
			e = awserr.New(shape.Code, 0, "modelled %d", n)
		}
		code, status := routed.Code(e)
		x := told{}
		x.Error = &struct {
			Code, Message, RequestID string
			Status                   int
		}{code, e.Message, fmt.Sprintf("request-%d", n), status}
		if r.Method == http.MethodHead { // no body to read a code from
			x.Error.Code, x.Error.Message = fmt.Sprint(status), http.StatusText(status)
		}
		// For some refusals botocore asks S3 for the bucket's region with a HeadBucket of its own; what
		// it tells of is the first.
		if name := routed.Service.ID + " " + routed.Name; want[name].Error == nil {
			want[name] = x
		}
		routed.Fail(w, e, fmt.Sprintf("request-%d", n))
	})
	for _, x := range ask(t, h, awsServices()) {
		name := x.Service + " " + x.Operation
		if diff := cmp.Diff(want[name].Error, x.Error); diff != "" {
			t.Errorf("%s: error written (-), botocore read (+):\n%s", name, diff)
		}
	}
}

var moment = time.Date(2024, 2, 29, 12, 30, 15, 0, time.UTC)

// fill gives every member of an output a value.
func fill(v reflect.Value, depth int) {
	for i := range v.NumField() {
		f, sf := v.Field(i), v.Type().Field(i)
		switch tag := sf.Tag.Get("in"); {
		case tag == "statusCode":
			fillScalar(f, "200", 200)
			continue
		case f.Type() == reflect.TypeFor[wire.RawJSON]():
			f.SetBytes([]byte(rawSample(sf.Name)))
			continue
		case sf.Name == "ResponseStreamContentType":
			fillScalar(f, "application/vnd.amazon.eventstream", 0) // whatever the service says
			continue
		case sf.Name == "ContentLength":
			fillScalar(f, "", int64(len("body "+sf.Name)))
			n := int64(6)
			f.Set(reflect.ValueOf(&n))
			continue
		}
		fillValue(f, sf.Name, depth)
	}
}

func rawSample(name string) string {
	switch name {
	case "Value":
		return `{"S":"v"}`
	case "Items", "Responses":
		return `[{"k":{"S":"v\u00e9"}},{"n":{"N":"1"}}]`
	case "AttributeValueList":
		return `[{"S":"v"}]`
	}
	return `{"k":{"S":"v"},"b":{"BOOL":true}}`
}

func fillScalar(f reflect.Value, s string, n int64) {
	if f.Kind() == reflect.Pointer {
		f.Set(reflect.New(f.Type().Elem()))
		f = f.Elem()
	}
	if f.Kind() == reflect.String {
		f.SetString(s)
	} else {
		f.SetInt(n)
	}
}

func fillValue(f reflect.Value, name string, depth int) {
	switch f.Type() {
	case reflect.TypeFor[time.Time]():
		f.Set(reflect.ValueOf(moment))
		return
	case reflect.TypeFor[io.ReadCloser]():
		f.Set(reflect.ValueOf(io.NopCloser(strings.NewReader("stream"))))
		return
	case reflect.TypeFor[wire.RawJSON]():
		f.SetBytes([]byte(rawSample(name)))
		return
	}
	if fillEvents(f) {
		return
	}
	switch f.Kind() {
	case reflect.Pointer:
		if depth > 6 {
			return
		}
		f.Set(reflect.New(f.Type().Elem()))
		fillValue(f.Elem(), name, depth)
	case reflect.Struct:
		fill(f, depth+1)
	case reflect.String:
		f.SetString(name + ` & <"x">`)
	case reflect.Int32, reflect.Int64:
		f.SetInt(7)
	case reflect.Float64:
		f.SetFloat(1.5)
	case reflect.Bool:
		f.SetBool(true)
	case reflect.Slice:
		if f.Type().Elem().Kind() == reflect.Uint8 {
			f.SetBytes([]byte("\x00blob\xff"))
			return
		}
		f.Set(reflect.MakeSlice(f.Type(), 2, 2))
		for i := range 2 {
			fillValue(f.Index(i), name, depth+1)
		}
	case reflect.Map:
		e := reflect.New(f.Type().Elem()).Elem()
		fillValue(e, name, depth+1)
		f.Set(reflect.MakeMap(f.Type()))
		f.SetMapIndex(reflect.ValueOf("key0"), e)
	}
}

// fillEvents makes a stream of every kind of event; false for what is none.
func fillEvents(f reflect.Value) bool {
	if _, ok := f.Addr().Interface().(plan.EventSource); !ok {
		return false
	}
	next, n := f.FieldByName("Next"), 0
	union := next.Type().Out(0).Elem()
	next.Set(reflect.MakeFunc(next.Type(), func([]reflect.Value) []reflect.Value {
		if n == union.NumField() {
			return []reflect.Value{reflect.Zero(reflect.PointerTo(union)), reflect.ValueOf(&io.EOF).Elem()}
		}
		e := reflect.New(union)
		fillValue(e.Elem().Field(n), union.Field(n).Name, 0)
		n++
		return []reflect.Value{e, reflect.Zero(reflect.TypeFor[error]())}
	}))
	f.FieldByName("Close").Set(reflect.ValueOf(func() error { return nil }))
	return true
}

// dumpEvents is a stream of events as the list of them.
func dumpEvents(s plan.EventSource) any {
	out := []any{}
	for {
		e, err := s.NextEvent()
		if err == io.EOF {
			return out
		}
		if err != nil {
			return err.Error()
		}
		out = append(out, dump(e))
	}
}

// dump is a value in the oracle's notation, by the model's names.
func dump(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Time:
		return map[string]any{"$time": x.UTC().Format("2006-01-02T15:04:05Z")}
	case wire.RawJSON:
		var out any
		if err := json.Unmarshal(x, &out); err != nil {
			return "invalid JSON: " + string(x)
		}
		return blobs(out)
	case []byte:
		return map[string]any{"$bytes": base64.StdEncoding.EncodeToString(x)}
	case plan.EventSource:
		return dumpEvents(x)
	case io.Reader:
		b, err := io.ReadAll(x)
		if err != nil {
			return err.Error()
		}
		return map[string]any{"$bytes": base64.StdEncoding.EncodeToString(b)}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return dump(v.Elem())
	case reflect.Struct:
		return dumpStruct(v)
	case reflect.Slice:
		out := []any{}
		for i := range v.Len() {
			out = append(out, dump(v.Index(i)))
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = dump(it.Value())
		}
		return out
	case reflect.Int32, reflect.Int64:
		return float64(v.Int())
	}
	return v.Interface()
}

func dumpStruct(v reflect.Value) any {
	out := map[string]any{}
	for i := range v.NumField() {
		f, sf := v.Field(i), v.Type().Field(i)
		switch f.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
			if f.IsNil() {
				continue
			}
		}
		name := sf.Tag.Get("name")
		if name == "" {
			name = sf.Tag.Get("wire")
		}
		if sf.Tag.Get("in") == "headers" {
			name = sf.Name
		}
		out[name] = dump(f)
	}
	return out
}

// blobs shows the binary values of an item as the oracle does.
func blobs(x any) any {
	switch x := x.(type) {
	case map[string]any:
		for k, v := range x {
			if s, ok := v.(string); ok && k == "B" {
				x[k] = map[string]any{"$bytes": s}
			} else {
				x[k] = blobs(v)
			}
		}
	case []any:
		for i := range x {
			x[i] = blobs(x[i])
		}
	}
	return x
}
