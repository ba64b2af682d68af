package expression

import (
	"sort"
	"strings"
	"sync"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/service/dynamodb/item"
)

// Cache keeps compiled texts: applications send few different ones. It holds at most max of them
// and forgets any when full. It is safe for concurrent use.
type Cache struct {
	mu    sync.RWMutex
	max   int
	progs map[cacheKey]*program
}

type cacheKey struct {
	kind Kind
	text string
}

// NewCache keeps up to max texts of at most 4 KB each.
func NewCache(max int) *Cache { return &Cache{max: max, progs: map[cacheKey]*program{}} }

func (c *Cache) program(kind Kind, text string) *program {
	k := cacheKey{kind, text}
	c.mu.RLock()
	p := c.progs[k]
	c.mu.RUnlock()
	if p != nil {
		return p
	}
	if len(text) > maxText {
		return compile(kind, text)
	}
	k.text = strings.Clone(text) // the request's body must not live as long as the cache
	p = compile(kind, k.text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.progs) >= c.max {
		for old := range c.progs { // any: map order is random enough
			delete(c.progs, old)
			break
		}
	}
	c.progs[k] = p
	return p
}

// Invalid is DynamoDB's ValidationException.
func Invalid(format string, args ...any) error {
	return awserr.New("ValidationException", 400, format, args...)
}

// Scope is the placeholders of one request; every expression of the request is bound in it.
type Scope struct {
	cache      *Cache
	names      map[string]string
	values     item.Item
	usedNames  map[string]bool
	usedValues []bool
}

// Open checks a request's ExpressionAttributeNames and ExpressionAttributeValues; nil maps mean
// that the request has none, empty ones are refused.
func (c *Cache) Open(names map[string]string, values item.Item) (*Scope, error) {
	if names != nil && len(names) == 0 {
		return nil, Invalid("ExpressionAttributeNames must not be empty")
	}
	for _, key := range sortedKeys(names) {
		if !isPlaceholder(key, '#') {
			return nil, Invalid("ExpressionAttributeNames contains invalid key: Syntax error; key: \"%s\"", key)
		}
		if names[key] == "" {
			return nil, Invalid("ExpressionAttributeNames contains invalid value: Empty attribute name for key %s", key)
		}
	}
	if values != nil && len(values) == 0 {
		return nil, Invalid("ExpressionAttributeValues must not be empty")
	}
	for _, a := range values {
		if !isPlaceholder(a.Name, ':') {
			return nil, Invalid("ExpressionAttributeValues contains invalid key: Syntax error; key: \"%s\"", a.Name)
		}
	}
	for _, a := range values {
		if msg := a.Value.Err(); msg != "" {
			return nil, Invalid("ExpressionAttributeValues contains invalid value: %s for key %s", msg, a.Name)
		}
	}
	s := &Scope{cache: c, names: names, values: values}
	if len(names) > 0 {
		s.usedNames = make(map[string]bool, len(names))
	}
	if len(values) > 0 {
		s.usedValues = make([]bool, len(values))
	}
	return s, nil
}

func sortedKeys(m map[string]string) []string {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func isPlaceholder(key string, lead byte) bool {
	if len(key) < 2 || len(key) > 255 || key[0] != lead {
		return false
	}
	for i := 1; i < len(key); i++ {
		if !isPart(key[i]) {
			return false
		}
	}
	return true
}

// Close refuses placeholders that no expression of the request used.
func (s *Scope) Close() error {
	var unused []string
	for _, k := range sortedKeys(s.names) {
		if !s.usedNames[k] {
			unused = append(unused, k)
		}
	}
	if len(unused) > 0 {
		return Invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", strings.Join(unused, ", "))
	}
	for i, a := range s.values {
		if !s.usedValues[i] {
			unused = append(unused, a.Name)
		}
	}
	if len(unused) > 0 {
		return Invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", strings.Join(unused, ", "))
	}
	return nil
}

// bound is a program with the placeholders of one request: names[i] and values[i] stand for
// program.names[i] and program.values[i]; an empty name or absent value is not defined.
type bound struct {
	*program
	nameOf  []string
	valueOf []item.Value
}

func (s *Scope) bind(p *program) *bound {
	b := &bound{program: p}
	if len(p.names) > 0 {
		b.nameOf = make([]string, len(p.names))
		for i, k := range p.names {
			if name, ok := s.names[k]; ok {
				b.nameOf[i] = name
				s.usedNames[k] = true
			}
		}
	}
	if len(p.values) > 0 {
		b.valueOf = make([]item.Value, len(p.values))
		for i, k := range p.values {
			j := sort.Search(len(s.values), func(j int) bool { return s.values[j].Name >= k })
			if j < len(s.values) && s.values[j].Name == k {
				b.valueOf[i] = s.values[j].Value
				s.usedValues[j] = true
			}
		}
	}
	return b
}

func (p *program) invalid(msg string) error { return Invalid("Invalid %s: %s", p.kind, msg) }

// resolve is the path with its placeholders replaced.
func (b *bound) resolve(p path) []step {
	out := make([]step, len(p))
	for i, e := range p {
		out[i] = step{name: b.elemName(e), index: e.index, list: e.list}
	}
	return out
}

func (b *bound) elemName(e elem) string {
	if e.ref >= 0 {
		return b.nameOf[e.ref]
	}
	return e.name
}

// undefined is the message for the first placeholder of the path that is not defined.
func (b *bound) undefinedName(p path) string {
	for _, e := range p {
		if e.ref >= 0 && b.nameOf[e.ref] == "" {
			return "An expression attribute name used in the document path is not defined; attribute name: " + b.names[e.ref]
		}
	}
	return ""
}

func (b *bound) undefinedValue(i int) string {
	if b.valueOf[i].Exists() {
		return ""
	}
	return "An expression attribute value used in expression is not defined; attribute value: " + b.values[i]
}

// overlaps is the message for two paths that cannot stand in one expression: one contains the
// other, or they disagree on whether something is a list or a map.
func overlaps(paths [][]step) string {
	conflict := ""
	for j := range paths {
		for i := range j {
			switch how := relate(paths[i], paths[j]); {
			case how == overlapping:
				return "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: " +
					pathText(paths[i]) + ", path two: " + pathText(paths[j])
			case how == conflicting && conflict == "":
				conflict = "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: " +
					pathText(paths[i]) + ", path two: " + pathText(paths[j])
			}
		}
	}
	return conflict
}

type relation int

const (
	apart relation = iota
	overlapping
	conflicting
)

func relate(a, b []step) relation {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i].list != b[i].list {
			return conflicting
		}
		if a[i] != b[i] {
			return apart
		}
	}
	return overlapping
}
