package deploy

import (
	"bytes"
	"encoding/json"
)

// UnmarshalJSON reads an instance with whole numbers as int64, as the template gives them: a
// property must be the same before and after a restart.
func (i *Instance) UnmarshalJSON(b []byte) error {
	type plain Instance
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode((*plain)(i)); err != nil {
		return err
	}
	for _, m := range []map[string]any{i.Properties, i.Attributes} {
		for k, v := range m {
			m[k] = number(v)
		}
	}
	i.Metadata = number(i.Metadata)
	return nil
}

func number(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = number(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = number(v[k])
		}
	}
	return v
}
