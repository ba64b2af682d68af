package app

import (
	"bytes"
	"context"
	"os"
	"testing"
)

func TestCoveragePageIsThatOfTheTables(t *testing.T) {
	have, err := os.ReadFile("../../docs/coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := Coverage(context.Background(), &want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want.Bytes()) {
		t.Error("docs/coverage.md is not what the tables say: run make coverage")
	}
}
