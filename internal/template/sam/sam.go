// Package sam applies the transform AWS::Serverless-2016-10-31: it turns the serverless resources
// of a template into the CloudFormation resources that they stand for.
//
//	Hello:                                  Hello                     AWS::Lambda::Function
//	  Type: AWS::Serverless::Function  →    HelloRole                 AWS::IAM::Role
//	  Properties:                           HelloGetPermission        AWS::Lambda::Permission
//	    Events:                             ServerlessHttpApi         AWS::ApiGatewayV2::Api
//	      Get: {Type: HttpApi, …}           ServerlessHttpApi…Stage   AWS::ApiGatewayV2::Stage
//
// Built are Function, Api, HttpApi, SimpleTable and LayerVersion, Globals, the policy templates and
// the events Api and HttpApi; any other resource type, event type or feature is refused with its
// place. Names of generated resources, and the hashes in them, are those that AWS's own transform
// gives, except the hash of a REST deployment (see deployment). Source: the SAM specification
// (AWS SAM Developer Guide); the tests compare with aws-sam-translator's results.
package sam

import (
	"fmt"
	"slices"
	"sort"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Node is a value of the template.
type Node = tree.Node

// Options is what the transform knows of the stack.
type Options struct {
	// Parameters are the values of parameters by name, and of AWS::Region and AWS::Partition.
	Parameters map[string]*Node
	Partition  string
	// Load reads a local file named by a DefinitionUri; nil refuses local files.
	Load func(path string) ([]byte, error)
}

const prefix = "AWS::Serverless::"

// transformer holds one run: doc is a copy of the template that the steps change, and out the
// template that comes of it.
type transformer struct {
	opt     Options
	doc     *Node
	out     *Node
	errs    []*tree.Error
	unbuilt []*tree.Error
	refs    map[string]string // "Function.Alias" → the id of the generated resource
	renamed map[string]string // ids that changed: layers get a hash
	plan    sharedPlan
	rest    *implicit
	http    *implicit
}

// Transform returns the template without its serverless resources, Globals and Transform. root is
// not changed. All that is wrong is reported at once, as one *tree.Error with causes; where
// something is not built, that alone, and the template that comes back with the error holds what is
// left: a resource that is not built keeps its place under a type that nothing knows.
func Transform(root *Node, o Options) (*Node, error) {
	t := &transformer{opt: o, doc: root.Clone(), refs: map[string]string{}, renamed: map[string]string{}}
	steps := []func(){t.refuse, t.defaultBodies, t.implicitAPIs, t.mergeGlobals}
	for _, step := range steps {
		step()
		if len(t.errs) > 0 {
			return nil, t.failure()
		}
	}
	t.out = t.doc.Clone()
	t.out.Delete("Transform")
	for _, id := range t.sequence() {
		t.resource(id)
	}
	if len(t.errs) > 0 && len(t.unbuilt) == 0 {
		return nil, t.failure()
	}
	t.rewrite(t.out)
	if len(t.unbuilt) > 0 {
		return t.out, t.failure()
	}
	return t.out, nil
}

// Placeholder begins the type of a resource that was not transformed.
const Placeholder = "Unbuilt::Serverless::"

// hold keeps a resource's place.
func hold(res *Node) {
	typ := res.Get("Type")
	res.Set("Type", tree.Str(Placeholder+typ.Text[len(prefix):]).At(typ.Pos))
}

func (t *transformer) note(p tree.Pos, format string, args ...any) {
	t.unbuilt = append(t.unbuilt, tree.Unbuiltf(p, format, args...))
}

func (t *transformer) resources() *Node { return t.doc.Get("Resources") }

// sequence orders the serverless resources: functions first, since their events write into the
// APIs, then APIs, then the others.
func (t *transformer) sequence() []string {
	rank := func(typ string) int {
		switch typ {
		case prefix + "Function":
			return 0
		case prefix + "Api", prefix + "HttpApi":
			return 1
		}
		return 2
	}
	var ids []string
	for _, f := range t.resources().Fields {
		if serverless(f.Value) {
			ids = append(ids, f.Key)
		}
	}
	sort.SliceStable(ids, func(i, j int) bool {
		return rank(typeOf(t.resources().Get(ids[i]))) < rank(typeOf(t.resources().Get(ids[j])))
	})
	return ids
}

func typeOf(res *Node) string {
	if n := res.Get("Type"); n.Is(tree.String) {
		return n.Text
	}
	return ""
}

func serverless(res *Node) bool {
	typ := typeOf(res)
	return len(typ) > len(prefix) && typ[:len(prefix)] == prefix
}

// resource replaces one serverless resource by what it generates.
func (t *transformer) resource(id string) {
	def := t.resources().Field(id)
	made, err := t.generate(id, def.Value)
	if err != nil {
		t.fail(id, err)
		hold(t.out.Get("Resources").Get(id))
		return
	}
	dst := t.out.Get("Resources")
	pos := dst.Field(id).Pos
	dst.Delete(id)
	for _, r := range made {
		if old := t.resources().Get(r.id); old != nil && !replaces(r.typ, typeOf(old)) {
			t.fail(id, tree.Errorf(pos, "Transforming resource with id [%s] attempts to create a new resource [%s] of type %q. There is already a resource with that id.", id, r.id, r.typ))
			continue
		}
		dst.Set(r.id, r.node().At(pos))
		dst.Field(r.id).Pos = pos
	}
}

// replaces reports whether a generated resource of type made may take the id of one of type had.
func replaces(made, had string) bool {
	switch made {
	case "AWS::Lambda::Function":
		return had == prefix+"Function"
	case "AWS::Lambda::LayerVersion":
		return had == prefix+"LayerVersion"
	case "AWS::ApiGateway::RestApi":
		return had == prefix+"Api"
	case "AWS::ApiGatewayV2::Api":
		return had == prefix+"HttpApi"
	case "AWS::DynamoDB::Table":
		return had == prefix+"SimpleTable"
	case "AWS::SNS::Topic":
		return had == made
	}
	return false
}

func (t *transformer) generate(id string, def *Node) ([]*generated, error) {
	m := newMacro(t, id, def)
	if err := m.check(); err != nil {
		return nil, err
	}
	switch m.typ {
	case "Function":
		return m.function()
	case "Api":
		return m.restAPI()
	case "HttpApi":
		return m.httpAPI()
	case "SimpleTable":
		return m.table()
	case "LayerVersion":
		return m.layer()
	}
	return nil, fmt.Errorf("sam: %s%s came past refuse", prefix, m.typ)
}

// refuse lists what is not built, and takes it away, so that one run names all there is.
func (t *transformer) refuse() {
	for _, f := range t.resources().Fields {
		if c := f.Value.Field("Connectors"); c != nil {
			t.note(c.Pos, "Connectors (of %s) are not built.", f.Key)
			f.Value.Delete("Connectors")
		}
		if !serverless(f.Value) {
			continue
		}
		typ := f.Value.Get("Type")
		switch typ.Text[len(prefix):] {
		case "Function":
			t.refuseEvents(f.Key, f.Value.Dig("Properties", "Events"))
		case "Api", "HttpApi", "SimpleTable", "LayerVersion":
		default:
			t.note(typ.Pos, "The resource type %s (of %s) is not built.", typ.Text, f.Key)
			hold(f.Value)
		}
	}
}

func (t *transformer) refuseEvents(id string, events *Node) {
	if !events.Is(tree.Map) {
		return
	}
	for _, e := range slices.Clone(events.Fields) {
		switch typ := e.Value.Get("Type"); {
		case typ.IsString("Api"), typ.IsString("HttpApi"):
		case typ.Is(tree.String):
			t.note(typ.Pos, "The event type %s (of %s, event %s) is not built.", typ.Text, id, e.Key)
			events.Delete(e.Key)
		default:
			t.errs = append(t.errs, tree.Errorf(e.Pos, "Resource with id [%s] is invalid. Event with id [%s] is invalid. Missing required property 'Type'.", id, e.Key))
		}
	}
}

// fail records an error of one resource in SAM's words.
func (t *transformer) fail(id string, err error) {
	e, ok := err.(*tree.Error)
	if !ok {
		e = tree.Errorf(tree.Pos{}, "%v", err)
	}
	c := *e
	if len(c.At) == 0 {
		c.At = []tree.Pos{t.resources().Field(id).Pos}
	}
	c.Message = fmt.Sprintf("Resource with id [%s] is invalid. %s", id, c.Message)
	t.errs = append(t.errs, &c)
}

// failure is all errors as one. When something is not built, that alone is reported.
func (t *transformer) failure() error {
	if len(t.unbuilt) > 0 {
		return &tree.Error{Message: "The template uses what is not built.", Unbuilt: true, Causes: t.unbuilt}
	}
	return &tree.Error{Message: fmt.Sprintf("Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application Specification document. Number of errors found: %d.", len(t.errs)), Causes: t.errs}
}
