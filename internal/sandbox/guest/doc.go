// Package guest is a sandbox whose inside is reached by one stream: an agent is in there (cmd/init),
// with package tether between. It gives a driver all of an instance but how the sandbox comes to be and
// to its end, which is the driver's Box:
//
//	box, stream, err := … // a sandbox, with an agent at the other end of stream
//	inst, err := guest.Start(ctx, spec, box, stream, guest.Options{…})
//
// Nothing else is shared with the host: no descriptor, no path. A driver of virtual machines needs a
// stream (vsock), a way to show the code (a block device, whose mount the agent is told of) and this.
package guest
