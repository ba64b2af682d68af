package sam

import (
	"regexp"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

const (
	integrationKey = "x-amazon-apigateway-integration"
	anyMethod      = "x-amazon-apigateway-any-method"
	policyKey      = "x-amazon-apigateway-policy"
	defaultPath    = "$default"
)

var (
	version3Pattern = regexp.MustCompile(`^3(\.\d)(\.\d)?$`)
	greedy          = regexp.MustCompile(`{([a-zA-Z0-9._-]+|[a-zA-Z0-9._-]+\+|proxy\+)}`)
	greedyHTTP      = regexp.MustCompile(`{([a-zA-Z0-9._-]+|proxy\+)}`)
)

func version3(n *Node) bool { return n.Scalar() && version3Pattern.MatchString(n.Text) }

// editor changes the API definition doc, Swagger 2 or OpenAPI 3, in place.
type editor struct{ doc *Node }

// validDefinition reports whether n can be edited: it has paths and a version that is known.
func validDefinition(n *Node, swaggerToo bool) bool {
	if !n.Get("paths").Is(tree.Map) {
		return false
	}
	return swaggerToo && !n.Get("swagger").Empty() || version3(n.Get("openapi"))
}

func newEditor(doc *Node, rest bool) (*editor, error) {
	if !validDefinition(doc, rest) {
		if rest {
			return nil, tree.Errorf(posOf(doc), "Invalid Swagger document or the Swagger document is not explicitly defined in 'DefinitionBody'.")
		}
		return nil, tree.Errorf(posOf(doc), "Invalid OpenApi document. Invalid values or missing keys for 'openapi' or 'paths' in 'DefinitionBody'.")
	}
	e := &editor{doc}
	for _, f := range e.paths().Fields {
		if err := e.eachItem(f.Key, func(*Node) error { return nil }); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func posOf(n *Node) tree.Pos {
	if n == nil {
		return tree.Pos{}
	}
	return n.Pos
}

func (e *editor) paths() *Node { return e.doc.Get("paths") }

// skeleton is the definition that SAM starts from.
func skeleton(rest bool) *Node {
	n := tree.M("openapi", "3.0.1")
	if rest {
		n = tree.M("swagger", "2.0")
	}
	n.Set("info", tree.M("version", "1.0", "title", ref("AWS::StackName")))
	n.Set("paths", tree.M())
	return n
}

// branches are the values that n can have: both sides of an Fn::If without AWS::NoValue, or n.
func branches(n *Node) []*Node {
	if !n.Has("Fn::If") {
		return []*Node{n}
	}
	items := n.Get("Fn::If").List()
	var out []*Node
	for i, it := range items {
		if i > 0 && !it.NoValue() {
			out = append(out, it)
		}
	}
	return out
}

func normalMethod(m string) string {
	if m = strings.ToLower(m); m == "any" {
		return anyMethod
	}
	return m
}

// eachItem calls f for the path items under a path.
func (e *editor) eachItem(path string, f func(item *Node) error) error {
	for _, item := range branches(e.paths().Get(path)) {
		if !item.Is(tree.Map) {
			return tree.Errorf(posOf(item), "Value of '%s' path must be a dictionary according to Swagger spec.", path)
		}
		if err := f(item); err != nil {
			return err
		}
	}
	return nil
}

// eachDefinition calls f for the definitions of one method of a path that have an integration.
func (e *editor) eachDefinition(path, method string, f func(def *Node) error) error {
	return e.eachItem(path, func(item *Node) error {
		for _, def := range branches(item.Get(normalMethod(method))) {
			if !def.Is(tree.Map) {
				return tree.Errorf(posOf(item), "Definition of method '%s' for path '%s' should be a map.", method, path)
			}
			if def.Get(integrationKey).Empty() {
				continue
			}
			if err := f(def); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachMethod calls f for every method of a path that has an integration.
func (e *editor) eachMethod(path string, skip []string, f func(method string, def *Node) error) error {
	return e.eachItem(path, func(item *Node) error {
		for _, m := range item.Fields {
			if in(skip, m.Key) {
				continue
			}
			for _, def := range branches(m.Value) {
				if !def.Is(tree.Map) {
					return tree.Errorf(m.Pos, "Definition of method '%s' for path '%s' should be a map.", m.Key, path)
				}
				if def.Get(integrationKey).Empty() {
					continue
				}
				if err := f(normalMethod(m.Key), def); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func in(list []string, s string) bool {
	for _, it := range list {
		if it == s {
			return true
		}
	}
	return false
}

// integrated reports whether the method of a path has an integration in every branch.
func (e *editor) integrated(path, method string) bool {
	if !e.paths().Has(path) {
		return false
	}
	for _, item := range branches(e.paths().Get(path)) {
		def := item.Get(normalMethod(method))
		if !def.Is(tree.Map) {
			return false
		}
		found := false
		for _, d := range branches(def) {
			found = found || !d.Get(integrationKey).Empty()
		}
		if !found {
			return false
		}
	}
	return true
}

// addPath makes sure that path and method are there.
func (e *editor) addPath(path, method string, p tree.Pos) error {
	if !e.paths().Has(path) {
		e.paths().Set(path, tree.M().At(p))
	}
	return e.eachItem(path, func(item *Node) error {
		if m := normalMethod(method); !item.Has(m) {
			item.Set(m, tree.M().At(p))
		}
		return nil
	})
}

// conditional wraps a path so that it is there only when the condition holds.
func (e *editor) conditional(path, condition string) {
	p := e.paths().Field(path)
	p.Value = ifElse(condition, p.Value, nil).At(p.Pos)
}

// integrate puts fields into the integration of a method that has none yet, and wraps the method
// in the function's condition. Without condition it is "".
func (e *editor) integrate(path, method, condition string, p tree.Pos, integration func() *Node, more ...tree.Field) error {
	if err := e.addPath(path, method, p); err != nil {
		return err
	}
	method = normalMethod(method)
	return e.eachItem(path, func(item *Node) error {
		def := item.Get(method)
		if def.Absent() {
			def = tree.M()
			item.Set(method, def)
		}
		def.Set(integrationKey, integration())
		for _, f := range more {
			def.Set(f.Key, f.Value)
		}
		if !def.Has("responses") {
			def.Set("responses", tree.M())
		}
		if condition != "" {
			item.Set(method, ifElse(condition, def, nil))
		}
		def.At(p)
		return nil
	})
}

// secure appends a security requirement to a method; it must be a list when it is there.
func secure(def *Node, path, method string, requirement *Node) error {
	s := def.Get("security")
	if s == nil {
		s = tree.L()
		def.Set("security", s)
	}
	if !s.Is(tree.List) {
		return tree.Errorf(s.Pos, "Type of security for path %s method %s must be a list", path, method)
	}
	s.Add(requirement)
	return nil
}

// section is a map under a key of the document, made when it is missing.
func (e *editor) section(key string) *Node {
	s := e.doc.Get(key)
	if s.Empty() {
		s = tree.M()
		e.doc.Set(key, s)
	}
	return s
}

// define puts a map of named definitions under a key, but only when there are any.
func (e *editor) define(key, name string, def *Node) { e.section(key).Set(name, def) }

func awsIAM() *Node {
	return tree.M("x-amazon-apigateway-authtype", "awsSigv4", "type", "apiKey", "name", "Authorization", "in", "header")
}

// defineIAM adds the definition of AWS_IAM to a Swagger document.
func (e *editor) defineIAM() {
	if !e.section("securityDefinitions").Has("AWS_IAM") {
		e.define("securityDefinitions", "AWS_IAM", awsIAM())
	}
}

func (e *editor) defineAPIKey() {
	if !e.section("securityDefinitions").Has("api_key") {
		e.define("securityDefinitions", "api_key", tree.M("type", "apiKey", "name", "x-api-key", "in", "header"))
	}
}
