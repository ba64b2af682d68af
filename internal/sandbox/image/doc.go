// Package image turns container images into trees that sandboxes run from, without Docker.
//
// An image is a manifest, a configuration and layers: archives of files, each to be laid over what the
// ones before it left. It is a stranger's work in every byte. What a reference names is read (Read)
// with every digest checked, and its layers are flattened (Unpack) into one read-only folder:
//
//	src, err := image.Open("app.tar")              // or a layout's folder, or Registry.Source
//	img, err := image.Read(ctx, src, image.Here()) // the manifest for this machine
//	info, err := image.Unpack(ctx, img, dir, image.Standard(), open)
//	tree, err := image.OpenTree(dir)               // tree.Root is a sandbox's root
//
// Files are kept under numbers while the layers are read, and what the image looks like is worked out
// in memory; only the finished picture is written: folders, then files into them, then links. So no
// path is ever walked through a link of the image's making, in whatever order layers bring them, and
// paths that climb are refused. Devices, capabilities, set-id bits and owners are not taken over. As on
// Lambda, a function may read what everybody may read.
//
// For a function that its image runs in, some places of the tree are the sandbox's own: /proc, /dev and
// /tmp, the resolver's files and the bundle of trusted roots. They are made real folders and files, so
// that no link of the image is where something will be laid over.
package image
