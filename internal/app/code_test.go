package app

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestCodeInS3IsStreamed: an archive in S3 goes to the disk as it is read, and is never in memory.
func TestCodeInS3IsStreamed(t *testing.T) {
	const size = 64 << 20
	cfg := config(t.TempDir())
	start(t, cfg)
	r, _ := command(t, cfg.Data)
	ctx := t.Context()
	sum := sha256.New()
	if _, err := io.CopyN(sum, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if err := r.CreateBucket(ctx, "code"); err != nil {
		t.Fatal(err)
	}
	if err := r.PutStream(ctx, "code", "k", hex.EncodeToString(sum.Sum(nil)), size, io.LimitReader(zeros{}, size)); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := r.REST(ctx, "lambda", http.MethodPost, "/2018-10-31/layers/zeros/versions", map[string]any{"Content": map[string]string{"S3Bucket": "code", "S3Key": "k"}}, nil)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "Could not unzip uploaded file.") {
		t.Errorf("an archive of zeros: %v", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > size/4 {
		t.Errorf("an archive of %d MB took %d MB of memory", size>>20, grown>>20)
	}
}
