package control

// Taking is the body of a Take frame: the file or directory on the host whose mount is wanted.
type Taking struct{ Path string }

// Append adds the wire form of v to b.
func (v Taking) Append(b []byte) []byte {
	e := encoder{b}
	e.text(v.Path)
	return e.b
}

// ParseTaking reads the body of a Take frame.
func ParseTaking(b []byte) (Taking, error) {
	d := decoder{b: b}
	v := Taking{Path: d.text()}
	return v, d.end()
}
