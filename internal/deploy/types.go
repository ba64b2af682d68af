package deploy

import (
	"fmt"
	"strings"

	"github.com/bastide-cloud/bastide/internal/gate"
)

// Types are the resource types that can be deployed, by name.
type Types struct{ byName map[string]kind }

// kind is a type with its properties taken apart.
type kind struct {
	gate.Resource
	listed map[string]bool // as the service lists them
	inner  map[string]bool // those with properties of their own
	tags   tagForm
}

type tagForm int

const (
	noTags tagForm = iota
	tagList
	tagMap
)

// NewTypes gathers what the services offer. A type that is offered twice, or by half, is an error.
func NewTypes(resources ...gate.Resource) (Types, error) {
	t := Types{byName: make(map[string]kind, len(resources))}
	for _, r := range resources {
		if _, twice := t.byName[r.Type]; twice || r.Type == "" || r.Create == nil || r.Delete == nil {
			return Types{}, fmt.Errorf("deploy: the resource type %q is offered twice or without Create or Delete", r.Type)
		}
		k := kind{Resource: r, listed: map[string]bool{}, inner: map[string]bool{}}
		for _, p := range r.Properties {
			k.listed[p] = true
			for i := strings.LastIndexByte(p, '.'); i > 0; i = strings.LastIndexByte(p[:i], '.') {
				k.inner[p[:i]] = true
			}
		}
		switch {
		case k.listed["Tags.Key"]:
			k.tags = tagList
		case k.listed["Tags"]:
			k.tags = tagMap
		}
		t.byName[r.Type] = k
	}
	return t, nil
}

// Has reports whether the type can be deployed.
func (t Types) Has(typ string) bool { _, ok := t.byName[typ]; return ok }
