package promises

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/bastide-cloud/bastide/internal/app/client"
	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/internal/sigv4"
	"github.com/bastide-cloud/bastide/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPromise1ClosedByDefault: no key but the made one opens anything; what no policy allows is
// denied; the keys are the owner's alone.
func TestPromise1ClosedByDefault(t *testing.T) {
	s := harness.Start(t)
	for _, keys := range []sigv4.Credentials{{AccessKeyID: "test", SecretAccessKey: "test"}, {AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		{AccessKeyID: harness.Account, SecretAccessKey: "test"}} {
		if err := s.As(keys).Query(t.Context(), "sts", "2011-06-15", "GetCallerIdentity", nil, nil); err == nil {
			t.Errorf("the invented key %s is somebody", keys.AccessKeyID)
		}
	}
	info, err := os.Stat(filepath.Join(s.Data, "credentials.json"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the credentials file has mode %v", info.Mode())
	}
	nobody := newUser(t, s, "nobody")
	for name, call := range map[string]func(*client.Client) error{
		"json":  func(c *client.Client) error { return list(c) },
		"query": func(c *client.Client) error { return c.Query(t.Context(), "iam", "2010-05-08", "ListUsers", nil, nil) },
		"rest-json": func(c *client.Client) error {
			return c.REST(t.Context(), "bastide", http.MethodGet, "/_bastide/v1/status", nil, nil)
		},
		"rest-xml": func(c *client.Client) error { return c.CreateBucket(t.Context(), "promise-one") },
	} {
		if err := call(s.As(nobody)); !client.Is(err, "AccessDenied", "AccessDeniedException") {
			t.Errorf("%s: a user without policies: %v", name, err)
		}
	}
	answer := get(t, s.URL()+"/_bastide/health")
	if !strings.Contains(answer, `"openCredentials":false`) {
		t.Errorf("the health page: %s", answer)
	}
}

func newUser(t *testing.T, s *harness.Server, name string) sigv4.Credentials {
	t.Helper()
	c := s.Client(t)
	must(t, c.Query(t.Context(), "iam", "2010-05-08", "CreateUser", url.Values{"UserName": {name}}, nil))
	var out struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	must(t, c.Query(t.Context(), "iam", "2010-05-08", "CreateAccessKey", url.Values{"UserName": {name}}, &out))
	return sigv4.Credentials{AccessKeyID: out.ID, SecretAccessKey: out.Secret}
}

func list(c *client.Client) error {
	return c.JSON(context.Background(), "dynamodb", "DynamoDB_20120810.ListTables", map[string]any{}, nil)
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	must(t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(t, err)
	return string(b)
}

// TestPromise2OneDoor: what the server does by itself passes the door as what a client asks for
// does: each leaves a record of its principal.
func TestPromise2OneDoor(t *testing.T) {
	s := harness.Start(t)
	must(t, list(s.Client(t)))
	byItself := s.Recorded(t, "the making of the administrator", url.Values{"eventName": {"CreateUser"}}, func(r audit.Record) bool { return r.ErrorCode == "" })
	if byItself.UserIdentity.Type != "Root" || byItself.UserIdentity.ARN != "arn:aws:iam::"+harness.Account+":root" {
		t.Errorf("the server made its administrator as %+v", byItself.UserIdentity)
	}
	asked := s.Recorded(t, "a client's call", url.Values{"eventName": {"ListTables"}}, func(r audit.Record) bool { return r.ErrorCode == "" })
	if asked.UserIdentity.UserName != "admin" || asked.SourceIPAddress != "127.0.0.1" || asked.RequestID == "" {
		t.Errorf("a client's call: %+v", asked)
	}
	out, bad, err := s.Bastide(t, "audit", "query", "--event", "ListTables", "--output", "json")
	if err != nil || !strings.Contains(out, `"ListTables"`) {
		t.Fatalf("the command: %v %s%s", err, out, bad)
	}
	s.Recorded(t, "the command's own call", url.Values{"eventName": {"QueryAudit"}}, func(r audit.Record) bool { return r.UserIdentity.UserName == "admin" })
}

// TestPromise3NoChangeWithoutRecord: where the trail cannot be written, the change fails and
// leaves nothing behind.
func TestPromise3NoChangeWithoutRecord(t *testing.T) {
	s := harness.Start(t)
	c := s.Client(t)
	must(t, createTable(c, "before"))
	s.Stop(t)
	open(t, s.Data, func(db *sql.DB) {
		_, err := db.Exec(`CREATE TRIGGER no_records BEFORE INSERT ON kv WHEN substr(NEW.k, 1, 14) = ` + recordPrefix + ` BEGIN SELECT RAISE(ABORT, 'the trail cannot be written'); END`)
		must(t, err)
	})
	s.Restart(t)
	c = s.Client(t)
	if err := createTable(c, "after"); err == nil {
		t.Fatal("a table was made without a record")
	}
	s.Kill(t)
	open(t, s.Data, func(db *sql.DB) {
		_, err := db.Exec(`DROP TRIGGER no_records`)
		must(t, err)
	})
	s.Restart(t)
	var out struct{ TableNames []string }
	must(t, s.Client(t).JSON(t.Context(), "dynamodb", "DynamoDB_20120810.ListTables", map[string]any{}, &out))
	if len(out.TableNames) != 1 || out.TableNames[0] != "before" {
		t.Errorf("after a change without a record there are the tables %v", out.TableNames)
	}
}

func createTable(c *client.Client, name string) error {
	return c.JSON(context.Background(), "dynamodb", "DynamoDB_20120810.CreateTable", map[string]any{"TableName": name, "BillingMode": "PAY_PER_REQUEST",
		"KeySchema":            []map[string]string{{"AttributeName": "id", "KeyType": "HASH"}},
		"AttributeDefinitions": []map[string]string{{"AttributeName": "id", "AttributeType": "S"}}}, nil)
}

// TestPromise3TamperedTrail: a record that is deleted, altered or moved is found.
func TestPromise3TamperedTrail(t *testing.T) {
	s := harness.Start(t)
	c := s.Client(t)
	for n := range 20 {
		must(t, createTable(c, fmt.Sprintf("table-%d", n)))
	}
	harness.Until(t, "a head over every table's record", func() bool {
		var head struct{ Head string }
		err := c.REST(t.Context(), "bastide", http.MethodGet, "/_bastide/v1/audit/head", nil, &head)
		if err != nil && !client.Is(err, "NotFoundException") {
			t.Fatal(err)
		}
		return headed(t, head.Head) > 20
	})
	s.Stop(t)
	seventh, eighth := nth(7), nth(8)
	for name, change := range map[string]string{
		"nothing": "",
		"deleted": `DELETE FROM kv WHERE id = ` + eighth,
		"altered": `UPDATE kv SET v = CAST(replace(CAST(v AS TEXT), 'table', 'tabel') AS BLOB) WHERE id = ` + eighth,
		"moved": `UPDATE kv SET v = CASE id WHEN ` + seventh + ` THEN (SELECT v FROM kv WHERE id = ` + eighth + `)
			ELSE (SELECT v FROM kv WHERE id = ` + seventh + `) END WHERE id IN (` + seventh + `, ` + eighth + `)`,
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "copy")
			copyOf(t, data, s.Data)
			if change != "" {
				open(t, data, func(db *sql.DB) {
					result, err := db.Exec(change)
					must(t, err)
					if n, err := result.RowsAffected(); err != nil || n == 0 {
						t.Fatalf("%d rows were changed: %v", n, err)
					}
				})
			}
			tampered := harness.StartAt(t, data)
			out, bad, err := tampered.Bastide(t, "audit", "verify")
			if (err == nil) != (change == "") {
				t.Errorf("audit verify: %v\n%s%s", err, out, bad)
			}
		})
	}
}

