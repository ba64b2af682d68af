package control

// encoder appends fields; lengths and numbers are unsigned varints.
type encoder struct{ b []byte }

func (e *encoder) number(v uint64) {
	for v >= 0x80 {
		e.b = append(e.b, byte(v)|0x80)
		v >>= 7
	}
	e.b = append(e.b, byte(v))
}

func (e *encoder) flag(v bool) {
	if v {
		e.number(1)
		return
	}
	e.number(0)
}

func (e *encoder) text(s string) {
	e.number(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) texts(ss []string) {
	e.number(uint64(len(ss)))
	for _, s := range ss {
		e.text(s)
	}
}

// decoder reads the same; the first fault sticks, and later reads give zero values.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	var v uint64
	for i := 0; i < 10; i++ {
		if len(d.b) == 0 {
			break
		}
		c := d.b[0]
		d.b = d.b[1:]
		if i == 9 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v
		}
	}
	d.bad = true
	d.b = nil
	return 0
}

func (d *decoder) flag() bool { return d.number() == 1 }

func (d *decoder) text() string {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.bad = true
		d.b = nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// count reads a number of elements; each takes at least one byte, so a count above what is left is
// a lie and must not size an allocation.
func (d *decoder) count() int {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.bad = true
		d.b = nil
		return 0
	}
	return int(n)
}

func (d *decoder) texts() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	ss := make([]string, 0, n)
	for range n {
		ss = append(ss, d.text())
	}
	return ss
}

// end is the fault, if any; bytes left over are one.
func (d *decoder) end() error {
	if d.bad || len(d.b) != 0 {
		return ErrFrame
	}
	return nil
}
