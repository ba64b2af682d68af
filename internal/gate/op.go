package gate

import (
	"fmt"
	"reflect"

	"github.com/bastide-cloud/bastide/internal/wire"
)

// Access says how an operation touches state, which decides how it is recorded.
type Access int

const (
	// Read changes nothing; its record may be group-committed.
	Read Access = iota + 1
	// Write changes state in one Update; its record commits with the change.
	Write
	// Invoke runs something that may take long and holds no transaction while it waits; its
	// admission and its completion are recorded.
	Invoke
)

// Op is one row of a service's table: the operation, what it needs, what does it.
type Op struct {
	Wire   *wire.Operation
	Access Access

	in, out reflect.Type
	needs   func(*Ask, any) ([]Need, error)
	handle  func(*Call, any) (any, error)
	record  func(any) any
	empties bool
}

// On binds an operation of the model to its needs and its handler. The types must be those of
// the model; New refuses a table where they are not.
func On[In, Out any](op *wire.Operation, access Access, needs func(*Ask, *In) ([]Need, error), handle func(*Call, *In) (*Out, error)) Op {
	o := Op{Wire: op, Access: access, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out]()}
	if needs != nil {
		o.needs = func(a *Ask, in any) ([]Need, error) { return needs(a, in.(*In)) }
	}
	if handle != nil {
		o.handle = func(c *Call, in any) (any, error) {
			out, err := handle(c, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		}
	}
	return o
}

// Recording replaces what the audit record says of the request: data operations name the row
// that they touched rather than its content.
func Recording[In any](o Op, view func(*In) any) Op {
	o.record = func(in any) any { return view(in.(*In)) }
	return o
}

// Emptying lets a Write empty every service at once (Call.Empty): a reset.
func Emptying(o Op) Op {
	o.empties = true
	return o
}

// Open is the needs of an operation that every authenticated principal may call
// (sts:GetCallerIdentity): it needs nothing, and says so.
func Open[In any](*Ask, *In) ([]Need, error) { return nil, nil }

// Unit is a service as the gate knows it: its model, its table, and the store space that its
// data lives in.
type Unit struct {
	Model *wire.Service
	Ops   []Op
	// Reserved words the refusal of a tag that AWS keeps for itself, where the service leaves that to
	// the gate: every call whose needs name such a key in aws:TagKeys gets it (see Call.Reserved).
	Reserved func(key string) error
}

// check finds the faults of a table that must stop the start-up.
func (o Op) check() error {
	switch {
	case o.Wire == nil || o.Wire.Name == "":
		return fmt.Errorf("gate: an operation without a name")
	case o.Access < Read || o.Access > Invoke:
		return fmt.Errorf("gate: %s: no access given", o.Wire.Name)
	case o.needs == nil:
		return fmt.Errorf("gate: %s: no needs given; gate.Open says that there are none", o.Wire.Name)
	case o.handle == nil:
		return fmt.Errorf("gate: %s: no handler", o.Wire.Name)
	case o.Wire.In != o.in || o.Wire.Out != o.out:
		return fmt.Errorf("gate: %s: bound to %v → %v, the model has %v → %v", o.Wire.Name, o.in, o.out, o.Wire.In, o.Wire.Out)
	}
	return nil
}
