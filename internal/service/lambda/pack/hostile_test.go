package pack

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// raw is an archive that no honest writer makes: entries with headers of their own, over content that
// lies anywhere in it.
type raw struct {
	t    testing.TB
	body bytes.Buffer // local headers and content
	dir  bytes.Buffer
	n    int
}

// claim is what an entry says of itself.
type claim struct {
	name          string
	method, flags uint16
	crc           uint32
	packed, size  uint32
	at            uint32 // of the local header
	mode          fs.FileMode
	extra         []byte
}

// local writes a header and content, and returns where the header lies.
func (r *raw) local(c claim, content []byte) uint32 {
	at := uint32(r.body.Len())
	r.put(&r.body, uint32(0x04034b50), uint16(20), c.flags, c.method, uint32(0), c.crc, c.packed, c.size, uint16(len(c.name)), uint16(0))
	r.body.WriteString(c.name)
	r.body.Write(content)
	return at
}

// entry writes an entry of the directory.
func (r *raw) entry(c claim) {
	var h zip.FileHeader
	if c.mode != 0 {
		h.SetMode(c.mode)
	}
	r.put(&r.dir, uint32(0x02014b50), uint16(3<<8|20), uint16(20), c.flags, c.method, uint32(0), c.crc, c.packed, c.size,
		uint16(len(c.name)), uint16(len(c.extra)), uint16(0), uint16(0), uint16(0), h.ExternalAttrs, c.at)
	r.dir.WriteString(c.name)
	r.dir.Write(c.extra)
	r.n++
}

func (r *raw) put(b *bytes.Buffer, fields ...any) {
	for _, f := range fields {
		if err := binary.Write(b, binary.LittleEndian, f); err != nil {
			r.t.Fatal(err)
		}
	}
}

// bytes are the archive, of which the directory says that it has n entries.
func (r *raw) bytes(n int) []byte {
	var b bytes.Buffer
	b.Write(r.body.Bytes())
	b.Write(r.dir.Bytes())
	r.put(&b, uint32(0x06054b50), uint16(0), uint16(0), uint16(n), uint16(n), uint32(r.dir.Len()), uint32(r.body.Len()), uint16(0))
	return b.Bytes()
}

// stored is one entry without compression, which c may say otherwise of.
func stored(t testing.TB, name, content string, change func(*claim)) []byte {
	r := &raw{t: t}
	c := claim{name: name, crc: crc32.ChecksumIEEE([]byte(content)), packed: uint32(len(content)), size: uint32(len(content))}
	c.at = r.local(c, []byte(content))
	if change != nil {
		change(&c)
	}
	r.entry(c)
	return r.bytes(1)
}

// overlapping has n entries over one piece of content: David Fifield's "A better zip bomb", 2019.
func overlapping(t testing.TB, n int) []byte {
	r := &raw{t: t}
	content := []byte(strings.Repeat("x", 4096))
	c := claim{name: "0", crc: crc32.ChecksumIEEE(content), packed: uint32(len(content)), size: uint32(len(content))}
	c.at = r.local(c, content)
	for i := range n {
		c.name = fmt.Sprint(i % 10)
		if i >= 10 {
			c.name = string(rune('a' + i - 10))
		}
		r.entry(c)
	}
	return r.bytes(n)
}

// quoted has a first entry whose content is the whole of the second, header included.
func quoted(t testing.TB) []byte {
	r, inner := &raw{t: t}, []byte("inner")
	b := claim{name: "b", crc: crc32.ChecksumIEEE(inner), packed: 5, size: 5}
	probe := &raw{t: t}
	probe.local(b, inner)
	a := claim{name: "a", crc: crc32.ChecksumIEEE(probe.body.Bytes()), packed: uint32(probe.body.Len()), size: uint32(probe.body.Len())}
	a.at = r.local(a, nil)
	b.at = r.local(b, inner)
	r.entry(a)
	r.entry(b)
	return r.bytes(2)
}

