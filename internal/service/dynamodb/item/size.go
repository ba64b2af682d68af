package item

// MaxSize is the largest item that DynamoDB stores, in bytes by its own counting.
const MaxSize = 400 << 10

// MaxDepth is how deep values may nest, the attribute itself being the first level.
const MaxDepth = 32

// Size is the item's length in bytes as DynamoDB counts it: UTF-8 names plus values.
func (it Item) Size() int {
	n := 0
	for i := range it {
		n += len(it[i].Name) + it[i].Value.Size()
	}
	return n
}

// Size is the value's length in bytes as DynamoDB counts it. A list or map costs three bytes and
// one more for each element (Developer Guide, "DynamoDB item sizes and formats").
func (v Value) Size() int {
	switch v.typ {
	case String, Binary:
		return len(v.text)
	case Number:
		return numberSize(v.text)
	case Bool, Null:
		return 1
	case StringSet, NumberSet, BinarySet:
		n := 0
		for i := range v.list {
			n += v.list[i].Size()
		}
		return n
	case List:
		n := 3
		for i := range v.list {
			n += 1 + v.list[i].Size()
		}
		return n
	case Map:
		return 3 + len(v.attrs) + v.attrs.Size()
	}
	return 0
}

// Depth is how many levels the value has: 1 for a scalar or set, 2 for a list of scalars.
func (v Value) Depth() int {
	d := 0
	for i := range v.list {
		if v.typ == List {
			d = max(d, v.list[i].Depth())
		}
	}
	for i := range v.attrs {
		d = max(d, v.attrs[i].Value.Depth())
	}
	return d + 1
}
