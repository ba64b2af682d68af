package eventlog

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
)

func read(t *testing.T, l *Log, q Query) (out []string) {
	t.Helper()
	for e, err := range l.Read(context.Background(), q) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Message)
	}
	return out
}

func TestEventsComeBackInOrderOfTimeAndArrival(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(Stream{"g", "a"}, 9, []Event{{At: 3, Message: "three"}, {At: 1, Message: "one"}, {At: 1, Message: "one again"}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(Stream{"g", "b"}, 9, []Event{{At: 2, Message: "two"}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(Stream{"other", "a"}, 9, []Event{{At: 2, Message: "elsewhere"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		q    Query
		want []string
	}{
		"a whole group":    {Query{Group: "g"}, []string{"one", "one again", "two", "three"}},
		"newest first":     {Query{Group: "g", Newest: true}, []string{"three", "two", "one again", "one"}},
		"a stream":         {Query{Group: "g", Streams: []string{"b"}}, []string{"two"}},
		"a prefix":         {Query{Group: "g", Prefix: "a"}, []string{"one", "one again", "three"}},
		"a stretch":        {Query{Group: "g", From: 2, To: 3}, []string{"two"}},
		"behind an event":  {Query{Group: "g", AfterAt: 1, AfterSeq: 2}, []string{"one again", "two", "three"}},
		"nobody's group":   {Query{Group: "h"}, nil},
		"before, backward": {Query{Group: "g", AfterAt: 2, AfterSeq: 4, Newest: true}, []string{"one again", "one"}},
	} {
		if got := read(t, l, c.q); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Delete(context.Background(), Stream{"g", ""}, 3); err != nil {
		t.Fatal(err)
	}
	if got := read(t, l, Query{Group: "g"}); !slices.Equal(got, []string{"three"}) {
		t.Errorf("after reopening and expiry: %q", got)
	}
}

func TestConcurrentAppendsLoseNothing(t *testing.T) {
	l, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 100 {
				if err := l.Append(Stream{"g", fmt.Sprint(w)}, 1, []Event{{At: int64(i), Message: "x"}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(read(t, l, Query{Group: "g"})); n != 800 {
		t.Errorf("%d events of 800", n)
	}
}
