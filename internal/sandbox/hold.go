package sandbox

import (
	"errors"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
)

// errEnded is asking something of an instance that has ended.
var errEnded = errors.New("sandbox: the instance has ended")

// Freeze implements Instance.
func (i *instance) Freeze() error { return i.hold(true) }

// Thaw implements Instance.
func (i *instance) Thaw() error { return i.hold(false) }

// hold freezes with the kernel's freezer, or, where there is none, has the init stop every process:
// weaker, as a process can notice.
func (i *instance) hold(still bool) error {
	i.control.Lock()
	defer i.control.Unlock()
	if i.driver.can.Freeze == "" {
		return i.holdBySignal(still)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone {
		return errEnded
	}
	var err error
	if still {
		err = i.group.Freeze()
	} else {
		err = i.group.Thaw()
	}
	if err == nil {
		i.frozen = still
	}
	return err
}

func (i *instance) holdBySignal(still bool) error {
	kind := control.Continue
	if still {
		kind = control.Stop
	}
	if err := i.session.send(kind, nil, nil); err != nil {
		return errors.Join(errEnded, err)
	}
	if err := i.acknowledged(); err != nil {
		return err
	}
	i.mu.Lock()
	i.frozen = still
	i.mu.Unlock()
	return nil
}
