package sandbox

import (
	"errors"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// Deliver implements Receiver.
func (i *instance) Deliver(d Delivery) error {
	i.control.Lock()
	defer i.control.Unlock()
	if !i.spec.Late || i.delivered {
		return errors.New("sandbox: the instance awaits no code")
	}
	i.delivered = true
	var v control.Delivery
	binds := []Bind{}
	if d.Code != "" {
		binds = append(binds, Bind{Source: d.Code, Target: "/var/task"})
	}
	fds, err := cloneTrees(binds, d.Layers)
	if err != nil {
		return err
	}
	for _, b := range binds {
		v.Mounts = append(v.Mounts, control.Mount{Target: b.Target})
	}
	v.Layers = make([]control.Mount, len(d.Layers))
	err = errors.Join(i.session.send(control.Deliver, v.Append(nil), fds), closeAll(fds))
	if err != nil {
		return err
	}
	return i.acknowledged()
}

// cloneTrees takes trees off the host, to be attached elsewhere.
func cloneTrees(binds []Bind, layers []string) ([]int, error) {
	var fds []int
	for _, l := range layers {
		binds = append(binds, Bind{Source: l})
	}
	for _, b := range binds {
		fd, err := cloneTree(b.Source)
		if err != nil {
			return nil, errors.Join(err, closeAll(fds))
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// acknowledged waits for the init's Done.
func (i *instance) acknowledged() error {
	select {
	case <-i.acks:
		return nil
	case <-i.done:
		return errEnded
	}
}

var _ Receiver = (*instance)(nil)
