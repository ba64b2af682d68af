package store_test

import (
	"bytes"
	"cmp"
	"testing"

	"pgregory.net/rapid"

	"github.com/bastide-cloud/bastide/internal/store"
)

// parts draws a tuple; its text leans to the bytes that the encoding treats specially.
func parts() *rapid.Generator[[]any] {
	text := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 1, 1, 2, 3, 'a', 0xFE, 0xFF}), 0, 4)
	part := rapid.OneOf(
		rapid.Map(text, func(b []byte) any { return string(b) }),
		rapid.Map(text, func(b []byte) any { return b }),
		rapid.Map(rapid.OneOf(rapid.Int64(), rapid.Int64Range(-2, 2)), func(n int64) any { return n }))
	return rapid.SliceOfN(part, 0, 4)
}

func rank(v any) int {
	switch v.(type) {
	case []byte:
		return 0
	case string:
		return 1
	}
	return 2
}

func compareTuples(a, b []any) int {
	for i := range min(len(a), len(b)) {
		if c := cmp.Compare(rank(a[i]), rank(b[i])); c != 0 {
			return c
		}
		var c int
		switch x := a[i].(type) {
		case string:
			c = cmp.Compare(x, b[i].(string))
		case []byte:
			c = bytes.Compare(x, b[i].([]byte))
		case int64:
			c = cmp.Compare(x, b[i].(int64))
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func TestKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := parts().Draw(t, "a"), parts().Draw(t, "b")
		ka, kb := store.K(a...), store.K(b...)
		if got, want := bytes.Compare(ka.Bytes(), kb.Bytes()), compareTuples(a, b); got != want {
			t.Fatalf("%v against %v: %d, want %d", a, b, got, want)
		}
		prefix := len(a) <= len(b) && compareTuples(a, b[:min(len(a), len(b))]) == 0
		if bytes.HasPrefix(kb.Bytes(), ka.Bytes()) != prefix {
			t.Fatalf("%v begins %v: want %v", a, b, prefix)
		}
		if prefix && len(a) > 0 && bytes.Compare(kb.Bytes(), ka.End().Bytes()) >= 0 {
			t.Fatalf("%v is not below the end of %v", b, a)
		}
		back, err := store.KeyOf(ka.Bytes())
		if err != nil || back != ka || compareTuples(back.Parts(), a) != 0 {
			t.Fatalf("%v came back as %v: %v", a, back.Parts(), err)
		}
	})
}

func FuzzKeyOf(f *testing.F) {
	f.Add(store.K("a", 1, []byte{0, 1}).Bytes())
	f.Add([]byte{2, 'a', 1, 3, 0})
	f.Add([]byte{3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := store.KeyOf(b)
		if err != nil {
			return
		}
		if again := store.K(k.Parts()...); again != k {
			t.Fatalf("%x reads as %v, which is written %x", b, k, again.Bytes())
		}
	})
}
