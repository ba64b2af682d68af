package policy

// Keys is a Context filled by hand. The zero Keys is empty and ready. It is not safe for concurrent use.
type Keys struct {
	list []entry
}

type entry struct {
	key    string
	values Values
	later  func() Values
}

// Set gives key one value, replacing what it had.
func (k *Keys) Set(key, value string) { k.put(entry{key: key, values: One(value)}) }

// SetAll gives key the values of a multi-valued key.
func (k *Keys) SetAll(key string, values []string) { k.put(entry{key: key, values: Many(values)}) }

// SetLater gives key a value that is computed when first asked for.
func (k *Keys) SetLater(key string, f func() Values) { k.put(entry{key: key, later: f}) }

func (k *Keys) put(e entry) {
	for i := range k.list {
		if equalFold(k.list[i].key, e.key) {
			k.list[i] = e
			return
		}
	}
	k.list = append(k.list, e)
}

// Lookup implements Context.
func (k *Keys) Lookup(key string) Values {
	for i := range k.list {
		e := &k.list[i]
		if !equalFold(e.key, key) {
			continue
		}
		if e.later != nil {
			e.values, e.later = e.later(), nil
		}
		return e.values
	}
	return Values{}
}

var _ Context = (*Keys)(nil)
