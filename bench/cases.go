package main

import (
	"time"
)

// testCase is one loaded figure. Its plan makes what the calls need and says what to call.
type testCase struct {
	key, name, target string
	peer              string // who has the operation too
	single            bool   // latency alone: calls are prepared one by one
	inside            bool   // functions' processor time counts too
	bare              *hello
	plan              func(*bench, *server) (Plan, error)
}

// cases are the loaded figures, in order.
func cases() []testCase {
	return []testCase{
		{key: "identity-1", name: "GetCallerIdentity, 1 caller", peer: motoName, plan: always(Plan{Request: ready})},
		{key: "identity-32", name: "GetCallerIdentity, 32 callers", peer: motoName, plan: always(Plan{Request: ready, Callers: 32})},
		{key: "put-1", name: "PutItem, 1 caller", target: "≥ 1,500/s", peer: motoName, plan: table(Plan{Request: putItem})},
		{key: "put-64", name: "PutItem, 64 callers", target: "≥ 7,000/s", peer: motoName, plan: table(Plan{Request: putItem, Callers: 64})},
		{key: "get-32", name: "GetItem, 32 callers", target: "≥ 12,000/s", peer: motoName, plan: table(Plan{Request: getItem, Callers: 32, Of: items})},
		{key: "s3-put-1k", name: "S3 put 1 KB, 1 caller", peer: motoName, plan: bucket(put(1<<10, 1))},
		{key: "s3-put-1k-32", name: "S3 put 1 KB, 32 callers", peer: motoName, plan: bucket(put(1<<10, 32))},
		{key: "s3-get-1k", name: "S3 get 1 KB, 1 caller", peer: motoName, plan: bucket(get(1<<10, 1))},
		{key: "s3-get-1k-32", name: "S3 get 1 KB, 32 callers", peer: motoName, plan: bucket(get(1<<10, 32))},
		{key: "s3-put-10m", name: "S3 put 10 MB, 1 caller", peer: motoName, plan: bucket(put(10*mega, 1))},
		{key: "s3-get-10m", name: "S3 get 10 MB, 1 caller", peer: motoName, plan: bucket(get(10*mega, 1))},
		{key: "cold-node", name: "node hello, cold, no pool", target: "p50 ≤ 50 ms", single: true, bare: &node, plan: cold(node)},
		{key: "cold-python", name: "python hello, cold, no pool", target: "p50 ≤ 50 ms", single: true, bare: &python, plan: cold(python)},
		{key: "invoke-1", name: "Invoke 1 KB warm, node, 1 caller", target: "≥ 2 × rie", inside: true, peer: rieName, plan: invoke(node, 1)},
		{key: "invoke-32", name: "Invoke 1 KB warm, node, 32 callers", target: "≥ 8,000/s", inside: true, plan: invoke(node, 32)},
		{key: "invoke-python-1", name: "Invoke 1 KB warm, python, 1 caller", inside: true, plan: invoke(python, 1)},
		{key: "http-1", name: "HTTP API → Lambda warm, 1 caller", inside: true, plan: httpAPI(1)},
		{key: "http-32", name: "HTTP API → Lambda warm, 32 callers", inside: true, plan: httpAPI(32)},
	}
}

func always(p Plan) func(*bench, *server) (Plan, error) {
	return func(*bench, *server) (Plan, error) { return p, nil }
}

func dynamo(operation, body string) Request {
	return Request{Service: "dynamodb", Method: "POST", Path: "/", Body: body,
		Headers: map[string]string{"X-Amz-Target": "DynamoDB_20120810." + operation, "Content-Type": "application/x-amz-json-1.0"}}
}

// items are how many the table holds before it is read.
const items = 1000

var (
	putItem = dynamo("PutItem", `{"TableName":"bench","Item":{"id":{"S":"order-{n}"},"customer":{"S":"c-{n}"},"total":{"N":"{n}"},`+
		`"lines":{"L":[{"M":{"sku":{"S":"a-1"},"count":{"N":"2"}}},{"M":{"sku":{"S":"b-2"},"count":{"N":"1"}}}]},"open":{"BOOL":true}}}`)
	getItem = dynamo("GetItem", `{"TableName":"bench","Key":{"id":{"S":"order-{n}"}},"ConsistentRead":true}`)
)

// table makes the table, and items to read.
func table(p Plan) func(*bench, *server) (Plan, error) {
	return func(_ *bench, s *server) (Plan, error) {
		p.First = int(time.Now().UnixNano() % 1e9) // other keys than an earlier case's
		if s.made("table") {
			return p, nil
		}
		_, err := s.call(dynamo("CreateTable", `{"TableName":"bench","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],`+
			`"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`))
		if err != nil {
			return p, err
		}
		if err = s.control.until(dynamo("DescribeTable", `{"TableName":"bench"}`), `"ACTIVE"`, time.Now().Add(10*time.Second)); err != nil {
			return p, err
		}
		for n := range items {
			if _, _, err := s.control.do(putItem, n); err != nil {
				return p, err
			}
		}
		return p, nil
	}
}

func object(method, path string, fill int) Request {
	return Request{Service: "s3", Method: method, Path: path, Fill: fill, Headers: map[string]string{"Content-Type": "application/octet-stream"}}
}

func put(size, callers int) Plan {
	return Plan{Request: object("PUT", "/bastide-bench/put/{n}", size), Callers: callers, Of: 500, Limit: limitFor(size)}
}

func get(size, callers int) Plan {
	return Plan{Request: object("GET", "/bastide-bench/"+sizeName(size), 0), Callers: callers, Limit: limitFor(size)}
}

// limitFor keeps a fast machine from writing the disk full.
func limitFor(size int) int {
	if size > mega {
		return 60
	}
	return 0
}

func sizeName(size int) string {
	if size > mega {
		return "large"
	}
	return "small"
}

// bucket makes the bucket and the objects that are read.
func bucket(p Plan) func(*bench, *server) (Plan, error) {
	return func(_ *bench, s *server) (Plan, error) {
		if s.made("bucket") {
			return p, nil
		}
		if _, err := s.call(object("PUT", "/bastide-bench", 0)); err != nil {
			return p, err
		}
		if _, err := s.call(object("PUT", "/bastide-bench/small", 1<<10)); err != nil {
			return p, err
		}
		_, err := s.call(object("PUT", "/bastide-bench/large", 10*mega))
		return p, err
	}
}
