// Package subid reads which subordinate ids a machine's administrator has granted a user: ids of users and
// groups that are nobody else's, which the user's programs may have in user namespaces of their own
// (subuid(5), subgid(5)). A line of /etc/subuid grants one range:
//
//	ada:100000:65536
//
// Its first field is a user's name or number. A line that is none grants nothing, as newuidmap(1) has it.
package subid

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of a file, and of a line in it, in bytes.
const (
	MaxFile = 1 << 20
	MaxLine = 1024 // shadow-utils' own
)

// maxID is the highest id there is; the one above means none.
const maxID = 1<<32 - 2

// ErrTooLarge is a file above MaxFile.
var ErrTooLarge = errors.New("subid: the file is too large")

// Range is Count ids from First on. First is never 0, and no id is above the highest that there is.
type Range struct{ First, Count int }

// Holds tells whether an id is in the range.
func (r Range) Holds(id int) bool { return id >= r.First && id-r.First < r.Count }

// Largest is the largest range that a file grants to any of the names of a user; false if there is none.
func Largest(file io.Reader, names ...string) (Range, bool, error) {
	b, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err != nil {
		return Range{}, false, fmt.Errorf("subid: %w", err)
	}
	if len(b) > MaxFile {
		return Range{}, false, ErrTooLarge
	}
	var best Range
	for line := range strings.Lines(string(b)) {
		owner, r, ok := parse(strings.TrimSuffix(line, "\n"))
		if !ok || r.Count <= best.Count {
			continue
		}
		for _, name := range names {
			if name != "" && owner == name {
				best = r
			}
		}
	}
	return best, best.Count > 0, nil
}

// parse reads one line.
func parse(line string) (owner string, r Range, ok bool) {
	if len(line) > MaxLine {
		return "", Range{}, false
	}
	f := strings.Split(line, ":")
	if len(f) != 3 || f[0] == "" {
		return "", Range{}, false
	}
	first, err := strconv.ParseUint(f[1], 10, 32)
	count, cerr := strconv.ParseUint(f[2], 10, 32)
	if err != nil || cerr != nil || first == 0 || count == 0 || first+count-1 > maxID {
		return "", Range{}, false
	}
	return f[0], Range{First: int(first), Count: int(count)}, true
}
