package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// hello is a function that answers at once.
type hello struct {
	family        string // of runtimes: the newest on this machine is taken
	file, handler string
	code          string
}

var (
	node = hello{"nodejs", "index.js", "index.handler",
		"exports.handler = async (event) => ({ statusCode: 200, body: 'hello', keys: Object.keys(event).length });\n"}
	python = hello{"python", "index.py", "index.handler",
		"def handler(event, context):\n    return {'statusCode': 200, 'body': 'hello', 'keys': len(event)}\n"}
)

// unbuiltError says why a figure cannot be taken.
type unbuiltError struct{ why string }

func (e *unbuiltError) Error() string { return e.why }

func (s *server) made(what string) bool {
	if s.things[what] {
		return true
	}
	s.things[what] = true
	return false
}

const functionsPath = "/2015-03-31/functions"

func lambda(method, path, body string) Request {
	return Request{Service: "lambda", Method: method, Path: path, Body: body, Headers: map[string]string{"Content-Type": "application/json"}}
}

// bareProcess is what the interpreter takes by itself on the function's program.
func (b *bench) bareProcess(ctx context.Context, h hello) (*Sample, error) {
	_, interpreter, err := b.runtime(h.family)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.data, "bare-"+h.file)
	if err := os.WriteFile(file, []byte(h.code), 0o600); err != nil {
		return nil, err
	}
	var all []time.Duration
	for range b.colds {
		cmd := exec.CommandContext(ctx, interpreter, file)
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s: %w", interpreter, err)
		}
		all = append(all, time.Since(begin))
	}
	s := sampleOf(all)
	return &s, nil
}

// runtime is the newest runtime of a family that this machine has, and its interpreter.
func (b *bench) runtime(family string) (name, path string, err error) {
	out, err := exec.Command(b.binary, "runtimes", "list", "--data", b.data, "--output", "json").Output()
	if err != nil {
		return "", "", fmt.Errorf("bastide runtimes list: %w", err)
	}
	var list []struct{ Runtime, Path string }
	if err := json.Unmarshal(out, &list); err != nil {
		return "", "", err
	}
	for _, r := range list {
		if strings.HasPrefix(r.Runtime, family) && r.Path != "" {
			return r.Runtime, r.Path, nil
		}
	}
	return "", "", &unbuiltError{"no " + family + " on this machine"}
}

// deploy makes the function, once, and returns its name.
func (b *bench) deploy(s *server, h hello) (string, error) {
	name := "bench-" + strings.ReplaceAll(h.family, ".", "-")
	if s.made(name) {
		return name, nil
	}
	runtime, err := b.install(h.family)
	if err != nil {
		return "", err
	}
	if err := s.role(); err != nil {
		return "", err
	}
	packed, err := h.pack()
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]any{"FunctionName": name, "Runtime": runtime, "Handler": h.handler, "Role": roleARN,
		"Code": map[string]any{"ZipFile": base64.StdEncoding.EncodeToString(packed)}, "MemorySize": 1769, "Timeout": 30})
	if err != nil {
		return "", err
	}
	if _, err := s.call(lambda("POST", functionsPath, string(body))); err != nil {
		return "", err
	}
	return name, s.control.until(lambda("GET", functionsPath+"/"+name+"/configuration", ""), `"State":"Active"`, time.Now().Add(20*time.Second))
}

// install makes a family's newest runtime ready; a custom one needs nothing. The hello functions use no
// SDK, and a benchmark fetches nothing.
func (b *bench) install(family string) (string, error) {
	if family == custom.family {
		return family, nil
	}
	runtime, _, err := b.runtime(family)
	if err != nil {
		return "", err
	}
	if out, err := exec.Command(b.binary, "runtimes", "install", "--without-sdk", runtime, "--data", b.data).CombinedOutput(); err != nil {
		return "", fmt.Errorf("bastide runtimes install: %w: %s", err, out)
	}
	return runtime, nil
}

func (h hello) pack() ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	head := &zip.FileHeader{Name: h.file, Method: zip.Deflate}
	head.SetMode(0o755)
	w, err := z.CreateHeader(head)
	if err == nil {
		_, err = w.Write([]byte(h.code))
	}
	if err != nil {
		return nil, err
	}
	err = z.Close()
	return buf.Bytes(), err
}

