package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bastide-cloud/bastide/internal/egress"
)

// door is the one way out of a build: a proxy that fetches from registries.
type door struct {
	b       *Builder
	sources []source

	inner atomic.Bool // a registry is on a private network

	mu     sync.Mutex
	hosts  map[string]*host // by name as URLs inside have it
	wanted []string
}

// host is one that the door leads to.
type host struct {
	scheme  string
	index   bool // its pages say where files are
	tunnel  bool // named by the user: may be spoken to in TLS
	private bool
	client  *http.Client // made when first needed
}

func (b *Builder) door(sources []source) (*door, error) {
	d := &door{b: b, sources: sources, hosts: map[string]*host{}}
	for _, name := range b.Hosts {
		u, err := url.Parse("https://" + name)
		if err != nil || u.Host != name || u.Hostname() == "" {
			return nil, fmt.Errorf("--build-host %q is no host", name)
		}
		d.hosts[bare("https", name)] = &host{scheme: "https", tunnel: true, private: true}
	}
	for _, s := range sources {
		d.hosts[s.host()] = &host{scheme: s.url.Scheme, index: true, private: true}
	}
	return d, nil
}

// reaches names the hosts, for the user to read.
func (d *door) reaches() string {
	var names []string
	for name := range d.hosts {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// missed names what was wanted and not reached.
func (d *door) missed() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	for _, host := range d.wanted {
		fmt.Fprintf(&b, "\n  it wanted %s, which no registry of yours leads to; where that is meant, allow it with --build-host %s", host, host)
	}
	return b.String()
}

const maxMissed = 10

func (d *door) miss(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.wanted) < maxMissed && !slices.Contains(d.wanted, host) {
		d.wanted = append(d.wanted, host)
	}
}

// serve answers at the door until the function that it returns is called.
func (d *door) serve(l net.Listener) (stop func()) {
	server := &http.Server{Handler: d, ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // it ends with the sandbox
	}()
	return func() {
		_ = server.Close() // nobody is left to be answered
		<-done
	}
}

func (d *door) find(name string) *host {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hosts[name]
}

// ServeHTTP carries one request of an installer.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		d.connect(w, r)
		return
	}
	name := bare("http", strings.ToLower(r.URL.Host))
	h := d.find(name)
	switch {
	case h == nil:
		d.miss(name)
		http.Error(w, "a build reaches registries only", http.StatusForbidden)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "a build only reads", http.StatusMethodNotAllowed)
	default:
		if err := d.fetch(w, r, name, h); err != nil {
			d.b.Say("  " + name + ": " + err.Error())
			http.Error(w, "the registry cannot be reached", http.StatusBadGateway)
		}
	}
}

// passed are the headers of a request that matter to a registry.
var passed = []string{"Accept", "Accept-Language", "If-None-Match", "If-Modified-Since", "Range", "User-Agent"}

func (d *door) fetch(w http.ResponseWriter, r *http.Request, name string, h *host) error {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, h.scheme+"://"+name+r.URL.RequestURI(), nil)
	if err != nil {
		return err
	}
	for _, k := range passed {
		if v := r.Header.Values(k); len(v) > 0 {
			out.Header[k] = v
		}
	}
	if auth := d.authFor(name, out.URL.Path); auth != "" {
		out.Header.Set("Authorization", auth)
	}
	client, err := d.clientFor(name, h)
	if err != nil {
		return err
	}
	resp, err := client.Do(out)
	if err != nil {
		if _, ok := errors.AsType[*egress.Refused](err); ok {
			if !h.private {
				d.miss(name)
			}
			w.WriteHeader(http.StatusForbidden) // which nobody tries again
			return nil
		}
		return err
	}
	defer resp.Body.Close()
	return d.answer(w, r, resp, h)
}

// authFor is the credentials of the registry whose path leads to this one.
func (d *door) authFor(name, path string) string {
	for _, s := range d.sources {
		if s.host() == name && (strings.HasPrefix(path, s.url.Path) || strings.TrimSuffix(s.url.Path, "/") == path) {
			return s.auth
		}
	}
	for _, s := range d.sources { // an index's files may stand beside it
		if s.host() == name {
			return s.auth
		}
	}
	return ""
}

// clientFor dials one host and no other.
func (d *door) clientFor(name string, h *host) (*http.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h.client == nil {
		out, err := d.dialer(name, h)
		if err != nil {
			return nil, err
		}
		h.client = out.Client("build")
	}
	return h.client, nil
}

func (d *door) dialer(name string, h *host) (*egress.Dialer, error) {
	u := url.URL{Host: name}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[h.scheme]
	}
	return egress.New(egress.Policy{Routes: []egress.Route{{Host: u.Hostname(), Port: port, Private: h.private}}, Auditor: opened{d, h},
		Resolver: d.b.Resolver, Clock: d.b.Clock, RootCAs: d.b.roots(), DialTimeout: 20 * time.Second, Timeout: limitTime, MaxBody: limitPackage})
}

