package plan

import "reflect"

// Events is a member that is a stream of events. E is the model's union: a struct of pointers, of
// which an event has one.
type Events[E any] struct {
	// Next is the next event; io.EOF after the last. It waits for as long as there is none.
	Next func() (*E, error)
	// Close gives up what was not read; it may be called more than once, and while Next waits.
	Close func() error
}

// EventSource is what every Events is, whatever its events.
type EventSource interface {
	// NextEvent is Next: the union itself.
	NextEvent() (reflect.Value, error)
	CloseEvents() error
	union() reflect.Type
}

// NextEvent is the next event.
func (e *Events[E]) NextEvent() (reflect.Value, error) {
	v, err := e.Next()
	if err != nil {
		return reflect.Value{}, err
	}
	return reflect.ValueOf(v).Elem(), nil
}

// CloseEvents gives up what was not read.
func (e *Events[E]) CloseEvents() error { return e.Close() }

func (e *Events[E]) union() reflect.Type { return reflect.TypeFor[E]() }

// unionOf is the type of the events of a stream; nil for a type that is none.
func unionOf(t reflect.Type) reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	s, ok := reflect.New(t).Interface().(EventSource)
	if !ok {
		return nil
	}
	return s.union()
}

var _ EventSource = (*Events[struct{}])(nil)
