package cgroup

import (
	"errors"
	"os"
	"os/exec"
)

// Start starts cmd in the group. The calling goroutine is locked to its thread, which enters a v1 group for
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
