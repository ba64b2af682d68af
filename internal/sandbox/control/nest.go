package control

// Adoption is the body of an Adopt frame: a process that was not forked by the init which hears of it, by its
// pid as that init sees it, and how it was to be started, of which the fence is laid around all that is
// started beside it.
type Adoption struct {
	PID     uint64
	Process Process
}

// Append adds the wire form of v to b.
func (v *Adoption) Append(b []byte) []byte {
	e := encoder{b}
	e.number(v.PID)
	return v.Process.Append(e.b)
}

// ParseAdoption reads the body of an Adopt frame.
func ParseAdoption(b []byte) (Adoption, error) {
	d := decoder{b: b}
	v := Adoption{PID: d.pid(), Process: d.process()}
	return v, d.end()
}

// Ward is the body of Adopted and Orphan frames: how a process has ended, by its pid as the hearer, or
// for Orphan the teller, sees it.
type Ward struct {
	PID    uint64
	Status Status
}

// Append adds the wire form of v to b.
func (v Ward) Append(b []byte) []byte {
	e := encoder{b}
	e.number(v.PID)
	return v.Status.Append(e.b)
}

// ParseWard reads the body of an Adopted or Orphan frame.
func ParseWard(b []byte) (Ward, error) {
	d := decoder{b: b}
	v := Ward{PID: d.pid(), Status: Status{Code: d.number(), Signal: d.number()}}
	return v, d.end()
}

// pid is that of a process other than an init; the kernel's PID_MAX_LIMIT bounds it.
func (d *decoder) pid() uint64 {
	n := d.number()
	if n < 2 || n > 1<<22 {
		d.bad = true
	}
	return n
}
