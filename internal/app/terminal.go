package app

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// ExitError ends the process with a code of its own; Err, if any, is said.
type ExitError struct {
	Code int
	Err  error
}

func (e ExitError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("exit %d", e.Code)
}

// Terminal is where a command writes. Results go to Out, progress to Err; colours only where Out
// is a terminal and NO_COLOR is not set.
type Terminal struct {
	JSON bool

	out, err io.Writer
	colour   bool
	mu       *sync.Mutex
}

// NewTerminal writes results to out and progress to err.
func NewTerminal(out, err io.Writer, asJSON bool) Terminal {
	return Terminal{JSON: asJSON, out: out, err: err, colour: !asJSON && isTerminal(out) && os.Getenv("NO_COLOR") == "", mu: new(sync.Mutex)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Print writes a value: as JSON on one line.
func (t Terminal) Print(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.Line("%s", b)
}

// Line writes one line of the result.
func (t Terminal) Line(format string, args ...any) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := fmt.Fprintf(t.out, format+"\n", args...)
	return err
}

// Progress says what is going on; nothing of the result.
func (t Terminal) Progress(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.err, format+"\n", args...)
}

// once is Progress for a line that was not said before.
func (t Terminal) once(said map[string]bool, line string) {
	t.mu.Lock()
	again := said[line]
	said[line] = true
	t.mu.Unlock()
	if !again {
		t.Progress("%s", plain(line))
	}
}

// The few colours, by what they mean.
const (
	green  = "32"
	red    = "31"
	yellow = "33"
	bold   = "1"
	faint  = "2"
)

// paint colours s where colours are shown.
func (t Terminal) paint(colour, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// plain takes control characters out of text that came from elsewhere (a function's output, a
// caller's name), so that it cannot drive the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}
