package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Check collects what an input breaks of its model. Decoders tell it where they are (Enter,
// Leave) and which required members were not there (Missing); Validate looks at the rest.
type Check struct {
	path  []step
	found []Violation
}

type step struct {
	name  string
	index int // of a list's element, from 1; 0 for a member or a map's value
}

// Violation is one broken constraint.
type Violation struct {
	Path       string // "keySchema.1.member.attributeName"
	Value      string // as the message shows it; empty for null and for sensitive values
	Null       bool
	Sensitive  bool
	Constraint string // "Member must have length less than or equal to 255"
}

// maxViolations bounds how much one bad request can make of a message.
const maxViolations = 32

// Violations are what was found.
func (c *Check) Violations() []Violation { return c.found }

// Enter steps into a member, or, under a list, into the element with that index from 1, or, under
// a map, into the value of the key name.
func (c *Check) Enter(name string, index int) { c.path = append(c.path, step{name, index}) }

// Leave steps back out.
func (c *Check) Leave() { c.path = c.path[:len(c.path)-1] }

// Missing notes those members of s whose bits are set: required ones that were not there.
func (c *Check) Missing(s *Struct, bits uint64) {
	for _, f := range s.Fields {
		if f.Bit&bits != 0 {
			c.add(Violation{Path: c.at(f.Label), Null: true, Constraint: "Member must not be null"})
		}
	}
}

func (c *Check) add(v Violation) {
	if len(c.found) < maxViolations {
		c.found = append(c.found, v)
	}
}

func (c *Check) at(last string) string {
	var b strings.Builder
	for i, s := range c.path {
		if i > 0 {
			b.WriteByte('.')
		}
		switch {
		case s.index > 0:
			b.WriteString(strconv.Itoa(s.index) + ".member")
		default:
			b.WriteString(s.name)
		}
	}
	if last != "" {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(last)
	}
	return clip(b.String())
}

// Validate checks the constraints of what is there in v. With nulls it also reports required
// members that are nil, for inputs that no decoder made.
func (c *Check) Validate(s *Struct, v reflect.Value, nulls bool) {
	for _, f := range s.Fields {
		fv, ok := f.Get(v)
		if !ok {
			if nulls && f.Bit != 0 {
				c.add(Violation{Path: c.at(f.Label), Null: true, Constraint: "Member must not be null"})
			}
			continue
		}
		if f.Rules == nil && f.Kind < Structure {
			continue
		}
		c.Enter(f.Label, 0)
		c.value(&f.Value, fv, nulls)
		c.Leave()
	}
}

func (c *Check) value(p *Value, v reflect.Value, nulls bool) {
	for _, b := range p.Rules.broken(p.Kind, v) {
		c.violate(p, v, b)
	}
	switch p.Kind {
	case Structure:
		c.Validate(p.Struct, v, nulls)
	case List:
		c.list(p, v, nulls)
	case Map:
		c.mapping(p, v, nulls)
	}
}

func (c *Check) violate(p *Value, v reflect.Value, constraint string) {
	x := Violation{Path: c.at(""), Constraint: constraint, Sensitive: p.Sensitive || p.Elem != nil && p.Elem.Sensitive}
	if slices.ContainsFunc(c.found, func(o Violation) bool { return o.Null && o.Path == x.Path }) {
		return // the zero value of what was not there
	}
	if !x.Sensitive {
		x.Value = clip(show(v))
	}
	c.add(x)
}

func (c *Check) list(p *Value, v reflect.Value, nulls bool) {
	e := p.Elem
	if e.Rules == nil && e.Kind < Structure {
		return
	}
	for i := range v.Len() {
		if e.Kind >= Structure {
			c.Enter("", i+1)
			c.value(e, v.Index(i), nulls)
			c.Leave()
		} else if len(e.Rules.broken(e.Kind, v.Index(i))) > 0 {
			c.violate(p, v, "Member must satisfy constraint: ["+strings.Join(e.Rules.all(), ", ")+"]")
			return // AWS names the list once, not each element
		}
	}
}

func (c *Check) mapping(p *Value, v reflect.Value, nulls bool) {
	k, e := p.Key, p.Elem
	if k.Rules == nil && e.Rules == nil && e.Kind < Structure {
		return
	}
	badKey, badValue := false, false
	for it := v.MapRange(); it.Next(); {
		if len(k.Rules.broken(k.Kind, it.Key())) > 0 && !badKey {
			badKey = true
			c.violate(p, v, "Map keys must satisfy constraint: ["+strings.Join(k.Rules.all(), ", ")+"]")
		}
		if e.Kind >= Structure {
			c.Enter(it.Key().String(), 0)
			c.Enter("member", 0)
			c.value(e, it.Value(), nulls)
			c.Leave()
			c.Leave()
		} else if len(e.Rules.broken(e.Kind, it.Value())) > 0 && !badValue {
			badValue = true
			c.violate(p, v, "Map value must satisfy constraint: ["+strings.Join(e.Rules.all(), ", ")+"]")
		}
	}
}

// show is a value as AWS's messages have it: lists as [a, b], structures by their type only, since
// their members may be secret.
func show(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("[%d bytes]", v.Len())
		}
		var parts []string
		for i := range min(v.Len(), 16) {
			parts = append(parts, show(v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		return fmt.Sprintf("{%d entries}", v.Len())
	case reflect.Struct:
		return v.Type().Name()
	}
	return fmt.Sprint(v.Interface())
}

// Message words violations as AWS does.
func Message(vs []Violation) string {
	var b strings.Builder
	noun := "errors"
	if len(vs) == 1 {
		noun = "error"
	}
	fmt.Fprintf(&b, "%d validation %s detected: ", len(vs), noun)
	for i, v := range vs {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(v.String())
	}
	return b.String()
}

// String is the violation in AWS's words.
func (v Violation) String() string {
	shown := "Value '" + v.Value + "'"
	if v.Null {
		shown = "Value null"
	} else if v.Sensitive {
		shown = "Value"
	}
	return shown + " at '" + v.Path + "' failed to satisfy constraint: " + v.Constraint
}
