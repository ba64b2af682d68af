package wire

import (
	"fmt"
	"reflect"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// In is an operation's input that keeps the model's constraints. Only Decode, from the wire, and
// Accept, from this process, make one.
type In struct {
	op    *Operation
	value any
}

// Operation is what the input is for; nil in the zero In.
func (in In) Operation() *Operation { return in.op }

// Value is a pointer to the operation's In type.
func (in In) Value() any { return in.value }

// Accept checks an input that was made in this process: its type, its constraints, its required
// members. in is a pointer to op.In.
func (op *Operation) Accept(in any) (In, error) {
	v := reflect.ValueOf(in)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Type().Elem() != op.In {
		return In{}, awserr.Wrap(fmt.Errorf("wire: %s:%s takes *%s, not %T", op.Service.ID, op.Name, op.In, in))
	}
	var check plan.Check
	check.Validate(op.input(), v.Elem(), true)
	if err := op.Service.invalid(check.Violations()); err != nil {
		return In{}, err
	}
	return In{op, in}, nil
}

func (op *Operation) input() *plan.Struct  { return op.Service.plans.Of(op.In) }
func (op *Operation) output() *plan.Struct { return op.Service.plans.Of(op.Out) }

// Streams reports whether the input's body is passed on unread.
func (op *Operation) Streams() bool {
	for i := range op.In.NumField() {
		if f := op.In.Field(i); f.Tag.Get("in") == "payload" && f.Type.Kind() == reflect.Interface {
			return true
		}
	}
	return false
}
