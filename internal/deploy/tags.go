package deploy

import (
	"maps"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/gate"
)

// TagEgress is the tag by which a function's outgoing routes reach the lambda service: "host:port"
// each, separated by spaces. The template declares them in the function's metadata.
const TagEgress = "bastide:egress"

// tagged adds the stack's tags and CloudFormation's own to properties that take tags. The
// resource's own tags win over the stack's.
func (s Stack) tagged(k kind, logicalID string, metadata any, props map[string]any) map[string]any {
	if k.tags == noTags {
		return props
	}
	add := maps.Clone(s.Tags)
	if add == nil {
		add = map[string]string{}
	}
	own := ownTags(props["Tags"])
	for key := range own {
		delete(add, key)
	}
	add[gate.TagStackID], add[gate.TagStackName], add[gate.TagLogicalID] = s.ID, s.Name, logicalID
	if routes := metadataList(metadata, "Egress"); len(routes) > 0 && k.Type == functionType {
		add[TagEgress] = strings.Join(routes, " ")
	}
	out := maps.Clone(props)
	if k.tags == tagMap {
		all := map[string]any{}
		if m, ok := props["Tags"].(map[string]any); ok {
			maps.Copy(all, m)
		}
		for key, v := range add {
			all[key] = v
		}
		out["Tags"] = all
		return out
	}
	list, _ := props["Tags"].([]any)
	list = slices.Clone(list)
	for _, key := range slices.Sorted(maps.Keys(add)) {
		list = append(list, map[string]any{"Key": key, "Value": add[key]})
	}
	out["Tags"] = list
	return out
}

const functionType = "AWS::Lambda::Function"

func ownTags(v any) map[string]bool {
	out := map[string]bool{}
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			out[k] = true
		}
	case []any:
		for _, x := range v {
			if m, ok := x.(map[string]any); ok {
				if k, ok := m["Key"].(string); ok {
					out[k] = true
				}
			}
		}
	}
	return out
}

// metadataList is a list of texts under the Bastide key of a resource's metadata.
func metadataList(metadata any, name string) []string {
	m, _ := metadata.(map[string]any)
	own, _ := m[metadataKey].(map[string]any)
	list, _ := own[name].([]any)
	var out []string
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

const metadataKey = "Bastide"

// Acknowledged are the routes without authorisation that a resource's metadata opens by name
// ("GET /health").
func (i *Instance) Acknowledged() []string { return metadataList(i.Metadata, "Acknowledge") }
