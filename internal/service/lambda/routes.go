package lambda

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/base/way"
	"github.com/bastide-cloud/bastide/internal/sandbox/ca"
	"github.com/bastide-cloud/bastide/internal/sandbox/fleet"
)

// tagEgress is the tag that declares a function's ways out, separated by spaces and written as package
// way has them: "db.example.com:5432", "*.example.com:443", "10.0.0.0/8:5432", "private=db.corp:5432".
// localhost, a name below it and 127.0.0.1 are the machine that Bastide runs on. As a tag's value is
// short, tags "bastide:egress:" and any word declare more.
const tagEgress = "bastide:egress"

// declares tells whether a tag declares ways out.
func declares(tag string) bool { return tag == tagEgress || strings.HasPrefix(tag, tagEgress+":") }

// taken are ports of 127.0.0.1 that a function finds Bastide's own doors at.
var taken = []int{53, 443, 4566, 9001}

// declared is what tags declare of ways out, as written.
func declared(tags map[string]string) (texts []string) {
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		if declares(k) {
			texts = append(texts, strings.Fields(tags[k])...)
		}
	}
	return texts
}

// ways reads the ways out that tags declare. A wrong one is refused when it is tagged, not when the
// function runs.
func ways(tags map[string]string) ([]way.Way, error) {
	var out []way.Way
	for _, text := range declared(tags) {
		w, err := way.Parse(text)
		if err != nil {
			return nil, invalid("The tag %s: %q %s.", tagEgress, text, err)
		}
		if why := unfit(w); why != "" {
			return nil, invalid("The tag %s: %q %s.", tagEgress, text, why)
		}
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	if err := fleet.CheckWays(out); err != nil {
		return nil, invalid("The tag %s: %s.", tagEgress, strings.TrimPrefix(err.Error(), "fleet: "))
	}
	return out, nil
}

// unfit is why a function cannot have a way that is one otherwise.
func unfit(w way.Way) string {
	if ca.Covers(strings.TrimPrefix(w.Host, "*.")) || ca.Covers("x"+strings.TrimPrefix(w.Host, "*")) {
		return "is a host of AWS, which Bastide itself answers for"
	}
	if w.Host == "localhost" || w.Host == "127.0.0.1" {
		for _, port := range taken {
			if w.Opens(port) {
				return "is a port that Bastide answers at inside the sandbox; name it as this-machine.localhost:" + strconv.Itoa(port)
			}
		}
	}
	return ""
}
