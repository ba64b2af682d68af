package main

import "golang.org/x/sys/unix"

// What the kernel ends first when memory runs out (proc_pid_oom_score_adj(5)): a function before the
// launcher, whose end is every sandbox's, and that before the server.
const (
	oomFunction = "1000"
	oomLauncher = "500"
)

// offer sets the score of this process and those that it will start. Raising one's own needs no right; where
// there is no /proc to do it by, the launcher's is kept. Package os would open an epoll descriptor here,
// among those that are closed next.
func offer(score string) {
	fd, err := unix.Open("/proc/self/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte(score))
	_ = unix.Close(fd)
}
