package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestDisksOf: a partition stands for its disk, what has no disk for none, each once.
func TestDisksOf(t *testing.T) {
	sys := t.TempDir()
	for name, content := range map[string]string{
		"devices/vda/dev": "254:0\n", "devices/vda/vda1/dev": "254:1\n", "devices/vda/vda1/partition": "1\n",
		"devices/vda/vda2/dev": "254:2\n", "devices/vda/vda2/partition": "2\n", "devices/dm-0/dev": "253:0\n",
	} {
		path := filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(sys, "dev/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	for number, to := range map[string]string{"254:0": "vda", "254:1": "vda/vda1", "254:2": "vda/vda2", "253:0": "dm-0"} {
		if err := os.Symlink("../../devices/"+to, filepath.Join(sys, "dev/block", number)); err != nil {
			t.Fatal(err)
		}
	}
	mounts := "22 27 254:1 / / rw - ext4 /dev/vda1 rw\n23 22 0:21 / /proc rw - proc proc rw\n24 22 254:2 / /var rw - ext4 /dev/vda2 rw\n" +
		"25 22 253:0 / /srv rw - xfs /dev/dm-0 rw\n26 22 8:1 / /gone rw - ext4 /dev/sda1 rw\nshort 1\n"
	if got, want := disksOf(mounts, sys), []string{"254:0", "253:0"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
