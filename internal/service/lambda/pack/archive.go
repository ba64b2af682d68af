package pack

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Limits bound what an archive may hold.
type Limits struct {
	Unzipped int64 // bytes of all files together
	Entries  int   // files, folders and links, those folders too that only names imply
}

const (
	// MaxUnzipped is Lambda's quota for a function with its layers, 250 MB. Source: AWS Lambda
	// Developer Guide, "Lambda quotas".
	MaxUnzipped = 262144000
	// MaxEntries is our own: packages with node_modules have tens of thousands.
	MaxEntries = 200000

	maxName  = 1024
	maxDepth = 48
	maxLink  = 1024
)

// Error is an archive that is refused; Message is fit for the caller who sent it.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

// TooLarge is an archive whose content is above the limit, in bytes.
type TooLarge struct{ Limit int64 }

func (e *TooLarge) Error() string { return fmt.Sprintf("the content is larger than %d bytes", e.Limit) }

func refuse(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Info is what an archive holds.
type Info struct {
	Unzipped int64 `json:"unzipped"` // bytes
	Files    int   `json:"files"`    // without folders
}

// archive is a directory that has been read and found harmless.
type archive struct {
	Info
	entries []entry
}

type entry struct {
	name string // clean, relative, with slashes
	file *zip.File
	kind fs.FileMode // 0 for a file, fs.ModeDir or fs.ModeSymlink
	exec bool
}

// Check reads an archive's directory, without its content.
func Check(r io.ReaderAt, size int64, lim Limits) (Info, error) {
	a, err := read(r, size, lim)
	if err != nil {
		return Info{}, err
	}
	return a.Info, nil
}

// read lists the entries and refuses what no honest archive holds.
func read(r io.ReaderAt, size int64, lim Limits) (*archive, error) {
	// The zip reader keeps every entry in memory before it tells how many there are; a directory
	// entry costs the sender 46 bytes and us hundreds.
	if n, err := count(r, size, lim.Entries); err != nil {
		return nil, err
	} else if n > lim.Entries {
		return nil, refuse("the archive has more than %d entries", lim.Entries)
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, refuse("it is no zip archive: %v", err)
	}
	a := &archive{entries: make([]entry, 0, len(z.File))}
	seen := map[string]fs.FileMode{}
	for _, f := range z.File {
		e, err := inspect(f)
		if err != nil {
			return nil, err
		}
		if e.name == "." {
			continue
		}
		if err := place(seen, e, lim.Entries); err != nil {
			return nil, err
		}
		if e.kind != fs.ModeDir {
			a.Files++
		}
		if f.UncompressedSize64 > uint64(lim.Unzipped) {
			return nil, &TooLarge{lim.Unzipped}
		}
		if a.Unzipped += int64(f.UncompressedSize64); a.Unzipped > lim.Unzipped {
			return nil, &TooLarge{lim.Unzipped}
		}
		a.entries = append(a.entries, e)
	}
	if a.Files == 0 {
		return nil, refuse("the archive is empty")
	}
	return a, apart(a.entries)
}

// signature begins each entry of an archive's directory (APPNOTE.TXT 4.3.12).
const signature = "PK\x01\x02"

// count is how many directory entries there can be at most: how often their signature occurs. It
// gives up above the limit.
func count(r io.ReaderAt, size int64, limit int) (int, error) {
	buf := make([]byte, 256<<10)
	n := 0
	for off := int64(0); off < size && n <= limit; {
		m, err := r.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if m < len(signature) {
			break
		}
		n += bytes.Count(buf[:m], []byte(signature))
		off += int64(m - len(signature) + 1) // one that lies across the border is seen once
	}
	return n, nil
}

// inspect makes sense of one entry by itself.
func inspect(f *zip.File) (entry, error) {
	e := entry{file: f}
	switch {
	case f.Name == "" || len(f.Name) > maxName:
		return e, refuse("an entry's name has %d bytes", len(f.Name))
	case strings.ContainsRune(f.Name, 0) || strings.ContainsRune(f.Name, '\\'):
		return e, refuse("the entry %q has a character in its name that no path may have", f.Name)
	case strings.HasPrefix(f.Name, "/"):
		return e, refuse("the entry %q is an absolute path", f.Name)
	case f.Flags&0x1 != 0:
		return e, refuse("the entry %q is encrypted", f.Name)
	}
	e.name = path.Clean(f.Name)
	for part := range strings.SplitSeq(f.Name, "/") {
		if part == ".." {
			return e, refuse("the entry %q climbs out of the archive", f.Name)
		}
		if len(part) > 255 {
			return e, refuse("the entry %q has a name of more than 255 bytes", f.Name)
		}
	}
	if strings.Count(e.name, "/") >= maxDepth {
		return e, refuse("the entry %q lies more than %d folders deep", f.Name, maxDepth)
	}
	mode := f.Mode()
	switch {
	case strings.HasSuffix(f.Name, "/") || mode.IsDir():
		e.kind = fs.ModeDir
		if f.UncompressedSize64 != 0 {
			return e, refuse("the folder %q has content", f.Name)
		}
	case mode&fs.ModeSymlink != 0:
		e.kind = fs.ModeSymlink
		if f.UncompressedSize64 == 0 || f.UncompressedSize64 > maxLink {
			return e, refuse("the link %q has a target of %d bytes", f.Name, f.UncompressedSize64)
		}
	case mode.Type() != 0:
		return e, refuse("the entry %q is no file, folder or symbolic link", f.Name)
	default:
		e.exec = mode&0o111 != 0
	}
	return e, nil
}

// place enters e and the folders that its name implies among those seen; two entries of one name
// are refused unless both are folders, and so is one below a file or a link.
func place(seen map[string]fs.FileMode, e entry, limit int) error {
	if kind, ok := seen[e.name]; ok && (kind != fs.ModeDir || e.kind != fs.ModeDir) {
		return refuse("the archive has %q twice", e.name)
	}
	seen[e.name] = e.kind
	for dir := path.Dir(e.name); dir != "."; dir = path.Dir(dir) {
		kind, ok := seen[dir]
		if ok && kind != fs.ModeDir {
			return refuse("the archive has %q both as a folder and as something else", dir)
		}
		if ok {
			break // whoever entered it entered those above
		}
		seen[dir] = fs.ModeDir
	}
	if len(seen) > limit {
		return refuse("the archive has more than %d entries", limit)
	}
	return nil
}
