package sigv4

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/base/clock"
)

// keyring is a Keys of fixed secrets; a token must be the one that belongs to the key.
type keyring map[string]Credentials

func (k keyring) Key(id, token string, _ time.Time) (Secret, error) {
	c, ok := k[id]
	if !ok {
		return Secret{}, awserr.Of(awserr.UnknownAccessKey, "The security token included in the request is invalid.")
	}
	if c.SessionToken != token {
		return Secret{}, awserr.Of(awserr.InvalidToken, "The security token included in the request is invalid.")
	}
	return Secret{Key: c.SecretAccessKey, Owner: "owner of " + id}, nil
}

// vectorDir finds the official signing test suite, which is not part of the repository.
func vectorDir(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("BASTIDE_VECTORS"); dir != "" {
		return filepath.Join(dir, "sigv4", "v4")
	}
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			found := filepath.Join(filepath.Dir(dir), "shared", "data", "sigv4", "v4")
			if _, err = os.Stat(found); err == nil {
				return found
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("set BASTIDE_VECTORS to a directory whose sigv4/v4 is tests/aws-signing-test-suite/v4 of github.com/awslabs/aws-c-auth")
	return ""
}

type vector struct {
	dir     string
	Context struct {
		Credentials struct {
			ID     string `json:"access_key_id"`
			Secret string `json:"secret_access_key"`
			Token  string `json:"token"`
		} `json:"credentials"`
		Expires   int    `json:"expiration_in_seconds"`
		Normalize bool   `json:"normalize"`
		Region    string `json:"region"`
		Service   string `json:"service"`
		SignBody  bool   `json:"sign_body"`
		Timestamp string `json:"timestamp"`
		OmitToken bool   `json:"omit_session_token"`
	}
}

func (v *vector) file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(v.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(b), "\n")
}

// request reads a request leniently: the suite has raw spaces and UTF-8 in the target and folded
// headers, which no HTTP parser lets through.
func (v *vector) request(t *testing.T, name string) (*http.Request, []byte) {
	t.Helper()
	head, body, _ := strings.Cut(v.file(t, name), "\n\n")
	sc := bufio.NewScanner(strings.NewReader(head))
	sc.Scan()
	method, rest, _ := strings.Cut(sc.Text(), " ")
	target := strings.TrimSuffix(rest, " HTTP/1.1")
	path, query, _ := strings.Cut(target, "?")
	r := &http.Request{Method: method, Header: http.Header{}, URL: &url.URL{Path: path, RawPath: path, RawQuery: query}}
	if plain, err := url.PathUnescape(path); err == nil {
		r.URL.Path = plain
	}
	last := ""
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), " ") { // obsolete folding: a space in place of the line break
			h := r.Header[last]
			h[len(h)-1] += " " + strings.TrimSpace(sc.Text())
			continue
		}
		key, value, _ := strings.Cut(sc.Text(), ":")
		if last = http.CanonicalHeaderKey(key); last == "Host" {
			r.Host = value
			continue
		}
		r.Header[last] = append(r.Header[last], value)
	}
	r.ContentLength = int64(len(body))
	return r, []byte(body)
}

func vectors(t *testing.T) map[string]*vector {
	t.Helper()
	root := vectorDir(t)
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*vector{}
	for _, e := range entries {
		v := &vector{dir: filepath.Join(root, e.Name())}
		if err := json.Unmarshal([]byte(v.file(t, "context.json")), &v.Context); err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = v
	}
	if len(all) != 38 {
		t.Fatalf("%d vectors, want 38", len(all))
	}
	return all
}

func (v *vector) parts(t *testing.T) (Credentials, *clock.Manual, pathRule) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, v.Context.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	rule := pathNormalised
	if !v.Context.Normalize {
		rule = pathAsSent
	}
	c := v.Context.Credentials
	return Credentials{c.ID, c.Secret, c.Token}, clock.NewManual(at), rule
}

func TestOfficialVectorsVerify(t *testing.T) {
	for name, v := range vectors(t) {
		creds, now, rule := v.parts(t)
		// The suite encodes paths once, and sends them unencoded: normalisation is all that differs.
		for _, kind := range []string{"header", "query"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				r, body := v.request(t, kind+"-signed-request.txt")
				verifier := New(Options{Keys: keyring{creds.AccessKeyID: creds}, Clock: now})
				svc := SigningOptions{Services: []string{v.Context.Service}, Region: v.Context.Region, TokenOutside: v.Context.OmitToken}
				got, err := verifier.verify(r, body, svc, rule)
				if err != nil {
					t.Fatal(err)
				}
				if got.AccessKeyID() != creds.AccessKeyID || got.Presigned() != (kind == "query") || got.Owner() != "owner of AKIDEXAMPLE" ||
					!got.SignedAt().Equal(now.Now()) || got.SessionToken() != creds.SessionToken {
					t.Errorf("verified %+v", got.c)
				}
				r.Method = "PUT"
				if _, err := verifier.verify(r, body, svc, rule); !isKind(err, awserr.SignatureDoesNotMatch) {
					t.Errorf("with another method: %v", err)
				}
			})
		}
	}
}

func TestOfficialVectorsSign(t *testing.T) {
	for name, v := range vectors(t) {
		creds, now, rule := v.parts(t)
		s := NewSigner(Signing{Credentials: creds, Region: v.Context.Region, Service: v.Context.Service, Clock: now,
			HashHeader: v.Context.SignBody, TokenOutside: v.Context.OmitToken})
		s.rule = rule
		t.Run(name+"/header", func(t *testing.T) {
			r, body := v.request(t, "request.txt")
			if err := s.Sign(r, body); err != nil {
				t.Fatal(err)
			}
			_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			v.compare(t, s, "header", signature)
			want, _ := v.request(t, "header-signed-request.txt")
			if got := r.Header.Get("Authorization"); got != want.Header.Get("Authorization") {
				t.Errorf("Authorization\n%s\nwant\n%s", got, want.Header.Get("Authorization"))
			}
		})
		t.Run(name+"/query", func(t *testing.T) {
			r, body := v.request(t, "request.txt")
			signed, err := s.Presign(r, body, time.Duration(v.Context.Expires)*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			_, signature, _ := strings.Cut(signed, "X-Amz-Signature=")
			v.compare(t, s, "query", signature)
		})
	}
}

// compare looks at what the signer left in its scratch.
func (v *vector) compare(t *testing.T, s *Signer, kind, signature string) {
	t.Helper()
	if want := v.file(t, kind+"-signature.txt"); signature != want {
		t.Errorf("signature %s, want %s", signature, want)
	}
	if w, ok := s.scratch.Get().(*scratch); ok && len(w.buf) > 0 {
		if got, want := string(w.buf), v.file(t, kind+"-canonical-request.txt"); got != want {
			t.Errorf("canonical request\n%s\nwant\n%s", got, want)
		}
		if got, want := string(w.sts), v.file(t, kind+"-string-to-sign.txt"); got != want {
			t.Errorf("string to sign\n%s\nwant\n%s", got, want)
		}
	}
}

func isKind(err error, kind awserr.Kind) bool {
	e, ok := err.(*awserr.Error)
	return ok && e.Kind == kind
}
