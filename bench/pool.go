package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// burst is how many cold starts are asked for at once.
const burst = 32

// custom is a static Go program on a custom runtime; its code is built when it is needed.
var custom = hello{family: "provided.al2023", file: "bootstrap", handler: "bootstrap"}

// pooled are the figures of cold starts from ready sandboxes. The server is started anew with a pool: the
// others are taken without one.
func (b *bench) pooled(ctx context.Context) error {
	if !b.wanted("pool-") {
		return nil
	}
	if err := b.restart(ctx, "--pool", strconv.Itoa(burst), "--pool-memory", "1024"); err != nil {
		return err
	}
	if b.wanted("pool-burst") {
		if err := b.atOnce(ctx); err != nil {
			return fmt.Errorf("pool-burst: %w", err)
		}
	}
	for _, c := range []struct {
		key, name, target string
		hello             hello
	}{
		{"pool-node", "node hello, cold, from the pool", "p50 ≤ 10, p99 ≤ 25 ms", node},
		{"pool-python", "python hello, cold, from the pool", "p50 ≤ 10, p99 ≤ 25 ms", python},
		{"pool-custom", "static Go hello, cold, from the pool", "p50 ≤ 8 ms", custom},
	} {
		if !b.wanted(c.key) {
			continue
		}
		if err := b.take(ctx, testCase{key: c.key, name: c.name, target: c.target, single: true, plan: b.ready(c.hello)}); err != nil {
			return err
		}
	}
	if b.wanted("pool-package") {
		if err := b.largePackage(ctx); err != nil {
			return fmt.Errorf("pool-package: %w", err)
		}
	}
	return nil
}

// restart starts the server anew on its directory.
func (b *bench) restart(ctx context.Context, args ...string) error {
	made := b.bastide.things
	if err := b.bastide.stop(); err != nil {
		return err
	}
	o := b.options
	o.serve = args
	var err error
	if b.bastide, err = startBastide(ctx, o, b.data); err != nil {
		return err
	}
	b.bastide.things = made
	return nil
}

// ready is as cold, with enough time between the calls for the pool to fill again.
func (b *bench) ready(h hello) func(*bench, *server) (Plan, error) {
	return func(b *bench, s *server) (Plan, error) {
		if h.family == custom.family {
			var err error
			if h.code, err = b.static(); err != nil {
				return Plan{}, err
			}
		}
		p, err := cold(h)(b, s)
		if err != nil {
			return p, err
		}
		p.Pause = 400 * time.Millisecond
		return p, b.full(h.family, 1)
	}
}

// static builds the program of a custom runtime.
func (b *bench) static() (string, error) {
	const program = `package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		r, err := http.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		a, err := http.Post(api+r.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader([]byte("{}")))
		if err != nil {
			os.Exit(1)
		}
		io.Copy(io.Discard, a.Body)
		a.Body.Close()
	}
}
`
	source, out := filepath.Join(b.data, "bench-hello.go"), filepath.Join(b.data, "bench-hello")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", out, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, said)
	}
	body, err := os.ReadFile(out)
	return string(body), err
}

// full waits until the pool holds all that it may, and so many of the family.
func (b *bench) full(family string, least int) error {
	var st struct {
		Pool struct {
			Size, Ready int
			Kinds       []struct {
				Name  string
				Ready int
			}
		}
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		out, err := exec.Command(b.binary, "status", "--data", b.data, "--output", "json").Output()
		if err != nil {
			return fmt.Errorf("bastide status: %w", err)
		}
		if err := json.Unmarshal(out, &st); err != nil {
			return err
		}
		for _, k := range st.Pool.Kinds {
			if st.Pool.Ready == st.Pool.Size && strings.Contains(k.Name, " "+family) && k.Ready >= least {
				return nil
			}
		}
	}
	return fmt.Errorf("the pool does not fill: %+v", st)
}

