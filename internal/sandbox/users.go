package sandbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bastide-cloud/bastide/internal/sandbox/control"
	"github.com/bastide-cloud/bastide/internal/sandbox/subid"
)

// Users of sandboxes come from a range that nothing else uses. Root's is of systemd's table of user ids (its
// page "Users, Groups, UIDs and GIDs on systemd Systems"), which leaves 0x70000000 to 0x7fffffff unassigned.
// An ordinary user's are subordinate ids, if there are any.
const (
	firstUID = 0x70000000
	uids     = 0x08000000

	fewestUsers = 1024 // with fewer, functions would wait for each other's
)

// users are the ids that sandboxes have on the host: half of them one by one, half in blocks for nests. The
// choice is random, so that two Bastides on one machine do not meet.
type users struct {
	first, count int // count 0: all have Bastide's own user
	groups       int // the first of the host's groups, as many

	taken  map[int]bool
	blocks map[int]bool
}

// own tells whether each sandbox has a user of its own.
func (u *users) own() bool { return u.count > 0 }

// group is the host's group that goes with a user.
func (u *users) group(id int) int { return id - u.first + u.groups }

var errUnused = errors.New("subordinate ids are not used")

var errNoUsers = errors.New("every id of the range is in use")

// one takes an id.
func (u *users) one() (int, error) { return pick(u.taken, u.first, u.count/2, 1) }

// block takes ids for the sandboxes of a nest.
func (u *users) block() (int, error) {
	if !u.own() {
		return 0, nil
	}
	return pick(u.blocks, u.first+u.count/2, u.count/2/control.Spares, control.Spares)
}

// pick takes one of n numbers from first on that are step apart.
func pick(taken map[int]bool, first, n, step int) (int, error) {
	if len(taken) >= n {
		return 0, errNoUsers
	}
	for {
		if id := first + step*rand.IntN(n); !taken[id] {
			taken[id] = true
			return id, nil
		}
	}
}

// subordinate are the ids that an ordinary user may map: the largest range of each file, as many as both have.
type subordinate struct{ uids, gids subid.Range }

// The files of subuid(5) and subgid(5).
const (
	subuidFile = "/etc/subuid"
	subgidFile = "/etc/subgid"
)

// findSubordinate looks for the caller's subordinate ids, or tells why there are none.
func findSubordinate() (*subordinate, error) {
	uid := strconv.Itoa(os.Geteuid())
	if uid == "0" {
		return nil, errors.New("root without its rights")
	}
	names := []string{uid}
	if u, err := user.LookupId(uid); err == nil {
		names = append(names, u.Username)
	}
	var s subordinate
	for file, r := range map[string]*subid.Range{subuidFile: &s.uids, subgidFile: &s.gids} {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		ok := false
		*r, ok, err = subid.Largest(f, names...)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if !ok || r.Count < fewestUsers {
			return nil, fmt.Errorf("%s grants %s no range of at least %d ids", file, strings.Join(names, ", "), fewestUsers)
		}
	}
	if s.uids.Holds(os.Geteuid()) || s.gids.Holds(os.Getegid()) {
		return nil, errors.New("the subordinate ids hold the user's own")
	}
	count := min(s.uids.Count, s.gids.Count)
	s.uids.Count, s.gids.Count = count, count
	return &s, nil
}

// grant maps the ids into the user namespace of a process that was just started in it. Bastide's own user is
// root there. Users have the numbers that they have on the host, groups those of their users.
func (s *subordinate) grant(pid int) error {
	for _, m := range []struct {
		program string
		self    int
		first   int
	}{{"newuidmap", os.Geteuid(), s.uids.First}, {"newgidmap", os.Getegid(), s.gids.First}} {
		var said firstWords
		cmd := exec.Command(m.program, strconv.Itoa(pid), "0", strconv.Itoa(m.self), "1",
			strconv.Itoa(s.uids.First), strconv.Itoa(m.first), strconv.Itoa(s.uids.Count))
		cmd.Stderr = &said
		cmd.WaitDelay = patience
		if err := cmd.Run(); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", m.program, err), said.err())
		}
	}
	return nil
}

