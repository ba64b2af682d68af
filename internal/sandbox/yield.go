package sandbox

import "time"

// A function that computes for long gives way to those that are called and answer: who used more than
// a quarter of a processor's time between two looks, as many do on a busy machine, has a tenth of the others' weight
// until it uses less than a tenth. Alone on the machine it loses nothing by that, and beside its like neither.
const (
	assess    = 4 * glance
	greedy    = assess / 4
	temperate = assess / 10
)

// appetite is how an instance uses the processor.
type appetite struct {
	used  time.Duration // when last assessed
	known bool
	gives bool // it gives way
}

// assessCPU sets an instance's weight after what it used since the last time. Where the kernel does not
// tell, or has no weights, nothing changes.
func (i *instance) assessCPU() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone || i.frozen || i.waits || i.group == nil {
		return
	}
	now, err := i.group.Used()
	if err != nil {
		return
	}
	a := &i.appetite
	used := now - a.used
	a.used = now
	if !a.known {
		a.known = true
		return
	}
	if used > greedy && !a.gives || used < temperate && a.gives {
		// it fails where the sandbox is about to end
		if i.group.Yield(!a.gives) == nil {
			a.gives = !a.gives
		}
	}
}
