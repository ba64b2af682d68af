package tree

import (
	"fmt"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
)

// Error is a template that cannot be accepted: the message as CloudFormation words it, and the
// places that it speaks of. It unwraps to the ValidationError that a client receives, or, when
// Unbuilt, to a NotImplemented: the template is good but needs what Bastide has not built. Causes
// are the single errors when several were found at once.
type Error struct {
	Message string
	At      []Pos
	Unbuilt bool
	Causes  []*Error
}

// Errorf makes an Error at a position; the zero Pos is left out.
func Errorf(p Pos, format string, args ...any) *Error {
	e := &Error{Message: fmt.Sprintf(format, args...)}
	if p != (Pos{}) {
		e.At = []Pos{p}
	}
	return e
}

// Unbuiltf makes an Error for what is not built.
func Unbuiltf(p Pos, format string, args ...any) *Error {
	e := Errorf(p, format, args...)
	e.Unbuilt = true
	return e
}

// Error is the message followed by its positions in parentheses and by its causes.
func (e *Error) Error() string {
	if len(e.Causes) > 0 {
		parts := []string{e.Message}
		for _, c := range e.Causes {
			parts = append(parts, c.Error())
		}
		return strings.Join(parts, " ")
	}
	if len(e.At) == 0 {
		return e.Message
	}
	at := make([]string, len(e.At))
	for i, p := range e.At {
		at[i] = p.String()
	}
	return e.Message + " (" + strings.Join(at, "; ") + ")"
}

// Unwrap is the error that a protocol can encode.
func (e *Error) Unwrap() error {
	if e.Unbuilt {
		return awserr.Of(awserr.NotImplemented, "%s", e.Error())
	}
	return awserr.New("ValidationError", 400, "%s", e.Error())
}