// TestPromise4NothingAcknowledgedIsLost: kill -9 at any moment keeps what was answered, and the
// trail intact.
func TestPromise4NothingAcknowledgedIsLost(t *testing.T) {
	s := harness.Start(t)
	must(t, createTable(s.Client(t), "kept"))
	var acknowledged []string
	for round := range 4 {
		var mu sync.Mutex
		var writers sync.WaitGroup
		c := s.Client(t)
		enough := make(chan struct{}, 1)
		for w := range 4 {
			writers.Go(func() {
				for n := 0; ; n++ {
					id := fmt.Sprintf("%d-%d-%d", round, w, n)
					if c.JSON(context.Background(), "dynamodb", "DynamoDB_20120810.PutItem", map[string]any{"TableName": "kept", "Item": map[string]any{"id": map[string]string{"S": id}}}, nil) != nil {
						return // the server is gone
					}
					mu.Lock()
					acknowledged = append(acknowledged, id)
					if len(acknowledged) == 60*(round+1) {
						enough <- struct{}{}
					}
					mu.Unlock()
				}
			})
		}
		<-enough
		s.Kill(t)
		writers.Wait()
		s.Restart(t)
	}
	c := s.Client(t)
	for _, id := range acknowledged {
		var out struct{ Item map[string]any }
		must(t, c.JSON(t.Context(), "dynamodb", "DynamoDB_20120810.GetItem", map[string]any{"TableName": "kept", "Key": map[string]any{"id": map[string]string{"S": id}}}, &out))
		if out.Item == nil {
			t.Errorf("the item %s was acknowledged and is gone", id)
		}
	}
	if out, bad, err := s.Bastide(t, "audit", "verify"); err != nil {
		t.Errorf("audit verify after %d kills: %v\n%s%s", 4, err, out, bad)
	}
	puts := 0
	for _, id := range []string{acknowledged[0], acknowledged[len(acknowledged)-1]} {
		for _, r := range s.Records(t, url.Values{"eventName": {"PutItem"}}) {
			if strings.Contains(string(r.RequestParameters), id) || r.ErrorCode == "" {
				puts++
				break
			}
		}
	}
	if puts != 2 {
		t.Errorf("the trail lacks records of acknowledged writes")
	}
}

