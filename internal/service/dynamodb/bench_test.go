package dynamodb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/store"
)

// The service behind router, codecs, gate and store, without sockets and signatures: what is left
// of a request when front has done its part.

func benchRig(b *testing.B) *rig {
	r := newRigOn(b, store.Options{})
	r.ok("CreateTable", simple, "")
	for i := range 1000 {
		r.ok("PutItem", benchPut(i), "")
	}
	return r
}

func benchPut(i int) string {
	return fmt.Sprintf(`{"TableName":"simple","Item":{"pk":{"S":"key-%d"},"n":{"N":"%d"},"tags":{"SS":["a","b"]},"pad":{"S":"%s"}}}`, i%1000, i, strings.Repeat("x", 200))
}

func BenchmarkPutItem(b *testing.B) {
	r := benchRig(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if code, body := r.send("PutItem", benchPut(i)); code != 200 {
				b.Error(body)
			}
		}
	})
}

func BenchmarkGetItem(b *testing.B) {
	r := benchRig(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if code, body := r.send("GetItem", fmt.Sprintf(`{"TableName":"simple","Key":{"pk":{"S":"key-%d"}}}`, i%1000)); code != 200 {
				b.Error(body)
			}
		}
	})
}

func BenchmarkUpdateItem(b *testing.B) {
	r := benchRig(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			body := fmt.Sprintf(`{"TableName":"simple","Key":{"pk":{"S":"key-%d"}},"UpdateExpression":"SET hits = if_not_exists(hits, :z) + :o","ExpressionAttributeValues":{":z":{"N":"0"},":o":{"N":"1"}}}`, i%1000)
			if code, body := r.send("UpdateItem", body); code != 200 {
				b.Error(body)
			}
		}
	})
}

func BenchmarkQuery(b *testing.B) {
	r := newRigOn(b, store.Options{})
	r.ok("CreateTable", orders, "")
	for i := range 100 {
		r.ok("PutItem", fmt.Sprintf(`{"TableName":"orders","Item":{"pk":{"S":"a"},"sk":{"N":"%d"},"note":{"S":"%s"}}}`, i, strings.Repeat("x", 200)), "")
	}
	b.ReportAllocs()
	for b.Loop() {
		if code, body := r.send("Query", `{"TableName":"orders","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"a"}}}`); code != 200 {
			b.Error(body)
		}
	}
}
