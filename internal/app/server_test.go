package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bastide-cloud/bastide/internal/app/client"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/eventlog"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func config(data string) Config {
	return Config{Data: data, Listen: "127.0.0.1:0", Account: DefaultAccount, Region: "eu-west-1"}
}

// running is a server that answers, and how to end it.
type running struct {
	*Server
	stop func() error
}

// start runs a server of a data directory until the test ends or stop is called.
func start(t testing.TB, cfg Config) *running {
	t.Helper()
	s, err := Open(context.Background(), cfg, "test", quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- errors.Join(s.Run(ctx, func() { close(ready) }), s.Close()) }()
	<-ready
	var once sync.Once
	var ended error
	r := &running{s, func() error {
		once.Do(func() { cancel(); ended = <-done })
		return ended
	}}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return r
}

// command is a connection as the commands make it, and what they print.
func command(t testing.TB, data string) (*Remote, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	r, err := Connect(data, "eu-west-1", NewTerminal(&out, io.Discard, false))
	if err != nil {
		t.Fatal(err)
	}
	return r, &out
}

// whoami asks STS who the keys are.
func whoami(t testing.TB, data string) error {
	t.Helper()
	r, _ := command(t, data)
	return ask(r.Client)
}

func ask(c *client.Client) error {
	body := "Action=GetCallerIdentity&Version=2011-06-15"
	req, err := http.NewRequest(http.MethodPost, c.Endpoint+"/", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := c.Do(context.Background(), "sts", req, []byte(body))
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no directory", func(c *Config) { c.Data = "" }, "--data"},
		{"account", func(c *Config) { c.Account = "12345" }, "twelve digits"},
		{"certificate without key", func(c *Config) { c.TLSCert = "cert.pem" }, "go together"},
		{"open credentials for everybody", func(c *Config) { c.OpenCredentials, c.Listen = true, "0.0.0.0:0" }, "this machine only"},
		{"applications for everybody", func(c *Config) { c.OpenCredentials, c.ListenApps = true, ":0" }, "this machine only"},
		{"an address of another machine", func(c *Config) { c.Listen = "203.0.113.1:1" }, "--listen"},
		{"missing certificate", func(c *Config) { c.TLSCert, c.TLSKey = "none.pem", "none.key" }, "none.pem"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(t.TempDir())
			c.change(&cfg)
			if _, err := Open(t.Context(), cfg, "test", quiet()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestFirstStart makes an administrator whose keys only the owner of the directory can read, and the
// next start keeps them.
func TestFirstStart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "state")
	s := start(t, config(data))
	creds, err := ReadCredentials(data)
	if err != nil || len(creds.AccessKeyID) != 20 || creds.UserName != "admin" {
		t.Fatalf("credentials %s of %s: %v", creds.AccessKeyID, creds.UserName, err)
	}
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", path, info.Mode())
		}
		switch path {
		case filepath.Join(data, "code"), filepath.Join(data, "fleet"), filepath.Join(data, "runtimes"):
			return filepath.SkipDir // below, others may read: sandboxes, which get it by mounts
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := whoami(t, data); err != nil {
		t.Fatal(err)
	}
	run, err := ReadRun(data)
	if err != nil || run.Address != s.Address() || run.PID != os.Getpid() || run.Account != DefaultAccount || run.Open {
		t.Errorf("run.json says %+v: %v", run, err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRun(data); !isNotRunning(err) {
		t.Errorf("after the end run.json is %v", err)
	}
	again := start(t, config(data))
	kept, err := ReadCredentials(data)
	if err != nil || kept != creds {
		t.Errorf("the second start has other credentials: %v", err)
	}
	if err := whoami(t, data); err != nil {
		t.Error(err)
	}
	if err := again.stop(); err != nil {
		t.Error(err)
	}
}

func isNotRunning(err error) bool {
	_, ok := errors.AsType[*NotRunningError](err)
	return ok
}

// TestCrashBeforeTheKeysWereWritten: an administrator whose keys no file tells of gets new ones, and
// the old ones are worth nothing.
func TestCrashBeforeTheKeysWereWritten(t *testing.T) {
	data := t.TempDir()
	s := start(t, config(data))
	lost, err := ReadCredentials(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(data, credentialsFile)); err != nil {
		t.Fatal(err)
	}
	s = start(t, config(data))
	made, err := ReadCredentials(data)
	if err != nil || made.AccessKeyID == lost.AccessKeyID {
		t.Fatalf("the keys are %s: %v", made.AccessKeyID, err)
	}
	if err := whoami(t, data); err != nil {
		t.Error(err)
	}
	if err := ask(client.New(s.Address(), "eu-west-1", lost.Signing())); err == nil {
		t.Error("the lost key still signs")
	}
}

// TestOneOwner: a second server of a directory is refused by name, as is a second on a port.
func TestOneOwner(t *testing.T) {
	data := t.TempDir()
	s := start(t, config(data))
	_, err := Open(t.Context(), config(data), "test", quiet())
	if _, ok := errors.AsType[*store.LockedError](err); !ok || !strings.Contains(err.Error(), data) {
		t.Errorf("a second server of the directory gave %v", err)
	}
	taken := config(t.TempDir())
	taken.Listen = strings.TrimPrefix(s.Address(), "http://")
	if _, err := Open(t.Context(), taken, "test", quiet()); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("a second server on the port gave %v", err)
	}
	if err := whoami(t, data); err != nil {
		t.Errorf("the first one no longer answers: %v", err)
	}
}

// TestWrongRootKey: data that another key sealed does not open.
func TestWrongRootKey(t *testing.T) {
	data := t.TempDir()
	if err := start(t, config(data)).stop(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(data, rootKeyFile)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), config(data), "test", quiet()); err == nil || !strings.Contains(err.Error(), "root key") {
		t.Errorf("opened with a new root key: %v", err)
	}
}

func TestEnv(t *testing.T) {
	data := t.TempDir()
	print := func(region, format string) string {
		var out bytes.Buffer
		if err := Env(data, region, format, NewTerminal(&out, io.Discard, false)); err != nil {
			return err.Error()
		}
		return out.String()
	}
	if got := print("", "shell"); !strings.Contains(got, "bastide serve --data "+data) {
		t.Errorf("without a server: %s", got)
	}
	s := start(t, config(data))
	creds, _ := ReadCredentials(data)
	want := "export AWS_ENDPOINT_URL=" + s.Address() + "\nexport AWS_ACCESS_KEY_ID=" + creds.AccessKeyID + "\nexport AWS_SECRET_ACCESS_KEY=" + creds.SecretAccessKey + "\nexport AWS_DEFAULT_REGION=eu-west-1\n"
	if got := print("", "shell"); got != want {
		t.Errorf("shell:\n%s", got)
	}
	var vars map[string]string
	if err := json.Unmarshal([]byte(print("us-east-2", "json")), &vars); err != nil || vars["AWS_DEFAULT_REGION"] != "us-east-2" || vars["AWS_ENDPOINT_URL"] != s.Address() {
		t.Errorf("json: %v %v", vars, err)
	}
	if got := print("", "profile"); !strings.Contains(got, "[profile bastide]") || !strings.Contains(got, "endpoint_url = "+s.Address()) {
		t.Errorf("profile:\n%s", got)
	}
	if got := print("", "yaml"); !strings.Contains(got, "shell, json or profile") {
		t.Errorf("an unknown format: %s", got)
	}
	if err := os.WriteFile(filepath.Join(data, runFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRun(data); err == nil || isNotRunning(err) {
		t.Errorf("a broken run.json gave %v", err)
	}
}

// TestRefusalExplained: from the refused call to `bastide why`, through the real door and trail.
func TestRefusalExplained(t *testing.T) {
	data := t.TempDir()
	s := start(t, config(data))
	r, out := command(t, data)
	made := iamCall(t, r, "CreateUser", "UserName", "ann")
	if !strings.Contains(made, "user/ann") {
		t.Fatalf("CreateUser answered %s", made)
	}
	key := iamCall(t, r, "CreateAccessKey", "UserName", "ann")
	ann := client.New(s.Address(), "eu-west-1", Credentials{AccessKeyID: between(key, "<AccessKeyId>", "<"), SecretAccessKey: between(key, "<SecretAccessKey>", "<")}.Signing())
	body := "Action=ListUsers&Version=2010-05-08"
	req, _ := http.NewRequest(http.MethodPost, ann.Endpoint+"/", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, err := ann.Do(t.Context(), "iam", req, []byte(body))
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || refused.Code != "AccessDenied" || refused.RequestID == "" {
		t.Fatalf("ann's call gave %v", err)
	}
	if err := r.Why(t.Context(), refused.RequestID); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"refused", "iam:ListUsers", "no policy applies to this principal", "the smallest statement that would allow it", `"Effect":"Allow"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("why does not say %q:\n%s", want, out)
		}
	}
	if err := r.Why(t.Context(), "no-such-request"); err == nil {
		t.Error("why explained a request that never was")
	}
	out.Reset()
	if err := r.AuditQuery(t.Context(), AuditQuery{Denied: true, Max: 10}); err != nil || strings.Count(out.String(), "refused") != 1 || !strings.Contains(out.String(), refused.RequestID) {
		t.Errorf("the refusals are (%v):\n%s", err, out)
	}
	out.Reset()
	if err := r.AuditVerify(t.Context(), ""); err != nil || !strings.Contains(out.String(), "intact") {
		t.Errorf("verify (%v): %s", err, out)
	}
}

// TestAuditQueryPages: a query gives every record once, however many pages it takes.
func TestAuditQueryPages(t *testing.T) {
	data := t.TempDir()
	s := start(t, config(data))
	r, out := command(t, data)
	for range 620 {
		if err := ask(r.Client); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.trail.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Term.JSON = true
	if err := r.AuditQuery(t.Context(), AuditQuery{Event: "GetCallerIdentity", Max: 1000}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	lines := strings.Fields(strings.TrimSpace(strings.ReplaceAll(out.String(), " ", "_")))
	for _, l := range lines {
		seen[between(l, `"eventID":"`, `"`)] = true
	}
	if len(lines) != 620 || len(seen) != 620 {
		t.Errorf("%d records, %d different, want 620", len(lines), len(seen))
	}
	out.Reset()
	if err := r.AuditQuery(t.Context(), AuditQuery{Event: "GetCallerIdentity", Max: 7}); err != nil || strings.Count(out.String(), "\n") != 7 {
		t.Errorf("%d records, want 7 (%v)", strings.Count(out.String(), "\n"), err)
	}
}

func between(s, from, to string) string {
	_, rest, _ := strings.Cut(s, from)
	in, _, _ := strings.Cut(rest, to)
	return in
}

// iamCall is a call of IAM's query protocol; it answers the body.
func iamCall(t *testing.T, r *Remote, action, name, value string) string {
	t.Helper()
	body := "Action=" + action + "&Version=2010-05-08&" + name + "=" + value
	req, err := http.NewRequest(http.MethodPost, r.Endpoint+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := r.Do(t.Context(), "iam", req, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestBackupAndRestore: what a running server keeps, in a new directory, with the root key apart.
func TestBackupAndRestore(t *testing.T) {
	data, copied := t.TempDir(), filepath.Join(t.TempDir(), "restored")
	s := start(t, config(data))
	r, _ := command(t, data)
	iamCall(t, r, "CreateUser", "UserName", "ann")
	if err := s.events.Append(eventlog.Stream{Group: "g", Name: "s"}, 1, []eventlog.Event{{At: 1, Message: "said"}}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	if err := r.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if err := r.Backup(t.Context(), file); err == nil {
		t.Error("a backup was written over another")
	}
	root, err := os.ReadFile(filepath.Join(data, rootKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(file)
	if err != nil || bytes.Contains(saved, bytes.TrimSpace(root)) {
		t.Errorf("the backup contains the root key (%v)", err)
	}
	creds, err := os.ReadFile(filepath.Join(data, credentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), copied, file, NewTerminal(io.Discard, io.Discard, false)); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{rootKeyFile: root, credentialsFile: creds} {
		if err := os.WriteFile(filepath.Join(copied, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	restored := start(t, config(copied))
	if n, err := restored.events.Size(t.Context(), "g"); err != nil || n != int64(len("said"))+26 {
		t.Errorf("after the restore there are %d bytes of events (%v)", n, err)
	}
	again, _ := command(t, copied)
	if got := iamCall(t, again, "GetUser", "UserName", "ann"); !strings.Contains(got, "user/ann") {
		t.Errorf("after the restore: %s", got)
	}
	if err := Restore(t.Context(), copied, file, NewTerminal(io.Discard, io.Discard, false)); err == nil {
		t.Error("a backup was restored over data")
	}
}

// TestOpenCredentials: any key is the administrator's, every record and the health page say so, and
// a reset leaves an administrator alone.
func TestOpenCredentials(t *testing.T) {
	data := t.TempDir()
	cfg := config(data)
	cfg.OpenCredentials = true
	s := start(t, cfg)
	anybody := client.New(s.Address(), "eu-west-1", Credentials{AccessKeyID: "test", SecretAccessKey: "test"}.Signing())
	r := &Remote{Client: anybody, Term: NewTerminal(io.Discard, io.Discard, false)}
	iamCall(t, r, "CreateUser", "UserName", "ann")
	health, err := http.Get(s.Address() + "/_bastide/health")
	if err != nil {
		t.Fatal(err)
	}
	defer health.Body.Close()
	b, _ := io.ReadAll(health.Body)
	if !strings.Contains(string(b), `"openCredentials":true`) || !strings.Contains(string(b), `"iam":"running"`) {
		t.Errorf("health %s", b)
	}
	out, err := s.trailText(t.Context(), "CreateUser")
	if err != nil || !strings.Contains(out, "bastideOpenCredentials") {
		t.Errorf("the record does not say it: %s (%v)", out, err)
	}
	reset := func(header string) int {
		req, _ := http.NewRequest(http.MethodPost, s.Address()+"/_bastide/reset", nil)
		if header != "" {
			req.Header.Set(header, "1")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if err := s.events.Append(eventlog.Stream{Group: "g", Name: "s"}, 1, []eventlog.Event{{At: 1, Message: "said"}}); err != nil {
		t.Fatal(err)
	}
	if got := reset(""); got != 403 {
		t.Errorf("a reset without its header: %d", got)
	}
	if got := reset(resetHeader); got != 204 {
		t.Errorf("a reset: %d", got)
	}
	if n, err := s.events.Size(t.Context(), "g"); err != nil || n != 0 {
		t.Errorf("after the reset there are %d bytes of events (%v)", n, err)
	}
	if got := iamCall(t, r, "ListUsers", "MaxItems", "10"); strings.Contains(got, "ann") || !strings.Contains(got, "admin") {
		t.Errorf("after the reset: %s", got)
	}
	if err := whoami(t, data); err != nil {
		t.Errorf("the new administrator: %v", err)
	}
	if out, err := s.trailText(t.Context(), "CreateUser"); err != nil || !strings.Contains(out, "ann") {
		t.Errorf("the reset emptied the trail (%v)", err)
	}
}

// trailText is the records of an event, as JSON.
func (s *Server) trailText(ctx context.Context, event string) (string, error) {
	if err := s.trail.Flush(ctx); err != nil {
		return "", err
	}
	var out strings.Builder
	for r, err := range s.trail.Query(ctx, auditEvent(event)) {
		if err != nil {
			return "", err
		}
		if err := json.NewEncoder(&out).Encode(r); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// TestResetIsClosed unless credentials are open, by either way.
func TestResetIsClosed(t *testing.T) {
	data := t.TempDir()
	s := start(t, config(data))
	req, _ := http.NewRequest(http.MethodPost, s.Address()+"/_bastide/reset", nil)
	req.Header.Set(resetHeader, "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 403 {
		t.Errorf("a reset: %d", res.StatusCode)
	}
	if e, ok := s.Reset(t.Context(), nil).(*awserr.Error); !ok || e.Kind != awserr.AccessDenied {
		t.Errorf("Reset gave %v", e)
	}
	if err := whoami(t, data); err != nil {
		t.Error(err)
	}
}

// TestTLS: the port speaks TLS with a certificate of this machine's own authority, whose root is in
// the data directory and the same at the next start.
func TestTLS(t *testing.T) {
	data := t.TempDir()
	var roots [][]byte
	for range 2 {
		s := start(t, config(data))
		root, err := os.ReadFile(filepath.Join(data, rootFile))
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(root)
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}}
		res, err := (&http.Client{Transport: tr}).Get(strings.Replace(s.Address(), "http:", "https:", 1) + "/_bastide/health")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		tr.CloseIdleConnections()
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(roots[0], roots[1]) {
		t.Error("each start has another root")
	}
}

// TestServePrintsReady: one line when it answers; it ends cleanly with its context.
func TestServePrintsReady(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, config(t.TempDir()), "test", NewTerminal(w, io.Discard, false))
		w.Close()
	}()
	line := make([]byte, 200)
	n, err := r.Read(line)
	if err != nil || !strings.HasPrefix(string(line[:n]), "ready 127.0.0.1:") {
		t.Errorf("printed %q: %v", line[:n], err)
	}
	stop()
	rest, err := io.ReadAll(r)
	if err != nil || len(rest) != 0 {
		t.Errorf("printed more: %q %v", rest, err)
	}
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func auditEvent(name string) audit.Filter { return audit.Filter{EventName: name} }
