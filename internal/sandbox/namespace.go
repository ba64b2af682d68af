package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/cgroup"
	"github.com/bastide-cloud/bastide/internal/sandbox/rights"
	"github.com/bastide-cloud/bastide/internal/sandbox/seccomp"
)

// Config is how to isolate.
type Config struct {
	// Waive names layers without which sandboxes may start nevertheless: "user" (only as root),
	// "ipc", "uts", "cgroup", "proc", "seccomp". The others are what a sandbox is.
	Waive []string
	// Init is the init's program; nil: the one that was built into this binary.
	Init []byte
	// Subordinate gives an ordinary user's sandboxes subordinate ids, where there are any. No server asks for
	// it yet: see decision 0048.
	Subordinate bool
}

// waivable are the layers that a Config may waive.
var waivable = []string{"user", "ipc", "uts", "cgroup", "proc", "seccomp"}

// Namespace isolates with the kernel's namespaces; see the package comment.
type Namespace struct {
	waived   map[string]bool
	root     bool  // it has the powers of root
	users    users // of sandboxes; under mu
	noUsers  error // why they have none of their own
	initFD   int
	null     *os.File
	host     *cgroup.Host
	can      cgroup.Abilities
	filter   []byte
	landlock int // its version; 0 for none
	launcher *launcher
	watch    *watch
	cores    cores

	bytesOnly func(rights.Socket, func()) (*rights.End, error) // rights.Refuse

	mu     sync.Mutex
	living map[string]*instance
	broods []*brood // whose nests take more
	closed bool

	tryForks sync.Once
	noForks  error // read after tryForks
}

// New prepares the driver: finds what the machine gives, sweeps what a killed Bastide left, loads the
// init. It does not try to start a sandbox; Doctor does.
func New(c Config) (*Namespace, error) {
	n := &Namespace{
		waived: map[string]bool{},
		living: map[string]*instance{},
		root:   privileged(), landlock: landlockVersion(),
		bytesOnly: rights.Refuse,
	}
	for _, w := range c.Waive {
		if !slices.Contains(waivable, w) {
			return nil, fmt.Errorf("sandbox: the layer %q cannot be waived; %v can", w, waivable)
		}
		n.waived[w] = true
	}
	if n.waived["user"] && !n.root {
		return nil, errors.New("sandbox: without root, everything rests on the user namespace; it cannot be waived")
	}
	if !n.waived["seccomp"] {
		n.filter = seccomp.Filter()
	}
	var err error
	if n.host, err = cgroup.Open(); err != nil {
		return nil, err
	}
	n.can = n.host.Abilities()
	if n.null, err = os.OpenFile("/dev/null", os.O_RDWR, 0); err != nil {
		return nil, errors.Join(err, n.host.Close())
	}
	if n.initFD, err = loadInit(c.Init); err != nil {
		return nil, errors.Join(err, n.null.Close(), n.host.Close())
	}
	if err = n.startLaunching(c.Subordinate); err != nil {
		return nil, errors.Join(err, unix.Close(n.initFD), n.null.Close(), n.host.Close())
	}
	n.watch = newWatch()
	return n, nil
}

// Name is "namespace".
func (n *Namespace) Name() string { return "namespace" }

// Close kills every instance and gives up what the driver holds.
func (n *Namespace) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	var left []*instance
	for _, i := range n.living {
		left = append(left, i)
	}
	n.mu.Unlock()
	var errs []error
	for _, i := range left {
		i.kill() // all, before any is waited for: a nest ends after those in it
	}
	for _, i := range left {
		errs = append(errs, i.Kill())
	}
	n.watch.close()
	n.cores.close()
	return errors.Join(append(errs, n.launcher.close(), unix.Close(n.initFD), n.null.Close(), n.host.Close())...)
}

// Start implements Driver.
func (n *Namespace) Start(ctx context.Context, spec Spec) (Instance, error) {
	spec = spec.withDefaults()
	if err := spec.check(); err != nil {
		return nil, &StartError{ID: spec.ID, Stage: "check the specification", Err: err}
	}
	i := newInstance(n, spec)
	if spec.Fork {
		if err := n.nestle(ctx, i); err != nil {
			return nil, &StartError{ID: spec.ID, Stage: "make the nest", Err: err}
		}
	}
	return n.begin(ctx, i)
}

// begin starts an instance.
func (n *Namespace) begin(ctx context.Context, i *instance) (Instance, error) {
	spec := i.spec
	if err := n.admit(i); err != nil {
		i.leaveNest()
		return nil, &StartError{ID: spec.ID, Stage: "admit", Err: err}
	}
	if err := i.launch(); err != nil {
		i.leaveNest()
		return nil, errors.Join(err, i.cleanUp())
	}
	go i.run()
	if i.fork.from != nil {
		go i.populate(ctx)
	}
	select {
	case <-i.started:
	case <-ctx.Done():
		return nil, errors.Join(&StartError{ID: spec.ID, Stage: "wait for the process", Err: ctx.Err()}, i.Kill())
	}
	if i.startErr != nil {
		<-i.done
		return nil, i.startErr
	}
	return i, nil
}

// admit registers an instance and gives it its user.
func (n *Namespace) admit(i *instance) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errors.New("the driver is closed")
	}
	if n.living[i.spec.ID] != nil {
		return errors.New("an instance with this id lives")
	}
	n.living[i.spec.ID] = i
	i.hostUID, i.hostGID = os.Geteuid(), os.Getegid()
	if !n.users.own() {
		return nil
	}
	if i.fork.from != nil {
		i.hostUID = i.fork.from.block + i.fork.number
	} else {
		id, err := n.users.one()
		if err != nil {
			delete(n.living, i.spec.ID)
			return err
		}
		i.hostUID = id
	}
	i.hostGID = n.users.group(i.hostUID)
	return nil
}

func (n *Namespace) dismiss(i *instance) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.living, i.spec.ID)
	delete(n.users.taken, i.hostUID)
}

// privileged tells whether the process has the powers of root that rootful sandboxes take: mounts and
// other users. Root in a container often has not.
func privileged() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if os.Geteuid() != 0 || unix.Capget(&hdr, &have[0]) != nil {
		return false
	}
	for _, c := range []uint{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL} {
		if have[0].Effective&(1<<c) == 0 {
			return false
		}
	}
	return true
}

var (
	_ Driver = (*Namespace)(nil)
	_ Forker = (*Namespace)(nil)
)
