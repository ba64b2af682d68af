package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holdings are what a cgroup's figures have told of an instance. What its processes hold is their own memory
// and what lies in shared mappings and memory files, whoever has them open, but for /tmp, which has a bound
// of its own. The kernel's figures of use and of its peak have /tmp and page cache in them.
type holdings struct {
	most   int64 // that the processes were seen to hold
	beside int64 // the most that was used beside that: /tmp, page cache, the kernel's own
	used   int64 // when last measured
	top    int64 // the kernel's peak when last measured
	tmp    int64 // the most that was seen in /tmp
}

// notable is how much use must have changed for a reading of what is held, which takes the kernel as long as
// a short invocation.
const notable = 1 << 20

// holds is what the processes hold, in bytes; mu is held. It is looked at only where it can be more than
// over or differs from what was seen; otherwise 0.
func (i *instance) holds(over int64) (int64, error) {
	used, err := i.group.MemoryUsed()
	if err != nil || used <= over && used-i.holdings.used < notable && i.holdings.used-used < notable {
		return 0, err
	}
	return i.measure(used)
}

// measure reads what the processes hold. /tmp is looked at before and after, so that neither one that grows
// meanwhile nor one that shrinks counts as theirs. One that cannot be seen, as before the function's root
// stands and after its end, counts as full.
func (i *instance) measure(used int64) (int64, error) {
	before, err := i.tmpUse()
	all, herr := i.group.Held()
	if herr != nil {
		return 0, herr
	}
	h := &i.holdings
	h.used = used
	after, aerr := i.tmpUse()
	if err != nil || aerr != nil {
		return max(all-i.spec.TmpBytes, 0), nil
	}
	h.tmp = max(h.tmp, before, after)
	have := max(all-max(before, after), 0)
	h.most, h.beside = max(h.most, have), max(h.beside, used-have)
	return have, nil
}

// heldAtMost is the most that the processes held; mu is held. What came and went between two looks shows in
// the kernel's peak, of which what is used beside is taken off. Usually that takes one system call.
func (i *instance) heldAtMost() (int64, error) {
	top, err := i.group.Peak()
	if err != nil {
		return 0, err
	}
	h := &i.holdings
	if top == 0 || top-h.top >= notable { // 0: this kernel does not say
		used, err := i.group.MemoryUsed()
		if err != nil {
			return 0, err
		}
		if _, err := i.measure(used); err != nil {
			return 0, err
		}
		h.top = top
	}
	return max(h.most, top-h.beside), nil
}

// TmpUse implements Scratched.
func (i *instance) TmpUse() (now, most int64, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.gone {
		return 0, 0, errEnded
	}
	if now, err = i.tmpUse(); err == nil {
		i.holdings.tmp = max(i.holdings.tmp, now)
	}
	return now, i.holdings.tmp, err
}

// tmpUse is how much of /tmp is in use, in bytes. Nothing that a function can change is on the way: the root
// is read-only, and mounts are denied.
func (i *instance) tmpUse() (int64, error) {
	var st unix.Statfs_t
	err := unix.Statfs("/proc/"+strconv.Itoa(i.pid)+"/root/tmp", &st)
	if errors.Is(err, unix.EACCES) { // an ordinary user's init cannot be looked into, but what it has started can
		lists, _ := filepath.Glob("/proc/" + strconv.Itoa(i.pid) + "/task/*/children")
		for _, list := range lists {
			children, _ := os.ReadFile(list) // or it is gone
			for _, child := range strings.Fields(string(children)) {
				if err = unix.Statfs("/proc/"+child+"/root/tmp", &st); err == nil {
					break
				}
			}
		}
	}
	if err == nil && st.Type != unix.TMPFS_MAGIC {
		err = errNoTmp
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize, err
}

var errNoTmp = errors.New("/tmp is not the sandbox's yet")

var _ Scratched = (*instance)(nil)
