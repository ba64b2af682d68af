package control

// Child is the body of a Spawn frame: one more process under a number of its own, from 1; the one of
// Start has 0. Two descriptors travel with the frame, which become its output and its error output.
type Child struct {
	Number  uint64
	Process Process
}

// Append adds the wire form of c to b.
func (c *Child) Append(b []byte) []byte {
	e := encoder{b}
	e.number(c.Number)
	return c.Process.Append(e.b)
}

// ParseChild reads the body of a Spawn frame.
func ParseChild(b []byte) (*Child, error) {
	d := decoder{b: b}
	c := &Child{Number: d.number(), Process: d.process()}
	return c, d.end()
}

// End is the body of an Ended frame: which process, and how.
type End struct {
	Number uint64
	Status Status
}

// Append adds the wire form of v to b.
func (v End) Append(b []byte) []byte {
	e := encoder{b}
	e.number(v.Number)
	return v.Status.Append(e.b)
}

// ParseEnd reads the body of an Ended frame.
func ParseEnd(b []byte) (End, error) {
	d := decoder{b: b}
	v := End{Number: d.number(), Status: Status{Code: d.number(), Signal: d.number()}}
	return v, d.end()
}

// Sign is the body of a Signal frame: a signal for the process group of one process.
type Sign struct{ Number, Signal uint64 }

// Append adds the wire form of v to b.
func (v Sign) Append(b []byte) []byte {
	e := encoder{b}
	e.number(v.Number)
	e.number(v.Signal)
	return e.b
}

// ParseSign reads the body of a Signal frame.
func ParseSign(b []byte) (Sign, error) {
	d := decoder{b: b}
	v := Sign{Number: d.number(), Signal: d.number()}
	return v, d.end()
}

// Port is the body of a Dial frame: a TCP port of 127.0.0.1.
type Port uint16

// Append adds the wire form of p to b.
func (p Port) Append(b []byte) []byte {
	e := encoder{b}
	e.number(uint64(p))
	return e.b
}

// ParsePort reads the body of a Dial frame.
func ParsePort(b []byte) (Port, error) {
	d := decoder{b: b}
	n := d.number()
	if n == 0 || n > 1<<16-1 {
		d.bad = true
	}
	return Port(n), d.end()
}
