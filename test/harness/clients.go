package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bastide-cloud/bastide/internal/app/client"
	"github.com/bastide-cloud/bastide/internal/sigv4"
)

// tool is the path of a client that `make tools` installs.
func tool(t testing.TB, name string) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, ".tools", "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: run `make tools` first", path)
	}
	return path
}

// run runs a command against the server and gives its standard output; extra replaces settings of
// the environment. Whatever it prints beside is in the error's place when it fails.
func (s *Server) run(t testing.TB, extra []string, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(s.Env(t), extra...)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	err = cmd.Run()
	return out.String(), bad.String(), err
}

// AWS runs the aws CLI and gives its output (JSON, unless asked otherwise).
func (s *Server) AWS(t testing.TB, args ...string) string {
	t.Helper()
	out, bad, err := s.run(t, nil, tool(t, "aws"), args...)
	if err != nil {
		t.Fatalf("aws %s: %v\n%s%s", strings.Join(args, " "), err, out, bad)
	}
	return out
}

// AWSFails runs the aws CLI, wants it to fail and gives what it complained of.
func (s *Server) AWSFails(t testing.TB, args ...string) string {
	t.Helper()
	out, bad, err := s.run(t, nil, tool(t, "aws"), args...)
	if err == nil {
		t.Fatalf("aws %s did not fail:\n%s", strings.Join(args, " "), out)
	}
	return bad
}

// Python runs a script with boto3; its assertions are the test's.
func (s *Server) Python(t testing.TB, script string, extra ...string) {
	t.Helper()
	out, bad, err := s.run(t, extra, tool(t, "python3"), script)
	if err != nil {
		t.Fatalf("python3 %s: %v\n%s%s", script, err, out, bad)
	}
	t.Log(strings.TrimSpace(out))
}

// Bastide runs one of the binary's own commands on the server's directory.
func (s *Server) Bastide(t testing.TB, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return s.run(t, nil, Binary(), append(args, "--data", s.Data)...)
}

// Client signs by hand as the administrator.
func (s *Server) Client(t testing.TB) *client.Client {
	t.Helper()
	return s.As(s.Admin(t).Signing())
}

// As signs by hand with the given keys.
func (s *Server) As(c sigv4.Credentials) *client.Client {
	out := client.New(s.URL(), Region, c)
	out.HTTP = &http.Client{Timeout: patience}
	return out
}

// SDK configures aws-sdk-go-v2 as the administrator; a client tries once.
func (s *Server) SDK(t testing.TB) aws.Config {
	t.Helper()
	c := s.Admin(t)
	return aws.Config{Region: Region, BaseEndpoint: aws.String(s.URL()), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}, nil
		})}
}

// Until polls until done reports true, and fails the test when that takes too long.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !Eventually(t, done) {
		t.Fatalf("%s: not within %v", what, patience)
	}
}

// Eventually polls until done reports true; false where that takes too long.
func Eventually(t testing.TB, done func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// Answer is an HTTP answer, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Send sends a request as it is and reads the answer.
func (s *Server) Send(t testing.TB, r *http.Request) Answer {
	t.Helper()
	hc := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := hc.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{answer.StatusCode, answer.Header, string(b)}
}

// Decode reads JSON, as the CLI prints it.
func Decode[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return v
}
