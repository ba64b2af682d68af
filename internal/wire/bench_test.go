package wire_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// sink is a ResponseWriter that costs nothing of its own.
type sink struct{ h http.Header }

func (s sink) Header() http.Header         { return s.h }
func (s sink) Write(b []byte) (int, error) { return len(b), nil }
func (s sink) WriteHeader(int)             {}

func benchDecode(b *testing.B, r *http.Request, body []byte) {
	rt := wire.NewRouter("us-east-1", allServices())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		routed, err := rt.Route(r, body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := routed.Decode(body, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func benchEncode(b *testing.B, r *http.Request, body []byte, out any) {
	rt := wire.NewRouter("us-east-1", allServices())
	routed, err := rt.Route(r, body)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	w := sink{http.Header{}}
	for b.Loop() {
		if err := routed.Encode(w, out, "11111111-2222-4333-8444-555555555555"); err != nil {
			b.Fatal(err)
		}
	}
}

func item() []byte {
	return []byte(`{"id":{"S":"user#1234567890"},"payload":{"S":"` + string(bytes.Repeat([]byte("x"), 400)) + `"},"n":{"N":"12345"},"tags":{"SS":["a","b","c"]}}`)
}

// BenchmarkPutItemDecode routes and decodes a PutItem of about 500 bytes.
func BenchmarkPutItemDecode(b *testing.B) {
	benchDecode(b, target("PutItem"), []byte(`{"TableName":"tasks","Item":`+string(item())+`,"ConditionExpression":"attribute_not_exists(id)","ReturnConsumedCapacity":"TOTAL"}`))
}

func BenchmarkGetItemDecode(b *testing.B) {
	benchDecode(b, target("GetItem"), []byte(`{"TableName":"tasks","Key":{"id":{"S":"user#1234567890"}},"ConsistentRead":true}`))
}

func BenchmarkGetItemEncode(b *testing.B) {
	table, units := "tasks", 0.5
	benchEncode(b, target("GetItem"), nil, &dynamodb.GetItemOutput{Item: wire.RawJSON(item()),
		ConsumedCapacity: &dynamodb.ConsumedCapacity{TableName: &table, CapacityUnits: &units}})
}

func invoke() *http.Request {
	return request("POST", local+"/2015-03-31/functions/hello/invocations", signed("eu-west-1", "lambda"), "X-Amz-Invocation-Type", "RequestResponse")
}

// BenchmarkInvokeDecode routes and decodes an Invoke of 1 KB.
func BenchmarkInvokeDecode(b *testing.B) {
	benchDecode(b, invoke(), append(bytes.Repeat([]byte(" "), 1022), "{}"...))
}

func BenchmarkInvokeEncode(b *testing.B) {
	status, version := int32(200), "$LATEST"
	benchEncode(b, invoke(), nil, &lambda.InvokeOutput{StatusCode: &status, ExecutedVersion: &version, Payload: bytes.Repeat([]byte("x"), 1024)})
}

func BenchmarkPutObjectRoute(b *testing.B) {
	benchDecode(b, request("PUT", local+"/photos/2024/a.jpg?x-id=PutObject", signed("eu-west-1", "s3"), "Content-Type", "image/jpeg"), nil)
}

func BenchmarkCreateUserDecode(b *testing.B) {
	benchDecode(b, form("iam"), []byte("Action=CreateUser&Version=2010-05-08&UserName=ann&Path=%2Fteam%2F&Tags.member.1.Key=k&Tags.member.1.Value=v"))
}

// BenchmarkNewRouter is what routing adds to the start of the process.
func BenchmarkNewRouter(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if rt := wire.NewRouter("us-east-1", allServices()); rt == nil {
			b.Fatal("no router")
		}
	}
}
