package fleet

import (
	"fmt"

	"github.com/bastide-cloud/bastide/internal/sandbox"
)

// memoryPerCPU is how much memory comes with one processor's worth of time, in MB (Lambda developer
// guide, "Configure Lambda function memory").
const memoryPerCPU = 1769

// thousandths is the share of a processor that comes with a function's memory.
func thousandths(memoryMB int) int { return max(1, memoryMB*1000/memoryPerCPU) }

// bound gives an instance the share of the processors that its memory comes with. Until it is ready
// it had what the machine has, as on Lambda the initialisation has more than what follows.
func (i *instance) bound() error {
	b, ok := i.box.(sandbox.Bounder)
	if !ok {
		return nil // doctor says which drivers do not bound processors
	}
	if err := b.BoundCPU(thousandths(i.fn.MemoryMB)); err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	return nil
}
