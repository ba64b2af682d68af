package cloudformation

import (
	"encoding/base64"
	"strconv"
)

const pageSize = 100

// page cuts one page of a list that keeps its order; the token is where the next begins.
func page[T any](all []T, token *string) ([]T, *string, error) {
	from := 0
	if token != nil {
		b, err := base64.RawURLEncoding.DecodeString(*token)
		if err == nil {
			from, err = strconv.Atoi(string(b))
		}
		if err != nil || from < 0 || from > len(all) {
			return nil, nil, invalid("NextToken is not valid.")
		}
	}
	to := min(from+pageSize, len(all))
	var next *string
	if to < len(all) {
		next = new(base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(to))))
	}
	return all[from:to], next, nil
}

func writeToken(seq int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(seq, 10)))
}

func readToken(token string) (int64, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		var seq int64
		if seq, err = strconv.ParseInt(string(b), 10, 64); err == nil {
			return seq, nil
		}
	}
	return 0, invalid("NextToken is not valid.")
}
