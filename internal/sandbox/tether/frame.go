package tether

// appendHead adds a frame's head.
func appendHead(b []byte, k kind, id uint32, n int) []byte {
	return append(b, byte(k), byte(id>>24), byte(id>>16), byte(id>>8), byte(id), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// parseHead reads a frame's head; b has headSize bytes.
func parseHead(b []byte) (k kind, id uint32, n int, err error) {
	k = kind(b[0])
	id = uint32(b[1])<<24 | uint32(b[2])<<16 | uint32(b[3])<<8 | uint32(b[4])
	size := uint32(b[5])<<24 | uint32(b[6])<<16 | uint32(b[7])<<8 | uint32(b[8])
	most := uint32(0)
	switch k {
	case kindOpen:
		most = maxPlace
	case kindData:
		most = piece
	case kindCredit:
		most = 4
	case kindShut, kindReset:
	case kindMessage:
		most = MaxMessage
	case kindDatagram:
		most = maxPlace + MaxDatagram
	default:
		return 0, 0, 0, ErrBroken
	}
	if size > most {
		return 0, 0, 0, ErrBroken
	}
	return k, id, int(size), nil
}

// maxPlace is the longest wire form of a Place: the number and two addresses with their lengths.
const maxPlace = 2 + 2*(1+255)

// appendPlace adds the wire form of p.
func appendPlace(b []byte, p Place) []byte {
	b = append(b, byte(p.Door>>8), byte(p.Door))
	for _, a := range []string{p.At, p.From} {
		a = a[:min(len(a), 255)]
		b = append(append(b, byte(len(a))), a...)
	}
	return b
}

// parsePlace reads a Place and returns what follows it.
func parsePlace(b []byte) (Place, []byte, error) {
	if len(b) < 2 {
		return Place{}, nil, ErrBroken
	}
	p := Place{Door: int(b[0])<<8 | int(b[1])}
	b = b[2:]
	for _, a := range []*string{&p.At, &p.From} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return Place{}, nil, ErrBroken
		}
		*a = string(b[1 : 1+int(b[0])])
		b = b[1+int(b[0]):]
	}
	return p, b, nil
}

// What an agent is to carry beside the doors, as bits.
const (
	WireChannel = 1 << iota
	WireStdout
	WireStderr
	WireJoined // descriptor 2 is the same as 1
)

// Messages beside those of package control.
const (
	// Usage is how many bytes of /tmp are in use, and, from the driver, the question.
	Usage = 200
	// Dial asks for a connection to a TCP port of the sandbox's 127.0.0.1. The agent opens it as one at the
	// door Dialed, whose At is the Tag of the question, or sends the message Dialed.
	Dial   = 201
	Dialed = 202
)

// DialedDoor is the number of the door of connections that the driver has asked for.
const DialedDoor = 1<<16 - 1

// AppendUsage adds the body of a Usage message.
func AppendUsage(b []byte, n uint64) []byte {
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

// ParseUsage reads it.
func ParseUsage(b []byte) (n uint64, err error) {
	if len(b) != 8 {
		return 0, ErrBroken
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, nil
}

// Call is the body of a Dial message, or of a Dialed one: what was asked for could not be had.
type Call struct {
	Tag   uint32 // says which question an answer is to
	Value uint32 // a port; or the error's number
}

// Append adds the wire form of c.
func (c Call) Append(b []byte) []byte {
	return appendNumber(appendNumber(b, c.Tag), c.Value)
}

// ParseCall reads it.
func ParseCall(b []byte) (c Call, err error) {
	if len(b) != 8 {
		return c, ErrBroken
	}
	return Call{number(b[:4]), number(b[4:])}, nil
}

// TagText is a tag as Place.At has it.
func TagText(tag uint32) string { return string(appendNumber(nil, tag)) }

// ParseTag reads it.
func ParseTag(at string) (uint32, error) {
	if len(at) != 4 {
		return 0, ErrBroken
	}
	return number([]byte(at)), nil
}

func appendNumber(b []byte, n uint32) []byte {
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func number(b []byte) (n uint32) {
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	return n
}
