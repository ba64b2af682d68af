package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// firstToEnd is the score with which the kernel ends a process before others when memory runs out.
// Source: proc_pid_oom_score_adj(5).
const firstToEnd = "1000"

// Start starts cmd in the group, as one that the kernel ends before Bastide when memory runs out. The calling goroutine is locked to its thread, which enters a v1 group for
// the time of the fork, as moving another process takes long.
func (g *Group) Start(cmd *exec.Cmd) error {
	if fd := g.FD(); fd >= 0 {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, fd
	}
	enter, home := g.Tasks()
	err := move(enter)
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		if werr := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte(firstToEnd), 0); werr != nil && !errors.Is(werr, os.ErrPermission) {
			err = werr // a program that ordinary users may not look at keeps its score
		}
	}
	return errors.Join(err, move(home))
}

func move(tasks []string) error {
	for _, t := range tasks {
		if err := os.WriteFile(t, []byte("0"), 0); err != nil {
			return err
		}
	}
	return nil
}
