package events

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// program counts each event in a table, through its own door, with its role's keys. It needs nothing
// beside the interpreter: tests fetch no SDK.
const program = `
import datetime, hashlib, hmac, json, os, urllib.request

def call(target, body):
    url, region, env = os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_REGION"], os.environ
    data = json.dumps(body).encode()
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    host = url.split("//")[1].rstrip("/")
    headers = {"content-type": "application/x-amz-json-1.0", "host": host, "x-amz-date": now, "x-amz-security-token": env["AWS_SESSION_TOKEN"], "x-amz-target": "DynamoDB_20120810." + target}
    names = ";".join(sorted(headers))
    canonical = "\n".join(["POST", "/", "", *[f"{k}:{headers[k]}" for k in sorted(headers)], "", names, hashlib.sha256(data).hexdigest()])
    scope = f"{now[:8]}/{region}/dynamodb/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + env["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in (now[:8], region, "dynamodb", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={env['AWS_ACCESS_KEY_ID']}/{scope}, SignedHeaders={names}, Signature={signature}"
    return urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20).read()

def handler(event, context):
    call("UpdateItem", {"TableName": "ran", "Key": {"pk": {"S": event["id"]}}, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}})
`

// rig is a server that comes and goes, with a function and the table that it counts in.
type rig struct {
	*testing.T
	s  *harness.Server
	mu sync.RWMutex // held for writing while the server is down
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, s: harness.Start(t)}
	ctx := t.Context()
	c := r.s.Client(t)
	out, err := exec.CommandContext(ctx, "python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])").Output()
	r.must(err)
	r.must(c.JSON(ctx, "dynamodb", "DynamoDB_20120810.CreateTable", map[string]any{"TableName": "ran", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []any{map[string]any{"AttributeName": "pk", "AttributeType": "S"}}, "KeySchema": []any{map[string]any{"AttributeName": "pk", "KeyType": "HASH"}}}, nil))
	r.must(c.Query(ctx, "iam", "2010-05-08", "CreateRole", map[string][]string{"RoleName": {"counter"},
		"AssumeRolePolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}}, nil))
	r.must(c.Query(ctx, "iam", "2010-05-08", "PutRolePolicy", map[string][]string{"RoleName": {"counter"}, "PolicyName": {"count"},
		"PolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:UpdateItem","Resource":"*"}]}`}}, nil))
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	w, err := z.Create("app.py")
	r.must(err)
	_, err = w.Write([]byte(program))
	r.must(err)
	r.must(z.Close())
	r.must(c.REST(ctx, "lambda", http.MethodPost, "/2015-03-31/functions", map[string]any{"FunctionName": "counter", "Runtime": strings.TrimSpace(string(out)), "Handler": "app.handler",
		"Role": "arn:aws:iam::" + harness.Account + ":role/counter", "Timeout": 30, "Code": map[string]any{"ZipFile": code.Bytes()}}, nil))
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// send queues one event and reports whether it was accepted. A server that is killed meanwhile gives no answer.
func (r *rig) send(ctx context.Context, id string) (bool, error) {
	r.mu.RLock() // while the server is down nobody calls it
	c := r.s.Client(r)
	r.mu.RUnlock()
	body := []byte(fmt.Sprintf(`{"id":%q}`, id))
	req, err := http.NewRequest(http.MethodPost, c.Endpoint+"/2015-03-31/functions/counter/invocations", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("X-Amz-Invocation-Type", "Event")
	answer, err := c.Do(ctx, "lambda", req, body)
	if err != nil {
		return false, nil
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		return false, fmt.Errorf("status %s", answer.Status)
	}
	return true, nil
}

// ran counts the runs of each event.
func (r *rig) ran() map[string]int {
	r.Helper()
	out := map[string]int{}
	var from map[string]any
	for {
		var page struct {
			Items []struct {
				PK struct{ S string }
				N  struct{ N json.Number }
			}
			LastEvaluatedKey map[string]any
		}
		in := map[string]any{"TableName": "ran", "ConsistentRead": true}
		if from != nil {
			in["ExclusiveStartKey"] = from
		}
		r.must(r.s.Client(r).JSON(context.Background(), "dynamodb", "DynamoDB_20120810.Scan", in, &page))
		for _, i := range page.Items {
			n, err := i.N.N.Int64()
			r.must(err)
			out[i.PK.S] = int(n)
		}
		if from = page.LastEvaluatedKey; from == nil {
			return out
		}
	}
}

// killed kills the server at random moments until stop is closed.
func (r *rig) killed(random *rand.Rand, stop <-chan struct{}) (kills int) {
	for {
		select {
		case <-stop:
			return kills
		case <-time.After(time.Duration(300+random.IntN(2500)) * time.Millisecond):
		}
		func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.s.Kill(r)
			r.s.Restart(r)
		}()
		kills++
	}
}

// TestNoAcceptedEventIsLost kills the server again and again while events come in and are delivered.
// BASTIDE_SOAK=1 makes it twenty times as many.
func TestNoAcceptedEventIsLost(t *testing.T) {
	events, rounds := 1000, 1
	if os.Getenv("BASTIDE_SOAK") != "" {
		rounds = 20
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t)
	begun := time.Now()
	for round := range rounds {
		accepted, kills := r.round(random, round, events)
		got := r.awaited(accepted)
		runs, others := 0, 0
		for id, n := range got {
			if _, ok := accepted[id]; ok {
				runs += n
			} else if strings.HasPrefix(id, fmt.Sprintf("%d-", round)) {
				others++
			}
		}
		if len(accepted) != events || kills < 3 {
			t.Fatalf("%d accepted, %d kills: the test has shown nothing", len(accepted), kills)
		}
		if others > 0 {
			t.Errorf("%d events ran that nobody sent", others)
		}
		t.Logf("round %d: %d accepted, %d runs, %d kills, %v", round, len(accepted), runs, kills, time.Since(begun).Round(time.Second))
	}
}

// awaited waits until each accepted event has run, for as long as more of them do.
func (r *rig) awaited(accepted map[string]bool) (got map[string]int) {
	r.Helper()
	for left := len(accepted) + 1; left > 0; {
		before := left
		harness.Until(r, "one more of the accepted events runs", func() bool {
			got, left = r.ran(), 0
			for id := range accepted {
				if got[id] == 0 {
					left++
				}
			}
			return left < before
		})
	}
	return got
}

// round sends a number of events, each until it is accepted, under kills that go on for as long again.
func (r *rig) round(random *rand.Rand, round, events int) (accepted map[string]bool, kills int) {
	accepted = map[string]bool{}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { done <- n }()
		n = r.killed(random, stop)
	}()
	var mu sync.Mutex
	var next atomic.Int32
	var senders sync.WaitGroup
	begun := time.Now()
	for range 16 {
		senders.Go(func() {
			for i := int(next.Add(1)); i <= events; i = int(next.Add(1)) {
				id := fmt.Sprintf("%d-%d", round, i)
				for ok := false; !ok; {
					var err error
					if ok, err = r.send(r.Context(), id); err != nil {
						r.Error(err)
						return
					}
				}
				mu.Lock()
				accepted[id] = true
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	// The events are delivered under kills too, not only accepted.
	<-time.After(max(time.Since(begun), 5*time.Second))
	close(stop)
	return accepted, <-done
}
