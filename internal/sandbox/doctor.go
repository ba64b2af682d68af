package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// State is how much of a layer a machine gives.
type State string

// The states of a layer. A sandbox starts with weaker layers; with a missing one only if that was
// waived by name.
const (
	Full    State = "full"
	Weaker  State = "weaker"
	Missing State = "missing"
	Absent  State = "absent" // nothing rests on it
)

// Layer is one thing that a sandbox rests on, as this machine gives it.
type Layer struct {
	Name   string // such as "namespaces"
	State  State
	Detail string // what was found
	Fix    string // what to do, as commands and files where there are any; empty when State is Full
}

// patience bounds the probe's start and end.
const patience = 10 * time.Second

// Doctor tells which layers this machine gives to this user. It starts a sandbox and tries from inside
// what must not work.
func Doctor(c Config) []Layer {
	kernel := kernelLayer()
	n, err := New(c)
	if err != nil {
		return []Layer{kernel, {Name: "namespaces", State: Missing, Detail: err.Error(), Fix: namespaceFix()}}
	}
	bits, err := n.probe()
	layers := append([]Layer{kernel}, n.wallLayers(bits, err)...)
	if err == nil {
		layers = append(layers, n.forkLayer())
	}
	layers = append(layers, n.userLayer())
	layers = append(layers, n.limitLayers()...)
	layers = append(layers, n.hostLayers()...)
	if err := n.Close(); err != nil {
		layers = append(layers, Layer{Name: "removal", State: Weaker, Detail: err.Error(),
			Fix: "remove the named cgroup; bastide sweeps it at its next start otherwise"})
	}
	return layers
}

// The bits of the probe's exit code, as cmd/init has them.
const (
	probeSeccomp = 1 << iota
	probeCapability
	probeRoot
	probeProc
	probePrivs
)

// probe runs the init as a function.
func (n *Namespace) probe() (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	program, err := os.ReadFile("/proc/self/fd/" + strconv.Itoa(n.initFD))
	if err != nil {
		return 0, err
	}
	var said bytes.Buffer
	i, err := n.Start(ctx, Spec{
		ID: "doctor", Argv: []string{"/probe", "probe"}, Dir: "/", Stderr: &said,
		Root: RootFS{Files: map[string]File{"/probe": {Content: string(program), Mode: 0o755}}},
	})
	if err != nil {
		return 0, err
	}
	select {
	case e := <-i.Wait():
		if e.Err != nil || e.Code < 0 {
			return 0, fmt.Errorf("the probe ended with %+v: %s", e, said.String())
		}
		return e.Code, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("the probe does not end: %w", i.Kill())
	}
}

func kernelLayer() Layer {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Layer{Name: "kernel", State: Missing, Detail: err.Error(), Fix: "Linux 5.12 or newer is needed"}
	}
	release := unix.ByteSliceToString(u.Release[:])
	major, minor := 0, 0
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil || major < 5 || major == 5 && minor < 12 {
		return Layer{Name: "kernel", State: Missing, Detail: "Linux " + release, Fix: "Linux 5.12 or newer is needed"}
	}
	return Layer{Name: "kernel", State: Full, Detail: "Linux " + release}
}

// wallLayers judges what the probe met.
func (n *Namespace) wallLayers(bits int, err error) []Layer {
	if err != nil {
		return []Layer{{Name: "namespaces", State: Missing, Detail: err.Error(), Fix: namespaceFix()}}
	}
	layers := []Layer{{Name: "namespaces", State: Full, Detail: "user, pid, mount, net, ipc, uts, cgroup"}}
	if len(n.waived) > 0 {
		layers[0] = Layer{Name: "namespaces", State: Weaker, Detail: fmt.Sprint("waived: ", keys(n.waived)), Fix: "waive nothing"}
	}
	for _, w := range []struct {
		bit               int
		name, good, fault string
	}{
		{probeSeccomp, "seccomp", "an allow-list of system calls", "a forbidden system call went through"},
		{probeCapability | probePrivs, "privileges", "no capabilities, no_new_privs", "privileges are left"},
		{probeRoot, "root", "read-only, pivoted into", "the root can be written"},
		{probeProc, "proc", "only the function's own processes", "/proc shows the init"},
	} {
		l := Layer{Name: w.name, State: Full, Detail: w.good}
		if bits&w.bit != 0 {
			l = Layer{Name: w.name, State: Missing, Detail: w.fault, Fix: "a kernel with CONFIG_SECCOMP_FILTER and an unmasked /proc"}
		}
		layers = append(layers, l)
	}
	return layers
}

func keys(m map[string]bool) []string {
	var out []string
	for _, w := range waivable {
		if m[w] {
			out = append(out, w)
		}
	}
	return out
}

