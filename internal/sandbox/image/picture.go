package image

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// picture is what an image looks like, worked out in memory from its layers' entries. Links of the
// image are followed in it only to find the folder that an entry belongs to, as whoever unpacked the
// layers one over another would, and never out of the root.
type picture struct {
	root    *node
	entries int // that were ever in it, implied folders too
	limit   int
}

// node is one entry. A folder has children, a link a target, a file the number that its content is
// kept under; several nodes with one number are hard links of each other.
type node struct {
	name     string
	up       *node // of the root: itself
	layer    int   // that brought it
	kind     fs.FileMode
	perm     fs.FileMode // of folders; files have theirs already
	modified time.Time   // of folders
	children map[string]*node
	target   string
	file     int
	length   int // of its path, in bytes
	swept    int // 1 + the last layer that hid what is below
}

// Bounds of names.
const (
	maxName  = 255 // bytes of one name, as file systems have it
	maxPath  = 3 << 10
	maxDepth = 200
	maxLink  = 4096 // bytes of a link's target: PATH_MAX
	maxHops  = 40   // links on one path, as the kernel follows
	maxSteps = 1000 // names on one path, links resolved
)

func newPicture(limit int) *picture {
	root := &node{kind: fs.ModeDir, perm: 0o755, children: map[string]*node{}, layer: -1}
	root.up = root
	return &picture{root: root, limit: limit}
}

// clean takes a name of a layer apart. A leading slash means the root, as everywhere with images.
func clean(name string) ([]string, error) {
	if len(name) > maxPath {
		return nil, refuse("a name of %d bytes is longer than %d", len(name), maxPath)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return nil, refuse("the name %q holds a zero byte", name)
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "", part == ".":
		case part == "..":
			return nil, refuse("the name %q climbs", name)
		case len(part) > maxName:
			return nil, refuse("the name %.40q… is longer than %d bytes", part, maxName)
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) > maxDepth {
		return nil, refuse("the name %.80q is deeper than %d folders", name, maxDepth)
	}
	return parts, nil
}

// folder finds the folder at a path, following the image's links within the root. With a layer that is
// not negative, what is missing is made, as of that layer; otherwise it is nil.
func (p *picture) folder(parts []string, layer int) (*node, error) {
	at, todo, hops := p.root, slices.Clone(parts), 0
	slices.Reverse(todo) // the next one last
	for steps := 0; len(todo) > 0; steps++ {
		part := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if part == ".." {
			at = at.up
			continue
		}
		next := at.children[part]
		switch {
		case next == nil && layer < 0:
			return nil, nil
		case next == nil:
			var err error
			if next, err = p.add(at, part, &node{kind: fs.ModeDir, perm: 0o755, layer: layer}); err != nil {
				return nil, err
			}
			at = next
		case next.kind == fs.ModeDir:
			at = next
		case next.kind == fs.ModeSymlink:
			if hops++; hops > maxHops || steps > maxSteps {
				return nil, refuse("there are too many links on the way to %q", strings.Join(parts, "/"))
			}
			if strings.HasPrefix(next.target, "/") {
				at = p.root
			}
			steps := strings.FieldsFunc(next.target, func(r rune) bool { return r == '/' })
			slices.Reverse(steps)
			todo = append(todo, slices.DeleteFunc(steps, func(s string) bool { return s == "." })...)
		case layer < 0:
			return nil, nil
		default:
			return nil, refuse("%q lies below a file", strings.Join(parts, "/"))
		}
	}
	return at, nil
}

// add puts a node into a folder in place of whatever is there.
func (p *picture) add(at *node, name string, n *node) (*node, error) {
	if p.entries++; p.entries > p.limit {
		return nil, refuse("it has more than %d files and folders", p.limit)
	}
	n.name, n.up, n.length = name, at, at.length+1+len(name)
	if len(name) > maxName || n.length > maxPath {
		return nil, refuse("the name %.40q… is too long or too deep", name)
	}
	if n.kind == fs.ModeDir {
		n.children = map[string]*node{}
	}
	at.children[name] = n
	return n, nil
}

func (n *node) path() string {
	if n.up == n {
		return ""
	}
	return n.up.path() + "/" + n.name
}

// put adds an entry of a layer. A folder that is there already stays, with the entry's rights; an
// entry for the root itself changes nothing but that.
func (p *picture) put(parts []string, n *node) error {
	if len(parts) == 0 {
		if n.kind != fs.ModeDir {
			return refuse("the root is no folder")
		}
		p.root.perm, p.root.modified = n.perm, n.modified
		return nil
	}
	name := parts[len(parts)-1]
	at, err := p.folder(parts[:len(parts)-1], n.layer)
	if err != nil {
		return err
	}
	if old := at.children[name]; old != nil && old.kind == fs.ModeDir && n.kind == fs.ModeDir {
		old.perm, old.modified, old.layer = n.perm, n.modified, n.layer
		return nil
	}
	_, err = p.add(at, name, n)
	return err
}

// find is the node at a path, itself not followed if it is a link; nil if there is none.
func (p *picture) find(parts []string) (*node, error) {
	if len(parts) == 0 {
		return p.root, nil
	}
	at, err := p.folder(parts[:len(parts)-1], -1)
	if at == nil || err != nil {
		return nil, err
	}
	return at.children[parts[len(parts)-1]], nil
}

// whiteout hides what lower layers have at a path; what the layer itself brought stays.
func (p *picture) whiteout(parts []string, layer int) error {
	n, err := p.find(parts)
	if n == nil || err != nil {
		return err
	}
	n.hide(layer)
	return nil
}

// opaque hides all that lower layers have in a folder.
func (p *picture) opaque(parts []string, layer int) error {
	at, err := p.folder(parts, -1)
	if at == nil || err != nil || at.swept == layer+1 {
		return err
	}
	at.swept = layer + 1 // what comes into it from now on is the layer's own
	for _, c := range at.children {
		c.hide(layer)
	}
	return nil
}

// hide removes what is of lower layers, and tells whether anything is left.
func (n *node) hide(layer int) bool {
	left := n.layer == layer
	if n.swept == layer+1 {
		return left || len(n.children) > 0
	}
	n.swept = layer + 1
	for _, c := range n.children {
		left = c.hide(layer) || left
	}
	if !left && n.up != n {
		delete(n.up.children, n.name)
	}
	return left
}

// each calls fn for every node but the root, folders before what is in them, by name.
func (n *node) each(fn func(*node) error) error {
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		c := n.children[name]
		if err := fn(c); err != nil {
			return err
		}
		if err := c.each(fn); err != nil {
			return err
		}
	}
	return nil
}
