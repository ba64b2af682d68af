package audit

import (
	"encoding/binary"

	"github.com/bastide-cloud/bastide/internal/store"
)

// batch is a row of several records: what is noted comes many at a time, and a row each would cost
// more than all else that is done with them. The chain goes over the records, each with a sequence
// number of its own, and knows nothing of rows; a row's key has the number of its last record, so
// that what follows a number, up to another at which a row ends, is found by range.
//
// The row is batchFormat and, for each record in order, how far its number lies before the row's,
// its length (both uvarint) and itself. A row of one record is the record, which begins with "{".
type batch struct {
	seqs []int64
	raws [][]byte
	last int64 // the last record's sequence number
	size int   // bytes
}

const (
	batchFormat = 1
	batchBytes  = 64 << 10 // a row takes no further record from here on
)

func (b *batch) add(seq int64, raw []byte) {
	b.seqs, b.raws = append(b.seqs, seq), append(b.raws, raw)
	b.last, b.size = seq, b.size+len(raw)
}

func (b *batch) full() bool { return b.size >= batchBytes }

// row is how the batch is kept.
func (b *batch) row() []byte {
	if len(b.raws) == 1 {
		return b.raws[0]
	}
	out := append(make([]byte, 0, b.size+1+len(b.raws)*5), batchFormat)
	for i, raw := range b.raws {
		out = binary.AppendUvarint(out, uint64(b.last-b.seqs[i]))
		out = binary.AppendUvarint(out, uint64(len(raw)))
		out = append(out, raw...)
	}
	return out
}

// entries are the records of a row, appended to out: at least one, the last with the row's own
// number. A row that is no batch, or a damaged one, is one record as it stands: the chain then
// shows that it is not what was signed.
func entries(out []entry, e store.Entry[[]byte]) []entry {
	n, last := len(out), e.Key.Int(1)
	if len(e.Value) > 0 && e.Value[0] == batchFormat {
		if split, ok := splitBatch(out, last, e.Value[1:]); ok {
			return split
		}
	}
	return append(out[:n], entry{last, e.Value})
}

// splitBatch reads a row's records; their numbers must ascend and end with the row's own.
func splitBatch(out []entry, last int64, row []byte) ([]entry, bool) {
	before := uint64(1) << 62 // the distance of the record before
	for len(row) > 0 {
		distance, used := binary.Uvarint(row)
		if used <= 0 || distance >= before {
			return nil, false
		}
		row = row[used:]
		size, used := binary.Uvarint(row)
		if used <= 0 || size > uint64(len(row)-used) {
			return nil, false
		}
		end := used + int(size)
		out = append(out, entry{last - int64(distance), row[used:end:end]})
		row, before = row[end:], distance
	}
	return out, before == 0
}
