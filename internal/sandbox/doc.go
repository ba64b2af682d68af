// Package sandbox runs code that nobody trusts.
//
// A sandbox is one tree of processes with a world of its own: its own users, processes, mounts,
// network, IPC, host name and cgroup view. It sees a read-only root that was put together for it,
// its code at /var/task, layers at /opt and a private, bounded /tmp. It has no capabilities and
// cannot gain any; it may make the system calls of an allow-list; memory, processes, processor time
// and open files are bounded. Its network holds nothing but loopback.
//
// The way out is a door: a listening socket that was opened inside the sandbox's network and that the
// driver holds outside. Whatever connects to 127.0.0.1:9001 in there is a connection that Bastide
// accepts out here, and no other door exists:
//
//	ns, err := sandbox.New(sandbox.Config{})
//	inst, err := ns.Start(ctx, sandbox.Spec{
//		ID:    "f-1a2b",
//		Argv:  []string{"/opt/bootstrap"},
//		Root:  sandbox.RootFS{Binds: []sandbox.Bind{{Source: "/usr/lib", Target: "/usr/lib"}}},
//		Code:  "/srv/code/4f6c",
//		Doors: []sandbox.DoorSpec{{Name: "runtime", Network: "tcp", Address: "127.0.0.1:9001"}},
//	})
//	http.Serve(inst.Doors()["runtime"].Listener, runtimeAPI)
//	exit := <-inst.Wait()
//
// When an instance has ended, by itself, by Kill, or because Bastide was killed, nothing of it is
// left: no process, mount, cgroup or file. (Cgroups are directories that outlive a killed Bastide;
// the next start sweeps them.)
//
// The namespace driver asks for nothing but a Linux kernel (5.12 or newer). As root, every sandbox
// gets a user of its own that owns nothing on the host. As an ordinary user, sandboxes share that
// user's identity and are kept apart by their namespaces; without a delegated cgroup, limits are
// watched rather than enforced by the kernel. Doctor tells which layers a machine gives. A layer that
// is missing altogether refuses every start unless it was waived by name.
package sandbox
