package gvisor

import (
	"encoding/json"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The paths of a container that the agent runs in: its program, and where the hole is.
const (
	agentPath = "/agent"
	holePath  = "/hole"
)

// powers are the agent's capabilities, over gVisor's kernel and none other: to mount, to take the
// function's process to its root and user, to bind doors below port 1024, to give all that up. It does
// so once the function runs.
var powers = []string{"CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP",
	"CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_SYS_RESOURCE", "CAP_KILL"}

// agentFiles bounds the agent's open files: one for each connection at a door.
const agentFiles = 16384

type (
	bundle struct {
		Version  string  `json:"ociVersion"`
		Process  process `json:"process"`
		Root     rootDir `json:"root"`
		Hostname string  `json:"hostname"`
		Mounts   []mount `json:"mounts"`
		Linux    linux   `json:"linux"`
	}
	process struct {
		User         user                `json:"user"`
		Args         []string            `json:"args"`
		Env          []string            `json:"env"`
		Cwd          string              `json:"cwd"`
		Capabilities map[string][]string `json:"capabilities"`
		Rlimits      []rlimit            `json:"rlimits"`
		Score        int                 `json:"oomScoreAdj"`
	}
	user struct {
		UID int `json:"uid"`
		GID int `json:"gid"`
	}
	rlimit struct {
		Type string `json:"type"`
		Hard uint64 `json:"hard"`
		Soft uint64 `json:"soft"`
	}
	rootDir struct {
		Path     string `json:"path"`
		Readonly bool   `json:"readonly"`
	}
	mount struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options,omitempty"`
	}
	linux struct {
		Namespaces []namespace `json:"namespaces"`
	}
	namespace struct {
		Type string `json:"type"`
	}
)

// write makes the bundle at dir: config.json, and the directories that it names.
func writeBundle(dir, rootfs string, writable bool) error {
	access := "ro"
	if writable {
		access = "rw"
	}
	caps := map[string][]string{}
	for _, set := range []string{"bounding", "effective", "permitted"} {
		caps[set] = powers
	}
	b := bundle{
		Version: "1.0.2", // of the runtime specification, which every runsc knows
		Process: process{
			Args: []string{agentPath, "agent", filepath.Join(holePath, "root")}, Cwd: "/", Capabilities: caps, Score: 1000, // the first to end when memory runs out
			Env:     []string{"GOMAXPROCS=1", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"},
			Rlimits: []rlimit{{Type: "RLIMIT_NOFILE", Hard: agentFiles, Soft: agentFiles}},
		},
		Root: rootDir{Path: rootfs, Readonly: true}, Hostname: "bastide",
		Mounts: []mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: holePath, Type: "bind", Source: filepath.Join(dir, "hole"), Options: []string{"rbind", "rslave", access, "nosuid", "nodev"}},
		},
	}
	for _, kind := range []string{"pid", "network", "ipc", "uts", "mount"} {
		b.Linux.Namespaces = append(b.Linux.Namespaces, namespace{kind})
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	// a file system of its own, so that everything below it goes with it
	hole := filepath.Join(dir, "hole")
	for _, at := range []string{dir, hole} {
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=64m"); err != nil {
			return err
		}
		if err := unix.Mount("", at, "", unix.MS_SHARED, ""); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(hole, "root"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
}
