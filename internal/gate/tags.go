package gate

import (
	"maps"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/policy"
	"github.com/bastide-cloud/bastide/internal/store"
)

// RequestTags are the condition keys of the tags that a request brings; empty for none.
func RequestTags(tags map[string]string) map[string][]string {
	keys := make(map[string][]string, len(tags)+1)
	for k, v := range tags {
		keys["aws:RequestTag/"+k] = []string{v}
	}
	if len(tags) > 0 {
		keys["aws:TagKeys"] = slices.Sorted(maps.Keys(tags))
	}
	return keys
}

// Tagging is needs for an operation that brings tags, which may be asked for.
func Tagging[In any](needs func(*Ask, *In) ([]Need, error), tags func(*In) map[string]string) func(*Ask, *In) ([]Need, error) {
	return func(a *Ask, in *In) ([]Need, error) {
		ns, err := needs(a, in)
		if err != nil || len(ns) == 0 || len(tags(in)) == 0 {
			return ns, err
		}
		ns[0].Keys = cloned(ns[0].Keys)
		maps.Copy(ns[0].Keys, RequestTags(tags(in)))
		return ns, nil
	}
}

const resourceTag = "aws:resourcetag/"

// ResourceTags answers aws:ResourceTag, for Need.Lazy. A tag's name counts in any case.
func ResourceTags(tags map[string]string) func(key string) policy.Values {
	return func(key string) policy.Values {
		want, ok := strings.CutPrefix(key, resourceTag)
		if !ok {
			return policy.Values{}
		}
		for k, v := range tags {
			if strings.EqualFold(k, want) {
				return policy.One(v)
			}
		}
		return policy.Values{}
	}
}

// ResourceTags is ResourceTags of what is read only if a policy asks for a tag. What cannot be read
// has none; the handler meets the same error.
func (a *Ask) ResourceTags(read func(*store.Tx) (map[string]string, error)) func(key string) policy.Values {
	return func(key string) policy.Values {
		if !strings.HasPrefix(key, resourceTag) {
			return policy.Values{}
		}
		var tags map[string]string
		err := a.View(func(tx *store.Tx) (err error) {
			tags, err = read(tx)
			return err
		})
		if err != nil {
			return policy.Values{}
		}
		return ResourceTags(tags)(key)
	}
}
