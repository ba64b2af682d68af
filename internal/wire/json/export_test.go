package json

// Valid reports whether data is one JSON value within the limits.
func Valid(data []byte, limits Limits) error {
	d := newDecoder(data, nil, limits)
	if err := d.skip(); err != nil {
		return err
	}
	return d.end()
}
