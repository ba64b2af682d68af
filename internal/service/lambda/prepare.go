package lambda

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// prepare makes the runtimes of all functions ready to start, so that the first call after an update
// of Bastide or of the machine does not wait for it. Creating a function does the same for its own.
func (s *Service) prepare(ctx context.Context, g *gate.Gate) error {
	if s.Runtime == nil {
		return nil
	}
	names := map[string]bool{}
	err := job(g, "", "").View(ctx, func(tx *store.Tx) error {
		clear(names)
		for e, err := range s.t.versions.Scan(tx, store.Key{}, store.Range{}) {
			if err != nil {
				return err
			}
			if e.Value.Image == nil {
				names[e.Value.Runtime] = true
			}
		}
		return nil
	})
	errs := []error{err}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := s.Runtime(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
