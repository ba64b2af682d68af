package sandbox

import "github.com/bastide-cloud/bastide/internal/sandbox/cgroup"

// Bounder is an Instance whose share of the processors can be set while it runs: a start may take
// what the machine has, and what follows what its function is given.
type Bounder interface {
	// BoundCPU bounds all processes together to so many thousandths of a processor. Where
	// the machine has no controller for it, nothing is bounded, as doctor says.
	BoundCPU(thousandths int) error
}

// BoundCPU implements Bounder.
func (i *instance) BoundCPU(thousandths int) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.group == nil || i.gone {
		return nil
	}
	return i.group.Limit(cgroup.Limits{CPU: int64(thousandths)})
}

var _ Bounder = (*instance)(nil)
