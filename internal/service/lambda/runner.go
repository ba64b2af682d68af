package lambda

import (
	"context"

	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

// Runner runs functions in sandboxes; *fleet.Fleet is one.
type Runner interface {
	// Invoke runs one event. What the function does wrong is in the Outcome; an error says that
	// it did not run.
	Invoke(ctx context.Context, f fleet.Function, e fleet.Event) (fleet.Outcome, error)
	// Keep says which versions are to have instances ready, all of them.
	Keep(wishes []fleet.Wish)
	// Ready is how far the wish for a version has been fulfilled.
	Ready(functionARN, version string) fleet.Readiness
	// Retire ends what waits for a function's next event: the function is gone.
	Retire(functionARN string)
	// Stats are a function's figures since the start.
	Stats(functionARN string) fleet.Stats
}
