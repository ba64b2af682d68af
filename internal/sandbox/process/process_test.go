package process

import (
	"errors"
	"testing"
)

// TestRefusesUnnamed: nobody gets this driver who has not asked for it.
func TestRefusesUnnamed(t *testing.T) {
	if d, err := New(Config{Init: []byte("x"), Dir: t.TempDir()}); !errors.Is(err, ErrUnnamed) {
		t.Errorf("%v, %v", d, err)
	}
}

// TestMoved: paths and addresses are changed where they stand by themselves, and nowhere else.
func TestMoved(t *testing.T) {
	b := &box{dir: "/d", targets: []string{"/var/task", "/opt", "/tmp"}, doors: []*door{{at: "127.0.0.1:9001", port: "9001", is: "127.0.0.1:4000"}}}
	for in, want := range map[string]string{
		"/var/task": "/d/var/task", "/var/tasks": "/var/tasks", "/opt/lib:/usr/lib:/var/task/lib": "/d/opt/lib:/usr/lib:/d/var/task/lib",
		"127.0.0.1:9001": "127.0.0.1:4000", "http://localhost:9001/x": "http://127.0.0.1:4000/x", "127.0.0.1:90011": "127.0.0.1:90011",
		"--flag=/tmp/x": "--flag=/d/tmp/x", "x/tmp": "x/tmp", "": "",
	} {
		if got := b.moved(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
