package mapping

import (
	"bytes"
	"encoding/json"
)

// failures are the records of a batch that an answer says have failed, by index, in order; all is true
// where the whole batch has. An answer without failures, empty or null means that none has; one that is
// malformed, or names a record that is not in the batch, that all have. Source: AWS Lambda Developer
// Guide, "Success and failure conditions" of reporting batch item failures.
func failures(payload []byte, records []Record) (failed []int, all bool) {
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 || bytes.Equal(payload, []byte("null")) {
		return nil, false
	}
	var answer struct {
		Failures *[]json.RawMessage `json:"batchItemFailures"`
	}
	if !exact(payload, &answer, "batchItemFailures") {
		return nil, true
	}
	if answer.Failures == nil {
		return nil, false
	}
	index := make(map[string]int, len(records))
	for i, r := range records {
		index[r.ID] = i
	}
	bad := make([]bool, len(records))
	for _, item := range *answer.Failures {
		var one struct {
			ID *string `json:"itemIdentifier"`
		}
		if !exact(item, &one, "itemIdentifier") || one.ID == nil {
			return nil, true
		}
		i, ok := index[*one.ID]
		if !ok {
			return nil, true
		}
		bad[i] = true
	}
	for i, b := range bad {
		if b {
			failed = append(failed, i)
		}
	}
	return failed, false
}

// exact reads an object; it reports false for anything else. The member must be written as it is: the
// json package takes other cases too.
func exact(b []byte, into any, member string) bool {
	var m map[string]json.RawMessage
	if json.Unmarshal(b, &m) != nil || m == nil {
		return false
	}
	only, err := json.Marshal(map[string]json.RawMessage{member: m[member]})
	return err == nil && json.Unmarshal(only, into) == nil
}
