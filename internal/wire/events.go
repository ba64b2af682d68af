package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/bastide-cloud/bastide/internal/wire/eventstream"
	"github.com/bastide-cloud/bastide/internal/wire/json"
	"github.com/bastide-cloud/bastide/internal/wire/plan"
)

// eventsType is the content type of every stream of events, whatever a member says that the stream is
// about.
const eventsType = "application/vnd.amazon.eventstream"

// eventStall is how long a client may take no byte of a stream before it is hung up on: what waits for
// it is bounded, but it must not wait for ever.
const eventStall = 2 * time.Minute

// ErrCutOff is an answer that broke off in its middle: whoever serves the connection must not end the
// body in order, so that no client takes it for whole.
var ErrCutOff = errors.New("wire: the answer broke off")

// writeEvents writes a stream of events, each as soon as it is there.
func writeEvents(w http.ResponseWriter, status int, p *plan.Struct, s plan.EventSource) (err error) {
	defer func() { err = errors.Join(err, s.CloseEvents()) }()
	w.Header()["Content-Type"] = []string{eventsType}
	conn := http.NewResponseController(w)
	w.WriteHeader(status)
	if err := conn.Flush(); err != nil {
		return err
	}
	var buf []byte
	for {
		v, err := s.NextEvent()
		if err == io.EOF {
			return deadline(conn, time.Time{})
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCutOff, err)
		}
		if buf, err = appendEvent(buf[:0], p, v); err != nil {
			return err
		}
		if err := deadline(conn, time.Now().Add(eventStall)); err != nil {
			return err
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		if err := conn.Flush(); err != nil {
			return err
		}
	}
}

// deadline bounds the next write where the connection can do that.
func deadline(conn *http.ResponseController, at time.Time) error {
	if err := conn.SetWriteDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// appendEvent writes one event: the member of the union that is there.
func appendEvent(b []byte, union *plan.Struct, v reflect.Value) ([]byte, error) {
	for _, f := range union.Fields {
		fv, ok := f.Get(v)
		if !ok {
			continue
		}
		kind, payload := "application/json", []byte(nil)
		if blob := f.Struct.Payload; blob != nil {
			kind = "application/octet-stream"
			if bv, ok := blob.Get(fv); ok {
				payload = bv.Bytes()
			}
		} else {
			payload = json.Append(nil, f.Struct, fv)
		}
		return eventstream.Append(b, eventstream.Message{Payload: payload, Headers: []eventstream.Header{
			{Name: ":event-type", Value: f.Name}, {Name: ":content-type", Value: kind}, {Name: ":message-type", Value: "event"}}})
	}
	return b, fmt.Errorf("wire: an event of %s that is none", union.Type)
}
