package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sys/unix"
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
	in       *os.File // where answers come from; only a terminal is asked
	colour   bool
	mu       *sync.Mutex
}

// NewTerminal writes results to out and progress to err.
func NewTerminal(out, err io.Writer, asJSON bool) Terminal {
	colour := !asJSON && isTerminal(out) && isTerminal(err) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return Terminal{JSON: asJSON, out: out, err: err, in: os.Stdin, colour: colour, mu: new(sync.Mutex)}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Ask asks a question that is answered with yes or no; nobody to ask is a no.
func (t Terminal) Ask(ctx context.Context, format string, args ...any) bool {
	if t.JSON || !isTerminal(t.in) || !isTerminal(t.err) {
		return false
	}
	t.mu.Lock()
	fmt.Fprint(t.err, plain(fmt.Sprintf(format, args...)), " [y/N] ")
	t.mu.Unlock()
	answer := make(chan string, 1)
	go func() {
		var word string
		_, _ = fmt.Fscanln(t.in, &word) // an empty line is a no
		answer <- word
	}()
	select {
	case word := <-answer:
		return strings.EqualFold(word, "y") || strings.EqualFold(word, "yes")
	case <-ctx.Done():
		return false
	}
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
// caller's name), so that it cannot drive the terminal; those too that turn the direction of a text, and
// so show another than there is, and other breaks of lines.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029') {
			return -1
		}
		return r
	}, s)
}

// shown is an answer as the terminal may have it; what is no terminal gets it as it is.
func (t Terminal) shown(b []byte) string {
	if !isTerminal(t.out) {
		return string(b)
	}
	lines := strings.Split(string(b), "\n")
	for i, l := range lines {
		lines[i] = plain(l)
	}
	return strings.Join(lines, "\n")
}
