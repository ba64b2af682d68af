package item

// Keys are encoded so that the order of the bytes is the order of the values, and so that no
// encoding is the beginning of another one: components can be put after one another and still
// sort by the first, then the second.
const (
	escape     = 0x00 // in S and B a zero byte becomes 00 FF, the end is 00 01
	escapedNul = 0xff
	endOfText  = 0x01

	negative = 0x01
	zero     = 0x02
	positive = 0x03
)

// AppendKey appends the sortable form of an S, N or B value. Components of different types do not
// compare; a table's schema fixes the type of each key.
func AppendKey(dst []byte, v Value) []byte {
	switch v.typ {
	case String, Binary:
		return append(AppendKeyPrefix(dst, v.text), escape, endOfText)
	case Number:
		return appendNumberKey(dst, v.text)
	}
	return dst
}

// AppendKeyPrefix appends the sortable form of the beginning of an S or B value: every value that
// begins with text has a key that begins with these bytes.
func AppendKeyPrefix(dst []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		dst = append(dst, text[i])
		if text[i] == escape {
			dst = append(dst, escapedNul)
		}
	}
	return dst
}

// appendNumberKey writes sign, exponent and digits in pairs (1 to 100), ended by a zero; of a
// negative number all bytes after the sign are complemented, so that the greater magnitude sorts
// first. The exponent's range of 256 values fits one byte exactly.
func appendNumberKey(dst []byte, canon string) []byte {
	d, _ := parseDecimal(canon)
	if d.n == 0 {
		return append(dst, zero)
	}
	var flip byte
	if d.neg {
		dst = append(dst, negative)
		flip = 0xff
	} else {
		dst = append(dst, positive)
	}
	dst = append(dst, byte(d.exp-minExp)^flip)
	for i := 0; i < d.n; i += 2 {
		pair := (d.d[i] - '0') * 10
		if i+1 < d.n {
			pair += d.d[i+1] - '0'
		}
		dst = append(dst, (pair+1)^flip)
	}
	return append(dst, 0^flip)
}
