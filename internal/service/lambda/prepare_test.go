package lambda

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	api "github.com/bastide-cloud/bastide/internal/api/lambda"
)

// At its start the service makes every runtime ready that a function has, each once, and a missing one
// does not keep it from the others.
func TestRuntimesArePreparedAtTheStart(t *testing.T) {
	r := newRig(t)
	for name, runtime := range map[string]string{"one": "python3.12", "two": "nodejs22.x", "three": "python3.12", "four": "nodejs20.x"} {
		r.create(name, func(in *api.CreateFunctionInput) { in.Runtime = &runtime })
	}
	var mu sync.Mutex
	var asked []string
	done := make(chan struct{})
	r.service.Runtime = func(_ context.Context, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if asked = append(asked, name); len(asked) == 3 {
			close(done)
		}
		if name == "nodejs20.x" {
			return errors.New("not on this machine")
		}
		return nil
	}
	r.background()
	<-done
	mu.Lock()
	first := slices.Clone(asked)
	mu.Unlock()
	if !slices.Equal(first, []string{"nodejs20.x", "nodejs22.x", "python3.12"}) {
		t.Errorf("got %v", first)
	}
	if err := r.service.prepare(t.Context(), r.gate); err == nil || !strings.Contains(err.Error(), "nodejs20.x: not on this machine") {
		t.Errorf("got %v", err)
	}
}