// opened tells of connections, and remembers a registry that is on a private network: its files may be
// there too.
type opened struct {
	d *door
	h *host
}

func (o opened) Connected(r egress.Record) error {
	if o.h.index && r.Refused == "" && !egress.IsPublic(r.Address) {
		o.d.inner.Store(true)
	}
	if o.d.b.Opened != nil {
		o.d.b.Opened(r)
	}
	return nil
}

// returned are the headers of an answer that matter to an installer.
var returned = []string{"Content-Type", "Etag", "Last-Modified", "Cache-Control", "Vary", "Content-Range", "Accept-Ranges", "X-Pypi-Last-Serial"}

func (d *door) answer(w http.ResponseWriter, r *http.Request, resp *http.Response, h *host) error {
	for _, k := range returned {
		if v := resp.Header.Values(k); len(v) > 0 {
			w.Header()[k] = v
		}
	}
	if at, err := resp.Location(); err == nil {
		d.learn(at.Scheme, at.Host)
		w.Header().Set("Location", string(d.plain([]byte(at.String()))))
	}
	kind := resp.Header.Get("Content-Type")
	if r.Method == http.MethodHead || !strings.Contains(kind, "json") && !strings.Contains(kind, "html") || resp.StatusCode == http.StatusPartialContent {
		if resp.ContentLength >= 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
		}
		w.WriteHeader(resp.StatusCode)
		_, err := io.Copy(w, resp.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // the installer must not take a part for the whole
		}
		return nil
	}
	page, err := io.ReadAll(io.LimitReader(resp.Body, limitPage+1))
	if err == nil && len(page) > limitPage {
		err = fmt.Errorf("a page of more than %d MB", limitPage>>20)
	}
	if err != nil {
		return err
	}
	if h.index {
		for _, link := range fileLinks(kind, page) {
			if u, err := url.Parse(link); err == nil {
				d.learn(u.Scheme, u.Host)
			}
		}
	}
	page = d.plain(page)
	w.Header().Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(resp.StatusCode)
	_, err = w.Write(page)
	return err
}

// fileLink is where an index's page says that a file is: its href (PEP 503).
var fileLink = regexp.MustCompile(`\bhref\s*=\s*["'](https://[^"'/]{1,300}/)`)

// fileLinks are the URLs of files on a page of an index. Its other URLs are its packages' own words:
// where somebody would like a build to connect.
func fileLinks(kind string, page []byte) (links []string) {
	switch {
	case strings.HasPrefix(kind, "text/html"), strings.HasPrefix(kind, "application/vnd.pypi.simple.v1+html"):
		for _, m := range fileLink.FindAllSubmatch(page, -1) {
			links = append(links, string(m[1]))
		}
		return links
	case strings.HasPrefix(kind, "application/vnd.pypi.simple"):
		var index struct{ Files []struct{ URL string } } // PEP 691
		_ = json.Unmarshal(page, &index)                 // what cannot be read names nothing
		for _, f := range index.Files {
			links = append(links, f.URL)
		}
		return links
	}
	type release struct{ Dist struct{ Tarball string } }
	var doc struct {
		release
		Versions map[string]release
	}
	_ = json.Unmarshal(page, &doc) // as above
	links = append(links, doc.Dist.Tarball)
	for _, v := range doc.Versions {
		links = append(links, v.Dist.Tarball)
	}
	return links
}

const maxHosts = 20

// learn lets the door lead to a host that a registry names for its files.
func (d *door) learn(scheme, name string) {
	name = bare(scheme, strings.ToLower(name))
	d.mu.Lock()
	defer d.mu.Unlock()
	if scheme == "https" && name != "" && d.hosts[name] == nil && len(d.hosts) < maxHosts {
		d.hosts[name] = &host{scheme: scheme, private: d.inner.Load()}
	}
}

// plain rewrites the URLs of a page so that they lead through the door.
func (d *door) plain(page []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, h := range d.hosts {
		if h.scheme == "https" {
			page = bytes.ReplaceAll(page, []byte("https://"+name+"/"), []byte("http://"+name+"/"))
		}
	}
	return page
}

// connect opens a tunnel to a host that the user named.
func (d *door) connect(w http.ResponseWriter, r *http.Request) {
	name := bare("https", strings.ToLower(r.Host))
	h := d.find(name)
	if h == nil || !h.tunnel {
		d.miss(name)
		http.Error(w, "a build reaches registries only", http.StatusForbidden)
		return
	}
	out, err := d.dialer(name, h)
	var far net.Conn
	if err == nil {
		far, err = out.Dial(r.Context(), "build", r.Host)
	}
	if err != nil {
		d.b.Say("  " + name + ": " + err.Error())
		http.Error(w, "it cannot be reached", http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	ctx, end := context.WithCancel(context.Background())
	go func() { defer end(); _, _ = io.Copy(far, near) }() // an error is an end too
	go func() { defer end(); _, _ = io.Copy(near, far) }()
	<-ctx.Done()
}

var _ http.Handler = (*door)(nil)
