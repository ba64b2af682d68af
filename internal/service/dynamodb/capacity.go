package dynamodb

import (
	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

// Capacity units (Developer Guide, "Read and write operations"): a write unit is 1 KB, a strongly
// consistent read unit 4 KB, an eventually consistent one half of that, and transactions cost
// twice. What does not exist costs one unit.

func writeUnits(size int) int { return max(1, (size+1023)/1024) }

func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+4095)/4096))
	if consistent {
		return units
	}
	return units / 2
}

// spent is what one request used of one table.
type spent struct {
	table    *table
	read     float64
	write    float64
	base     float64 // the table's own part
	local    map[string]float64
	global   map[string]float64
	transact bool
}

// wrote is what a write used.
func (o *outcome) spent(transact bool) *spent {
	s := &spent{table: o.table, transact: transact}
	s.addWrite(o)
	return s
}

func (s *spent) addWrite(o *outcome) {
	factor := 1.0
	if s.transact {
		factor = 2
	}
	units := float64(max(writeUnits(o.old.Size()), writeUnits(o.new.Size()))) * factor
	s.base += units
	s.write += units
	for name, n := range o.indexes {
		s.onIndex(name, float64(n)*factor)
		s.write += float64(n) * factor
	}
}

func (s *spent) onIndex(name string, units float64) {
	ix, ok := s.table.index(name)
	if !ok {
		return
	}
	m := &s.global
	if ix.Local {
		m = &s.local
	}
	if *m == nil {
		*m = map[string]float64{}
	}
	(*m)[name] += units
}

// report is the ConsumedCapacity of an answer, nil unless it was asked for.
func (s *spent) report(mode string) *api.ConsumedCapacity {
	if s == nil || s.table == nil || (mode != "TOTAL" && mode != "INDEXES") {
		return nil
	}
	out := &api.ConsumedCapacity{TableName: &s.table.Name, CapacityUnits: ptr(s.read + s.write)}
	if s.transact {
		if s.read > 0 {
			out.ReadCapacityUnits = ptr(s.read)
		}
		if s.write > 0 {
			out.WriteCapacityUnits = ptr(s.write)
		}
	}
	if mode == "INDEXES" {
		out.Table = s.capacity(s.base)
		out.LocalSecondaryIndexes = s.capacities(s.local)
		out.GlobalSecondaryIndexes = s.capacities(s.global)
	}
	return out
}

func (s *spent) capacity(units float64) *api.Capacity {
	c := &api.Capacity{CapacityUnits: ptr(units)}
	if s.transact && s.write > 0 {
		c.WriteCapacityUnits = ptr(units)
	} else if s.transact {
		c.ReadCapacityUnits = ptr(units)
	}
	return c
}

func (s *spent) capacities(m map[string]float64) map[string]api.Capacity {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]api.Capacity, len(m))
	for name, units := range m {
		out[name] = *s.capacity(units)
	}
	return out
}

func ptr[T any](v T) *T { return &v }

// sizeOf is an item's size for its read units, 0 for one that does not exist.
func sizeOf(it item.Item) int {
	if it == nil {
		return 0
	}
	return it.Size()
}
