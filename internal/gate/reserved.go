package gate

import (
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/identity"
)

// Reserved is the first of some tag keys that the caller may neither put nor take away: those that
// begin with aws:, in any case, are for services, and for calls that a service makes on a caller's
// behalf, as CloudFormation does. Source: AWS Tagging Best Practices, "Tag naming limits".
func (s *scope) Reserved(keys ...string) (key string, is bool) {
	if len(s.entry.Source.Via) > 0 || s.entry.Principal.Kind() == identity.KindService {
		return "", false
	}
	i := slices.IndexFunc(keys, func(k string) bool { return len(k) >= 4 && strings.EqualFold(k[:4], "aws:") })
	if i < 0 {
		return "", false
	}
	return keys[i], true
}

// reserved refuses a call that is about such a tag, in the words of its service.
func (c *Call) reserved() error {
	if c.op.reserved == nil {
		return nil
	}
	for _, n := range c.needs {
		if key, is := c.Reserved(n.Keys["aws:TagKeys"]...); is {
			return c.op.reserved(key)
		}
	}
	return nil
}

// Untagging is needs for an operation that takes tags away: their keys may be asked for.
func Untagging[In any](needs func(*Ask, *In) ([]Need, error), keys func(*In) []string) func(*Ask, *In) ([]Need, error) {
	return func(a *Ask, in *In) ([]Need, error) {
		ns, err := needs(a, in)
		if err != nil || len(ns) == 0 || len(keys(in)) == 0 {
			return ns, err
		}
		ns[0].Keys = cloned(ns[0].Keys)
		ns[0].Keys["aws:TagKeys"] = keys(in)
		return ns, nil
	}
}

func cloned(keys map[string][]string) map[string][]string {
	out := make(map[string][]string, len(keys)+1)
	for k, v := range keys {
		out[k] = v
	}
	return out
}
