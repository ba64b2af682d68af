package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The controller of disks has another name in each version.
const (
	diskV1 = "blkio"
	diskV2 = "io"
)

// maxDisks bounds what a start writes; a machine has one or two.
const maxDisks = 8

// disksOf are the disks, as major:minor, that hold the mounted file systems. The kernel bounds whole disks
// only, so a partition stands for its disk; a file system without one (tmpfs, overlay, btrfs) for none.
// sys is /sys.
func disksOf(mounts, sys string) []string {
	var out []string
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 || strings.HasPrefix(f[2], "0:") {
			continue
		}
		disk := f[2]
		at := filepath.Join(sys, "dev/block", disk)
		if _, err := os.Stat(filepath.Join(at, "partition")); err == nil {
			// the link leads into the disk's own directory
			real, err := filepath.EvalSymlinks(at)
			if err != nil {
				continue
			}
			b, err := os.ReadFile(filepath.Join(filepath.Dir(real), "dev"))
			if err != nil {
				continue
			}
			disk = strings.TrimSpace(string(b))
		} else if _, err := os.Stat(at); err != nil {
			continue
		}
		if !slices.Contains(out, disk) && len(out) < maxDisks {
			out = append(out, disk)
		}
	}
	return out
}

// findDisks keeps the disks that the kernel takes a bound of.
func (h *Host) findDisks(mounts string) {
	for _, d := range disksOf(mounts, "/sys") {
		var err error
		switch {
		case h.v2[diskV2]:
			err = write(h.unified, "io.max", d+" rbps=1073741824")
			err = errors.Join(err, write(h.unified, "io.max", d+" rbps=max"))
		case h.v1[diskV1] != "":
			err = write(h.v1[diskV1], "blkio.throttle.read_bps_device", d+" 1073741824")
			err = errors.Join(err, write(h.v1[diskV1], "blkio.throttle.read_bps_device", d+" 0"))
		default:
			return
		}
		if err != nil {
			h.Faults = append(h.Faults, err.Error())
			continue
		}
		h.disks = append(h.disks, d)
	}
}

// limitDisks bounds, for each disk alone, the bytes and operations a second of each direction.
func (g *Group) limitDisks(bytes, ops int64) error {
	if bytes <= 0 || ops <= 0 {
		return nil
	}
	b, o := strconv.FormatInt(bytes, 10), strconv.FormatInt(ops, 10)
	var errs []error
	for _, d := range g.host.disks {
		if g.host.v2[diskV2] {
			errs = append(errs, write(g.unified(), "io.max", d+" rbps="+b+" wbps="+b+" riops="+o+" wiops="+o))
			continue
		}
		for _, way := range []string{"read", "write"} {
			errs = append(errs, write(g.v1(diskV1), "blkio.throttle."+way+"_bps_device", d+" "+b),
				write(g.v1(diskV1), "blkio.throttle."+way+"_iops_device", d+" "+o))
		}
	}
	return errors.Join(errs...)
}

// Disks are those that the Host bounds, as major:minor.
func (h *Host) Disks() []string { return slices.Clone(h.disks) }