// launchPowers are what the launcher of an ordinary user with subordinate ids needs, over these and its own
// mounts only: to map users, to have their identity, and to take mounts.
var launchPowers = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_DAC_OVERRIDE}

// startLaunching starts the launcher: in a user namespace with the user's subordinate ids where these are to
// be had, or else as what Bastide is itself.
func (n *Namespace) startLaunching(granted bool) error {
	n.users = users{taken: map[int]bool{}, blocks: map[int]bool{}}
	if n.root {
		n.users.first, n.users.count, n.users.groups = firstUID, uids, firstUID
	} else if n.noUsers = errUnused; granted {
		var s *subordinate
		if s, n.noUsers = findSubordinate(); n.noUsers == nil {
			n.launcher, n.noUsers = startLauncher(n.initFD, n.null, s)
		}
		if n.noUsers == nil {
			n.users.first, n.users.count, n.users.groups = s.uids.First, s.uids.Count, s.gids.First
			return nil
		}
	}
	var err error
	n.launcher, err = startLauncher(n.initFD, n.null, nil)
	return err
}

// cloneTree makes a mount of a host's file or directory, attached nowhere, where sandboxes are others' than
// Bastide's user.
func (n *Namespace) cloneTree(source string) (int, error) {
	if n.root {
		return cloneTree(source)
	}
	return n.launcher.take(source)
}

// take has the launcher make the mount.
func (l *launcher) take(source string) (int, error) {
	source, err := filepath.Abs(source) // the launcher works elsewhere
	if err != nil {
		return -1, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.session.send(control.Take, control.Taking{Path: source}.Append(nil), nil); err != nil {
		return -1, fmt.Errorf("tell the launcher: %w", err)
	}
	kind, body, got, err := l.session.receive()
	if err != nil {
		return -1, fmt.Errorf("hear from the launcher: %w", err)
	}
	failed, err := control.ParseFailure(body)
	switch {
	case err == nil && kind == control.Taken && failed.Stage == "" && len(got) == 1:
		return got[0], nil
	case err == nil && kind == control.Taken && failed.Stage != "":
		err = fmt.Errorf("%s: %w", failed.Stage, unix.Errno(failed.Errno))
	case err == nil:
		err = control.ErrFrame
	}
	return -1, errors.Join(err, closeAll(got))
}

// userLayer judges who sandboxes are on the host.
func (n *Namespace) userLayer() Layer {
	switch {
	case n.root:
		return Layer{Name: "identity", State: Full, Detail: "each sandbox has a user of its own, unknown to the host"}
	case n.users.own():
		return Layer{Name: "identity", State: Full, Detail: fmt.Sprintf("each sandbox has a user of its own, of the subordinate ids %d to %d",
			n.users.first, n.users.first+n.users.count-1)}
	}
	return Layer{Name: "identity", State: Weaker,
		Detail: fmt.Sprintf("sandboxes run as user %d and are kept apart by their namespaces alone: %v", os.Geteuid(), n.noUsers),
		Fix:    n.userFix()}
}

// userFix is what gives an ordinary user subordinate ids.
func (n *Namespace) userFix() string {
	if errors.Is(n.noUsers, errUnused) {
		return "run bastide as root, as a system service does; it gives each sandbox a user of its own"
	}
	name := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return fmt.Sprintf("install uidmap and add a line to /etc/subuid and /etc/subgid, of ids that nobody has:\n"+
		"sudo apt-get install uidmap\n"+
		"echo %s:100000:65536 | sudo tee -a %s %s\n"+
		"or run bastide as root, as a system service does; either gives each sandbox a user of its own", name, subuidFile, subgidFile)
}