// atOnce asks for cold starts by as many callers as the pool is large, and then weighs what rests. No
// other function is there, since the pool holds some for each runtime that is in use.
func (b *bench) atOnce(ctx context.Context) error {
	s := b.bastide
	for thing := range s.things {
		if !strings.HasPrefix(thing, "bench-") {
			continue
		}
		if _, err := s.call(lambda("DELETE", functionsPath+"/"+thing, "")); err != nil {
			return err
		}
		delete(s.things, thing)
	}
	name, err := b.deploy(s, node)
	if err != nil {
		return err
	}
	var all []time.Duration
	for n := range 3 {
		path := functionsPath + "/" + name
		if _, err := s.call(lambda("PUT", path+"/configuration", fmt.Sprintf(`{"Environment":{"Variables":{"BURST":"%d"}}}`, n))); err != nil {
			return err
		}
		if err := s.control.until(lambda("GET", path+"/configuration", ""), `"LastUpdateStatus":"Successful"`, time.Now().Add(20*time.Second)); err != nil {
			return err
		}
		if err := b.full(node.family, burst); err != nil {
			return err
		}
		r, err := load(ctx, Plan{Address: s.address, Keys: s.keys, Request: lambda("POST", path+"/invocations", `{}`), Callers: burst, Limit: burst, For: time.Minute})
		if err == nil && r.Failed > 0 {
			err = errors.New(r.Failure)
		}
		if err != nil {
			return err
		}
		all = append(all, r.Elapsed)
	}
	b.add(Figure{Key: "pool-burst", Name: "32 cold node starts at once, all answered", Target: "≤ 400 ms", Bastide: sampleOf(all)})
	private, err := s.private("node")
	if err != nil {
		return err
	}
	b.add(Figure{Key: "pool-memory", Name: "private memory of an idle node instance", Target: "≤ 12 MB", Bastide: Sample{Bytes: private}})
	return nil
}

// private is the median private memory of the server's descendants that run a program.
func (s *server) private(program string) (int64, error) {
	var sizes []int64
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, err
	}
	for _, link := range all {
		exe, _ := os.Readlink(link) // it may have ended since
		if filepath.Base(exe) != program {
			continue
		}
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "smaps_rollup"))
		size := int64(0)
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 3 && strings.HasPrefix(f[0], "Private_") {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				size += n << 10
			}
		}
		cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		if size > 0 && bytes.Contains(cmdline, []byte("/var/runtime/")) {
			sizes = append(sizes, size)
		}
	}
	if len(sizes) == 0 {
		return 0, fmt.Errorf("no %s rests", program)
	}
	slices.Sort(sizes)
	return sizes[len(sizes)/2], nil
}

// The large package: what Lambda takes at most, in as many files as a large node_modules has.
const (
	packageBytes = 250 << 20
	packageFiles = 34_000
)

// largePackage compares the first cold start after a deploy of a large package to that of a small one.
func (b *bench) largePackage(context.Context) error {
	figures := map[bool]Sample{}
	for _, large := range []bool{false, true} {
		var all []time.Duration
		for n := range 5 {
			took, err := b.firstCall(large, n)
			if err != nil {
				return err
			}
			all = append(all, took)
		}
		figures[large] = sampleOf(all)
	}
	b.add(Figure{Key: "pool-package-small", Name: "first cold start after the deploy of one file", Bastide: figures[false]})
	b.add(Figure{Key: "pool-package", Name: "the same of 250 MB in 34,000 files", Bastide: figures[true],
		Target: fmt.Sprintf("≤ 1.5 × (%.2f ms)", 1.5*figures[false].P50)})
	return nil
}

func (b *bench) firstCall(large bool, n int) (time.Duration, error) {
	s := b.bastide
	name, err := b.deploy(s, node)
	if err != nil {
		return 0, err
	}
	packed, err := node.fill(large, n)
	if err != nil {
		return 0, err
	}
	path := functionsPath + "/" + name
	if _, err := s.call(lambda("PUT", path+"/code", `{"ZipFile":"`+base64.StdEncoding.EncodeToString(packed)+`"}`)); err != nil {
		return 0, err
	}
	if err := s.control.until(lambda("GET", path+"/configuration", ""), `"LastUpdateStatus":"Successful"`, time.Now().Add(2*time.Minute)); err != nil {
		return 0, err
	}
	if err := b.full(node.family, 1); err != nil {
		return 0, err
	}
	begin := time.Now()
	_, err = s.call(lambda("POST", path+"/invocations", `{}`))
	return time.Since(begin), err
}

// fill packs the function with a mark, so that every deploy is another, and perhaps with the rest of a
// large package.
func (h hello) fill(large bool, mark int) ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	files := map[string]string{h.file: h.code, "mark": strconv.Itoa(mark)}
	if large {
		filler := strings.Repeat("\n", packageBytes/packageFiles-1)
		for n := range packageFiles - 2 {
			files[fmt.Sprintf("node_modules/m%d/f%d.js", n/100, n)] = filler
		}
	}
	for name, body := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(body))
		}
		if err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return buf.Bytes(), err
}