// TestPromise5RefusalsExplain: policy, statement, failing element and the smallest statement that
// would allow, to who may know; the refused one learns no more than AWS tells.
func TestPromise5RefusalsExplain(t *testing.T) {
	s := harness.Start(t)
	ann := newUser(t, s, "ann")
	must(t, s.Client(t).Query(t.Context(), "iam", "2010-05-08", "PutUserPolicy", url.Values{"UserName": {"ann"}, "PolicyName": {"own"}, "PolicyDocument": {
		`{"Version":"2012-10-17","Statement":[{"Sid":"Mine","Effect":"Allow","Action":"dynamodb:CreateTable","Resource":"arn:aws:dynamodb:*:*:table/mine-*"}]}`}}, nil))
	must(t, createTable(s.As(ann), "mine-1"))
	err := createTable(s.As(ann), "yours-1")
	var refusal *client.Error
	if !errors.As(err, &refusal) || refusal.Code != "AccessDeniedException" || refusal.RequestID == "" {
		t.Fatalf("another table: %v", err)
	}
	if !strings.Contains(refusal.Message, "user/ann is not authorized to perform: dynamodb:CreateTable on resource: arn:aws:dynamodb:us-east-1:"+harness.Account+":table/yours-1") ||
		strings.Contains(refusal.Message, "mine-") {
		t.Errorf("the refusal: %s", refusal.Message)
	}
	out, bad, err := s.Bastide(t, "why", refusal.RequestID)
	must(t, err)
	for _, want := range []string{"own", "Mine", "Resource", "mine-*", "yours-1", `"Action":`, `"Effect":"Allow"`, "dynamodb:CreateTable"} {
		if !strings.Contains(out, want) {
			t.Errorf("why does not name %s:\n%s%s", want, out, bad)
		}
	}
	err = s.As(ann).REST(t.Context(), "bastide", http.MethodGet, "/_bastide/v1/requests/"+refusal.RequestID, nil, nil)
	if !client.Is(err, "AccessDenied", "AccessDeniedException") {
		t.Errorf("who may not know asked why: %v", err)
	}
}

// TestPromise7WhatIsNotBuiltSaysSo: operations that AWS has and Bastide has not answer
// NotImplemented, in every protocol; what AWS does not have is unknown.
func TestPromise7WhatIsNotBuiltSaysSo(t *testing.T) {
	s := harness.Start(t)
	c := s.Client(t)
	for name, err := range map[string]error{
		"json":            c.JSON(t.Context(), "dynamodb", "DynamoDB_20120810.CreateGlobalTable", map[string]any{}, nil),
		"query":           c.Query(t.Context(), "iam", "2010-05-08", "CreateSAMLProvider", nil, nil),
		"rest-json":       c.REST(t.Context(), "lambda", http.MethodGet, "/2025-11-30/capacity-providers", nil, nil),
		"another service": c.JSON(t.Context(), "kinesis", "Kinesis_20131202.ListStreams", map[string]any{}, nil),
	} {
		if !client.Is(err, "NotImplemented") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.JSON(t.Context(), "dynamodb", "DynamoDB_20120810.MakeCoffee", map[string]any{}, nil); !client.Is(err, "UnknownOperationException") {
		t.Errorf("what AWS does not have: %v", err)
	}
	s.Recorded(t, "what is not built", url.Values{"eventName": {"CreateGlobalTable"}}, func(r audit.Record) bool { return r.ErrorCode == "NotImplemented" })
}

// recordPrefix begins the keys of the trail's records: "audit", NUL, "records", NUL.
const recordPrefix = `x'6175646974007265636f72647300'`

// nth is the row of the trail's nth record.
func nth(n int) string {
	return fmt.Sprintf(`(SELECT id FROM kv WHERE substr(k, 1, 14) = %s ORDER BY k LIMIT 1 OFFSET %d)`, recordPrefix, n)
}

// headed is how many records a head covers; no head covers none.
func headed(t *testing.T, head string) int64 {
	t.Helper()
	if head == "" {
		return 0
	}
	return harness.Decode[struct{ Records int64 }](t, head).Records
}

// copyOf copies a data directory with its files' modes.
func copyOf(t *testing.T, to, from string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	}))
}

// open opens the database of a stopped server.
func open(t *testing.T, data string, use func(*sql.DB)) {
	t.Helper()
	path := filepath.Join(data, "bastide.db")
	_, err := os.Stat(path)
	must(t, err)
	db, err := sql.Open("sqlite", path)
	must(t, err)
	use(db)
	must(t, db.Close())
}
