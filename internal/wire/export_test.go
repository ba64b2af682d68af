package wire

import "io"

// Read is Decode without the constraints: the oracle's samples do not match patterns.
func (r Routed) Read(body []byte, stream io.Reader) (any, error) {
	in, _, err := r.read(body, stream)
	return in, err
}

// IsRegion is for the tests.
func IsRegion(s string) bool { return isRegion(s) }
