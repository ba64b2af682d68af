package frames

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

func sealed(t testing.TB, key, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(b, key []byte, size, off, n int64) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(b), key, size)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r.Section(off, n))
}

func TestEverySection(t *testing.T) {
	key := bytes.Repeat([]byte{7}, KeySize)
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, plain - 1, plain, plain + 1, 3*plain + 5} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		b := sealed(t, key, data)
		for range 20 {
			off, n := random.Int64N(int64(size)+2), random.Int64N(int64(size)+2)
			got, err := read(b, key, int64(size), off, n)
			want := data[min(off, int64(size)):min(off+n, int64(size))]
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("size %d, %d from %d: %d bytes, %v", size, n, off, len(got), err)
			}
		}
	}
}

func TestDamage(t *testing.T) {
	key, data := bytes.Repeat([]byte{7}, KeySize), bytes.Repeat([]byte("x"), 2*plain+9)
	b := sealed(t, key, data)
	const full = plain + overhead
	swapped := bytes.Join([][]byte{b[full : 2*full], b[:full], b[2*full:]}, nil)
	flipped := bytes.Clone(b)
	flipped[100] ^= 1
	for name, c := range map[string]struct {
		b    []byte
		size int
		key  []byte
	}{
		"flipped bit":                {flipped, len(data), key},
		"frames swapped":             {swapped, len(data), key},
		"cut at a frame":             {b[:2*full], 2 * plain, key},
		"cut and the size believed":  {b[:2*full], len(data), key},
		"another key":                {b, len(data), bytes.Repeat([]byte{8}, KeySize)},
		"a size that it never had":   {b, len(data) + 1, key},
		"first frame said to be all": {b[:full], plain, key},
	} {
		if _, err := read(c.b, c.key, int64(c.size), 0, int64(c.size)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	key := bytes.Repeat([]byte{7}, KeySize)
	f.Add(sealed(f, key, []byte("hello")), int64(5), int64(0), int64(5))
	f.Fuzz(func(t *testing.T, b []byte, size, off, n int64) {
		got, err := read(b, key, size, off, n)
		if err == nil && int64(len(got)) > max(size, 0) {
			t.Fatalf("%d bytes of %d", len(got), size)
		}
	})
}
