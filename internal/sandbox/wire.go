package sandbox

import "github.com/bastide-cloud/bastide/internal/sandbox/control"

// Prepared is s with defaults filled in, for drivers outside this package. The error is a *StartError
// when s cannot be meant.
func (s Spec) Prepared() (Spec, error) {
	s = s.withDefaults()
	if err := s.check(); err != nil {
		return s, &StartError{ID: s.ID, Stage: "check the specification", Err: err}
	}
	return s, nil
}

// Wire are doors in the init's words.
func Wire(specs []DoorSpec) ([]control.Door, error) {
	var doors []control.Door
	for _, spec := range specs {
		d, err := spec.door()
		if err != nil {
			return nil, err
		}
		doors = append(doors, d)
	}
	return doors, nil
}