// swelling are archives that are more than they seem, or less.
func swelling(t testing.TB) map[string][]byte {
	zeros := strings.Repeat("\x00", 1<<20+1)
	var many []item
	for i := range ample.Entries + 1 {
		many = append(many, item{"f" + strings.Repeat("x", i), "", 0})
	}
	lie := archiveOf(t, item{"zeros", zeros, 0})
	copy(lie[bytes.LastIndex(lie, []byte(signature))+24:], []byte{10, 0, 0, 0})
	counted := stored(t, "a", "1", nil)
	copy(counted[len(counted)-14:], []byte{0, 0, 0, 0}) // no entries at all
	half := strings.Repeat("\x00", 600<<10)
	return map[string][]byte{
		"a file of a thousandth":         archiveOf(t, item{"zeros", zeros, 0}),
		"two files of half":              archiveOf(t, item{"a", half, 0}, item{"b", half, 0}),
		"a size that is a lie, small":    lie,
		"a size that is a lie, large":    stored(t, "a", "1", func(c *claim) { c.size = 1 << 19 }),
		"a size above all integers":      stored(t, "a", "1", func(c *claim) { c.size, c.extra = 1<<32-1, zip64(1<<63+5) }),
		"more entries than allowed":      archiveOf(t, many...),
		"a count that is a lie":          counted,
		"overlapping entries":            overlapping(t, 20),
		"an entry that holds another":    quoted(t),
		"content that is cut":            stored(t, "a", "1", func(c *claim) { c.packed, c.size = 1<<16, 1<<16 }),
		"a header beyond the end":        stored(t, "a", "1", func(c *claim) { c.at = 1 << 30 }),
		"a checksum of something else":   stored(t, "a", "1", func(c *claim) { c.crc++ }),
		"a compression that is not told": stored(t, "a", "1", func(c *claim) { c.method = 99 }),
		"encrypted":                      stored(t, "a", "1", func(c *claim) { c.flags = 1 }),
		"a link as long as a file":       stored(t, "a", strings.Repeat("b/", 1000), func(c *claim) { c.mode = fs.ModeSymlink | 0o777 }),
		"a socket":                       stored(t, "a", "1", func(c *claim) { c.mode = fs.ModeSocket | 0o600 }),
		"a terminal":                     stored(t, "a", "1", func(c *claim) { c.mode = fs.ModeDevice | fs.ModeCharDevice | 0o600 }),
		"a folder with content":          stored(t, "a/", "1", nil),
		"an archive cut in half":         archiveOf(t, item{"a", "1", 0}, item{"b", "2", 0})[:60],
	}
}

func zip64(size uint64) []byte {
	b := binary.LittleEndian.AppendUint16(nil, 1)
	b = binary.LittleEndian.AppendUint16(b, 8)
	return binary.LittleEndian.AppendUint64(b, size)
}

// least is how many hostile archives there are to be, of distinct kinds.
const least = 40

// TestHostileArchives: what swells, lies or overlaps is refused, whoever believes the directory, and
// leaves nothing but what the limit allows.
func TestHostileArchives(t *testing.T) {
	all := swelling(t)
	if n := len(all) + len(climbing()); n < least {
		t.Errorf("only %d kinds", n)
	}
	for name, z := range all {
		outside := t.TempDir()
		dir := filepath.Join(outside, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := Unpack(bytes.NewReader(z), int64(len(z)), dir, ample)
		_, bad := errors.AsType[*Error](err)
		if !bad && !isLarge(err) {
			t.Errorf("%s: %v", name, err)
		}
		written := int64(0)
		_ = filepath.WalkDir(outside, func(p string, d fs.DirEntry, err error) error {
			if info, ierr := d.Info(); err == nil && ierr == nil && d.Type().IsRegular() {
				written += info.Size()
			}
			return err
		})
		if list, _ := os.ReadDir(outside); len(list) != 1 || written > ample.Unzipped+1 {
			t.Errorf("%s left %d bytes, and outside %v", name, written, list)
		}
	}
}

// TestArchivesWithin: an archive in an archive is a file.
func TestArchivesWithin(t *testing.T) {
	bomb := string(archiveOf(t, item{"zeros", strings.Repeat("\x00", 1<<20), 0}))
	z := archiveOf(t, item{"a.zip", bomb, 0}, item{"b.jar", bomb, 0})
	dir := t.TempDir()
	if info, err := Unpack(bytes.NewReader(z), int64(len(z)), dir, ample); err != nil || info.Files != 2 || info.Unzipped != 2*int64(len(bomb)) {
		t.Errorf("%+v, %v", info, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "a.zip")); err != nil || string(b) != bomb {
		t.Errorf("the inner archive: %d bytes, %v", len(b), err)
	}
}
