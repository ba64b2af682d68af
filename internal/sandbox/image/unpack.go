package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"unicode/utf8"
)

// Info is what an image unpacked to.
type Info struct {
	Bytes   int64 // of all layers uncompressed
	Entries int
}

// The names in a folder that Unpack has filled.
const (
	treeFolder  = "root"
	spoolFolder = "spool"
	treeFile    = "tree.json"
)

// places are the files of a tree that something is laid over, by what it is. The first three stand in
// every tree, the others where the image has them.
func places() map[string][]string {
	return map[string][]string{
		"hosts":    {"/etc/hosts"},
		"resolver": {"/etc/resolv.conf"},
		"roots":    {Bundle, "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"},
	}
}

// Bundle is the file of trusted roots that every tree has a place for.
const Bundle = "/etc/pki/tls/certs/ca-bundle.crt"

// covered are the folders of a tree that sandboxes lay their own over.
var covered = []string{"proc", "dev", "tmp"}

// Unpack fills dir, an empty folder, with the image's tree, whose layers open gives. After an error dir
// holds parts of it and is to be removed. Errors: *Error for an image that is refused.
func Unpack(ctx context.Context, img *Image, dir string, lim Limits, open func(Layer) (io.ReadCloser, error)) (Info, error) {
	u := &unpacker{picture: newPicture(lim.Entries), spool: filepath.Join(dir, spoolFolder), left: lim.Bytes, room: lim.Bytes, limits: lim}
	if err := os.Mkdir(u.spool, 0o700); err != nil {
		return Info{}, err
	}
	for n, l := range img.Layers {
		r, err := open(l)
		if err != nil {
			return Info{}, err
		}
		err = u.layer(ctx, n, l, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return Info{}, err
		}
	}
	tree, err := u.furnish(len(img.Layers))
	if err != nil {
		return Info{}, err
	}
	if err := u.write(dir); err != nil {
		return Info{}, err
	}
	if err := os.RemoveAll(u.spool); err != nil { // what upper layers hid
		return Info{}, err
	}
	b, err := json.Marshal(tree)
	if err != nil {
		return Info{}, err
	}
	info := Info{Bytes: lim.Bytes - u.left, Entries: u.picture.entries}
	return info, os.WriteFile(filepath.Join(dir, treeFile), b, 0o400)
}

// furnish makes the places that sandboxes lay something over real files and folders.
func (u *unpacker) furnish(layer int) (Tree, error) {
	p := u.picture
	p.limit += 100 // these are not the image's
	for _, name := range covered {
		if _, err := p.add(p.root, name, &node{kind: fs.ModeDir, perm: 0o755, layer: layer}); err != nil {
			return Tree{}, err
		}
	}
	tree := Tree{Places: map[string][]string{}}
	for what, files := range places() {
		for n, file := range files {
			at, err := u.place(file, layer, n == 0)
			if err != nil {
				return Tree{}, err
			}
			if at != "" {
				tree.Places[what] = append(tree.Places[what], at)
			}
		}
	}
	return tree, nil
}

// place makes an empty file where the path leads, if there is one already or it must be; it says where
// that really is, "" for nowhere.
func (u *unpacker) place(file string, layer int, must bool) (string, error) {
	parts, err := clean(file)
	if err != nil {
		return "", err
	}
	if !must {
		if n, err := u.picture.find(parts); n == nil || n.kind == fs.ModeDir || err != nil {
			return "", err
		}
	}
	at, err := u.picture.folder(parts[:len(parts)-1], layer)
	if err != nil {
		return "", err
	}
	for d := at; d.up != d; d = d.up {
		d.perm |= 0o111 // or the place could not be reached
	}
	n := &node{layer: layer, file: u.files}
	u.files++
	if err := os.WriteFile(u.kept(n.file), nil, 0o444); err != nil {
		return "", err
	}
	if n, err = u.picture.add(at, parts[len(parts)-1], n); err != nil {
		return "", err
	}
	if !utf8.ValidString(n.path()) {
		return "", refuse("%s leads to %q", file, n.path())
	}
	return n.path(), nil
}

// write makes the tree: folders and files first, links last, so that no path leads through one.
func (u *unpacker) write(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir(treeFolder, 0o700); err != nil {
		return err
	}
	var links, folders []*node
	first := map[int]string{} // where the content of a number lies already
	err = u.picture.root.each(func(n *node) error {
		path := treeFolder + n.path()
		switch n.kind {
		case fs.ModeDir:
			folders = append(folders, n)
			return root.Mkdir(path, 0o700)
		case fs.ModeSymlink:
			links = append(links, n)
			return nil
		}
		at, ok := first[n.file]
		if !ok {
			first[n.file] = path
			return root.Rename(spoolFolder+"/"+strconv.Itoa(n.file), path)
		}
		if err := root.Link(at, path); errors.Is(err, syscall.EMLINK) {
			return refuse("a file has more hard links than this machine's file system has")
		} else if err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range links {
		if err := root.Symlink(n.target, treeFolder+n.path()); err != nil {
			return err
		}
	}
	return seal(root, u.picture.root, folders)
}

// seal gives folders their rights and times, the inner ones first.
func seal(root *os.Root, top *node, folders []*node) error {
	for _, n := range slices.Backward(folders) {
		path := treeFolder + n.path()
		if !n.modified.IsZero() {
			if err := root.Chtimes(path, n.modified, n.modified); err != nil {
				return err
			}
		}
		if err := root.Chmod(path, n.perm); err != nil {
			return err
		}
	}
	return root.Chmod(treeFolder, top.perm|0o555) // whoever cannot enter the root sees nothing
}

// Tree is an unpacked image.
type Tree struct {
	Root string `json:"-"` // host folder, as a sandbox.RootFS takes it
	// Places are the files that something is laid over, by what it is: "hosts", "resolver", "roots".
	Places map[string][]string
}

// OpenTree finds the tree in a folder that Unpack has filled.
func OpenTree(dir string) (Tree, error) {
	b, err := os.ReadFile(filepath.Join(dir, treeFile))
	if err != nil {
		return Tree{}, err
	}
	t := Tree{Root: filepath.Join(dir, treeFolder)}
	if err := json.Unmarshal(b, &t); err != nil {
		return Tree{}, fmt.Errorf("image: %s: %w", dir, err)
	}
	return t, nil
}