const roleARN = "arn:aws:iam::123456789012:role/bench"

// role makes the functions' role, which may do nothing.
func (s *server) role() error {
	if s.made("role") {
		return nil
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	form := url.Values{"Action": {"CreateRole"}, "Version": {"2010-05-08"}, "RoleName": {"bench"}, "AssumeRolePolicyDocument": {trust}}
	_, err := s.call(Request{Service: "iam", Method: "POST", Path: "/", Headers: ready.Headers, Body: form.Encode()})
	return err
}

// kilobyte is an event of 1 KB.
func kilobyte() string {
	const frame = `{"id":"{n}","text":""}`
	return strings.Replace(frame, `""`, `"`+strings.Repeat("x", 1024-len(frame))+`"`, 1)
}

// cold forces a fresh instance for every call: a changed environment retires the others. The pause
// lets what the change set off end first.
func cold(h hello) func(*bench, *server) (Plan, error) {
	return func(b *bench, s *server) (Plan, error) {
		name, err := b.deploy(s, h)
		if err != nil {
			return Plan{}, err
		}
		path := functionsPath + "/" + name
		change := lambda("PUT", path+"/configuration", `{"Environment":{"Variables":{"ROUND":"{n}"}}}`)
		changed := lambda("GET", path+"/configuration", "")
		return Plan{Request: lambda("POST", path+"/invocations", `{"id":"{n}"}`), Limit: b.colds, For: time.Minute,
			Before: &change, Until: &changed, Sign: `"LastUpdateStatus":"Successful"`, Pause: 100 * time.Millisecond}, nil
	}
}

func invoke(h hello, callers int) func(*bench, *server) (Plan, error) {
	return func(b *bench, s *server) (Plan, error) {
		if s.name == rieName {
			p := Plan{Request: rieInvoke, Callers: callers}
			return p, b.warm(s, p)
		}
		name, err := b.deploy(s, h)
		if err != nil {
			return Plan{}, err
		}
		p := Plan{Request: lambda("POST", functionsPath+"/"+name+"/invocations", kilobyte()), Callers: callers}
		return p, b.warm(s, p)
	}
}

// warm opens the instances that the callers will use.
func (b *bench) warm(s *server, p Plan) error {
	p.Address, p.Keys, p.Limit, p.For = s.address, s.keys, p.Callers*20, time.Minute
	r, err := p.run()
	if err == nil && r.Failed > 0 {
		err = fmt.Errorf("warming: %s", r.Failure)
	}
	return err
}

// httpAPI makes an API with one integration and its permission.
func httpAPI(callers int) func(*bench, *server) (Plan, error) {
	return func(b *bench, s *server) (Plan, error) {
		name, err := b.deploy(s, node)
		if err != nil {
			return Plan{}, err
		}
		if !s.made("api") {
			if err := s.api(name); err != nil {
				return Plan{}, err
			}
		}
		p := Plan{Request: Request{Method: "GET", Path: "/_aws/execute-api/" + s.apiID + "/$default/orders?n={n}"}, Callers: callers}
		return p, b.warm(s, p)
	}
}

func (s *server) api(function string) error {
	arn := "arn:aws:lambda:us-east-1:123456789012:function:" + function
	answer, err := s.call(Request{Service: "apigateway", Method: "POST", Path: "/v2/apis", Headers: map[string]string{"Content-Type": "application/json"},
		Body: `{"name":"bench","protocolType":"HTTP","target":"` + arn + `"}`})
	if err != nil {
		return err
	}
	var made struct {
		ID string `json:"apiId"`
	}
	if err := json.Unmarshal(answer, &made); err != nil {
		return err
	}
	s.apiID = made.ID
	_, err = s.call(lambda("POST", functionsPath+"/"+function+"/policy", `{"StatementId":"api","Action":"lambda:InvokeFunction",`+
		`"Principal":"apigateway.amazonaws.com","SourceArn":"arn:aws:execute-api:us-east-1:123456789012:`+made.ID+`/*"}`))
	return err
}
