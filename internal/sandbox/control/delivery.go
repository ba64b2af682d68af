package control

// Delivery is the body of a Deliver frame: what a sandbox whose root stands already was waiting for.
// The sources of mounts are paths below Setup.Store, or the frame's descriptors; their targets are
// directories that Setup made. It is answered by Done, with one listening socket for each door.
type Delivery struct {
	Mounts   []Mount
	Layers   []Mount
	Doors    []Door
	TmpBytes uint64  // the new bound of /tmp; 0: as it is
	Limits   []Limit // of the process, started or not; never above what it has
}

// Append adds the wire form of v to b.
func (v *Delivery) Append(b []byte) []byte {
	e := encoder{b}
	e.mounts(v.Mounts)
	e.mounts(v.Layers)
	e.doors(v.Doors)
	e.number(v.TmpBytes)
	e.limits(v.Limits)
	return e.b
}

// ParseDelivery reads the body of a Deliver frame.
func ParseDelivery(b []byte) (*Delivery, error) {
	d := decoder{b: b}
	v := &Delivery{Mounts: d.mounts(), Layers: d.mounts(), Doors: d.doors(), TmpBytes: d.number(), Limits: d.limits()}
	return v, d.end()
}

func (e *encoder) doors(ds []Door) {
	e.number(uint64(len(ds)))
	for _, d := range ds {
		e.flag(d.Datagram)
		e.flag(d.Watch)
		e.flag(d.Shared)
		e.text(d.IP)
		e.number(uint64(d.Port))
	}
}

func (d *decoder) doors() (ds []Door) {
	for range d.count() {
		ds = append(ds, Door{Datagram: d.flag(), Watch: d.flag(), Shared: d.flag(), IP: d.text(), Port: uint16(d.number())})
	}
	return ds
}

func (e *encoder) limits(ls []Limit) {
	e.number(uint64(len(ls)))
	for _, l := range ls {
		e.number(l.Resource)
		e.number(l.Value)
	}
}

func (d *decoder) limits() (ls []Limit) {
	for range d.count() {
		ls = append(ls, Limit{Resource: d.number(), Value: d.number()})
	}
	return ls
}
