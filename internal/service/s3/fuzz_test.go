package s3

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzSource(f *testing.F) {
	for _, s := range []string{"b/k", "/b/k%20x", "b/k?versionId=abc", "arn:aws:s3:::b/k", "b", "/", "b/%zz", "b/a?b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		src, err := parseSource(text)
		if err != nil {
			return
		}
		if src.bucket == "" || src.key == "" || strings.Contains(src.bucket, "/") || !utf8.ValidString(src.key) {
			t.Fatalf("%q gave %+v", text, src)
		}
	})
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=7-", "bytes=9-2", "bytes=99999999999999999999-"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		at, err := rangeOf(header, size)
		if err == nil && (at.off < 0 || at.n < 0 || at.off+at.n > size || at.some && at.n == 0) {
			t.Fatalf("%q of %d gave %+v", header, size, at)
		}
		if s, err := copyRange(&header, size); err == nil && (s.off < 0 || s.n <= 0 || s.off+s.n > size) {
			t.Fatalf("%q of %d gave %+v", header, size, s)
		}
	})
}

func FuzzHeaderTags(f *testing.F) {
	f.Add("a=1&b=2%20")
	f.Fuzz(func(t *testing.T, header string) {
		tags, err := headerTags(&header)
		if err != nil || len(tags) == 0 {
			return
		}
		q := url.Values{}
		for _, tag := range tags {
			q.Set(tag.Key, tag.Value)
		}
		again := q.Encode()
		if twice, err := headerTags(&again); err != nil || len(twice) != len(tags) || len(tags) > maxObjectTags {
			t.Fatalf("%q: %v, %v", header, tags, err)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add("MWE")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := openToken(&text); err == nil {
			again := token(key)
			if back, err := openToken(&again); err != nil || back != key {
				t.Fatalf("%q: %q, %v", text, back, err)
			}
		}
	})
}
