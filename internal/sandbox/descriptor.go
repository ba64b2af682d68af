package sandbox

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// descriptorOf is what a descriptor of a thread stands for, as the link in host tells, the thread's directory in
// /proc. An ordinary user may not look into that directory of another user's process, even of one in a user
// namespace of its own, but may take the descriptor for a moment.
func descriptorOf(host, fd string) (string, error) {
	link, err := os.Readlink(host + "/fd/" + fd)
	if !errors.Is(err, unix.EACCES) {
		return link, err
	}
	number, err := strconv.Atoi(fd)
	if err != nil {
		return "", unix.ENOENT
	}
	thread, err := openThread(host)
	if err != nil {
		return "", err
	}
	defer unix.Close(thread)
	held, err := unix.PidfdGetfd(thread, number, 0)
	if err == unix.EBADF {
		return "", unix.ENOENT
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(held)
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(held))
}

// openThread opens a thread, or before Linux 6.9 its process, which has the same descriptors: system calls
// that part them are not allowed.
func openThread(host string) (int, error) {
	pid, err := strconv.Atoi(strings.TrimPrefix(host, "/proc/"))
	if err != nil {
		return -1, err
	}
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_THREAD)
	if err != unix.EINVAL {
		return fd, err
	}
	status, err := os.ReadFile(host + "/status")
	if err != nil {
		return -1, err
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "Tgid:"); ok {
			if pid, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return -1, err
			}
		}
	}
	return unix.PidfdOpen(pid, 0)
}
