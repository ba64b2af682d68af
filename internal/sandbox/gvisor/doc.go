// Package gvisor isolates with gVisor: each sandbox has a kernel of its own, written in Go, that makes
// few of the host's system calls (https://gvisor.dev). It drives the program runsc, of any version since
// that of Debian 12, as root.
//
// A sandbox is created ahead of its use and waits in a small pool, since creating one takes a tenth of a
// second. In it runs the agent (cmd/init), and an empty directory, the hole, that is the host's. When a
// function comes, what it is to see is mounted in the hole from outside, where it appears inside by mount
// propagation; the agent takes the function's process to it. Code that comes late comes the same way.
// The network inside is gVisor's own, with loopback only; the doors are the agent's, and everything that
// passes them goes over one stream (package guest).
//
// All this lies in a mount namespace that one thread of Bastide's has, and is gone with it: no mount
// and no file is left on the host, however Bastide ends.
package gvisor