// limitLayers judges what bounds and holds.
func (n *Namespace) limitLayers() []Layer {
	fix := "run bastide in a cgroup of its own: systemd-run --user --scope -p Delegate=yes bastide up\n" +
		"(as a system service: Delegate=yes in its unit)"
	limit := func(name, version, weaker string) Layer {
		if version != "" {
			return Layer{Name: name, State: Full, Detail: "by the kernel, cgroup " + version}
		}
		return Layer{Name: name, State: Weaker, Detail: strings.Join(append([]string{weaker}, n.host.Faults...), "; "), Fix: fix}
	}
	return []Layer{
		limit("memory", n.can.Memory, "looked at every "+glance.String()+", and killed"),
		n.socketLayer(),
		n.processLayer(limit("processes", n.can.Pids, "RLIMIT_NPROC")),
		limit("cpu", n.can.CPU, "not bounded"),
		n.diskLayer(fix),
		limit("freeze", n.can.Freeze, "SIGSTOP, which a function can notice"),
		n.killLayer(),
	}
}

// socketLayer judges what bounds the memory of sockets.
func (n *Namespace) socketLayer() Layer {
	switch n.can.Sockets {
	case "v1":
		return Layer{Name: "sockets", State: Full, Detail: "what they hold, by the kernel, cgroup v1: besides a sandbox's memory, an eighth of it"}
	case "v2":
		return Layer{Name: "sockets", State: Full, Detail: "what they hold, by the kernel, cgroup v2: with a sandbox's memory"}
	}
	return Layer{Name: "sockets", State: Weaker, Detail: "what they hold is bounded for the whole machine alone (net.ipv4.tcp_mem, udp_mem)",
		Fix: "a memory controller that is bastide's to use (see memory): cgroup v2 without cgroup.memory=nosocket, or a v1 with memory.kmem.tcp.limit_in_bytes"}
}

// processLayer adds to the layer of processes what bounds those of all sandboxes together.
func (n *Namespace) processLayer(l Layer) Layer {
	switch all := n.host.Processes(); {
	case l.State != Full:
	case all > 0:
		l.Detail += fmt.Sprintf("; %d processes and threads of all sandboxes together", all)
	default:
		l.State, l.Detail = Weaker, l.Detail+"; all sandboxes together are not bounded: "+strings.Join(n.host.Faults, "; ")
		l.Fix = "a /proc/sys/kernel that tells pid_max and threads-max, and a cgroup that is bastide's to bound"
	}
	return l
}

// diskLayer judges what bounds the use of disks.
func (n *Namespace) diskLayer(fix string) Layer {
	if n.can.Disks != "" {
		return Layer{Name: "io", State: Full, Detail: fmt.Sprintf("by the kernel, cgroup %s: %d MB and %d operations a second of disk %s; /tmp is memory",
			n.can.Disks, diskBytes/megabyte, diskOps, strings.Join(n.host.Disks(), ", "))}
	}
	return Layer{Name: "io", State: Weaker, Detail: "the reading of code is not bounded; nothing is written to a disk, as /tmp is memory",
		Fix: fix + "\n(the kernel's io or blkio controller, and a data directory on a file system of one disk)"}
}

func (n *Namespace) killLayer() Layer {
	detail := "the first process's death ends all others"
	if n.can.Kill != "" {
		detail += "; cgroup.kill besides"
	}
	return Layer{Name: "kill", State: Full, Detail: detail}
}

// namespaceFix is what usually stands in the way of unprivileged namespaces.
func namespaceFix() string {
	var fixes []string
	if sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1" {
		fixes = append(fixes, apparmorFix())
	}
	if sysctl("kernel/unprivileged_userns_clone") == "0" {
		fixes = append(fixes, "sudo sysctl -w kernel.unprivileged_userns_clone=1")
	}
	if sysctl("user/max_user_namespaces") == "0" {
		fixes = append(fixes, "sudo sysctl -w user.max_user_namespaces=65536")
	}
	if len(fixes) == 0 {
		fixes = append(fixes, "in a container: allow the system calls that make namespaces (Docker: --security-opt seccomp=unconfined "+
			"--security-opt systempaths=unconfined), or run bastide outside")
	}
	return strings.Join(fixes, "\n")
}

func sysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return "" // this kernel has no such switch
	}
	return strings.TrimSpace(string(b))
}

// apparmorFix is the profile that Ubuntu 24.04 wants of a program that makes user namespaces.
// https://documentation.ubuntu.com/release-notes/24.04/ ("Unprivileged user namespace restrictions")
func apparmorFix() string {
	program, err := os.Executable()
	if err != nil {
		program = "/usr/local/bin/bastide"
	}
	return fmt.Sprintf(`sudo tee /etc/apparmor.d/bastide <<'END'
abi <abi/4.0>,
include <tunables/global>

profile bastide %q flags=(unconfined) {
  userns,
  include if exists <local/bastide>
}
END
sudo apparmor_parser -r /etc/apparmor.d/bastide`, program)
}
