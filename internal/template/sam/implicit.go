package sam

import (
	"sort"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// implicit is how events of one type find their API: the one that they name, or one of a fixed id
// that SAM adds for them.
type implicit struct {
	t         *transformer
	event     string // Api or HttpApi, also the resource's type
	property  string // names the API in an event
	id        string
	rest      bool
	condition string
	// conditions, by API, path and method, are those of the functions; "" when one has none.
	conditions map[string]map[string]map[string]string
	deletion   []string
	replace    []string
}

func (t *transformer) defaultBodies() {
	for _, typ := range []string{"Api", "HttpApi"} {
		for _, r := range t.resources().Fields {
			if typeOf(r.Value) != prefix+typ {
				continue
			}
			p := r.Value.Get("Properties")
			if p.Absent() {
				p = tree.M().At(r.Pos)
				r.Value.Set("Properties", p)
			}
			if p.Get("DefinitionBody").Empty() && !p.Get("DefinitionUri").Empty() {
				t.loadDefinition(r.Key, p)
				continue
			}
			if p.Get("DefinitionBody").Empty() {
				p.Set("DefinitionBody", skeleton(typ == "Api").At(r.Pos))
				p.Set(managed, tree.Truth(true))
			}
		}
	}
}

// loadDefinition reads a DefinitionUri that is a local file into the DefinitionBody.
func (t *transformer) loadDefinition(id string, p *Node) {
	uri := p.Get("DefinitionUri")
	if !uri.Is(tree.String) || strings.HasPrefix(uri.Text, "s3://") || t.opt.Load == nil {
		return
	}
	src, err := t.opt.Load(uri.Text)
	if err != nil {
		t.fail(id, tree.Errorf(uri.Pos, "'DefinitionUri' names the file %s, which cannot be read: %v", uri.Text, err))
		return
	}
	body, err := tree.Parse(src)
	if err != nil {
		t.fail(id, tree.Errorf(uri.Pos, "'DefinitionUri' names the file %s, which cannot be read: %v", uri.Text, err))
		return
	}
	body.Place(uri.Pos)
	p.Delete("DefinitionUri")
	p.Set("DefinitionBody", body)
}

func (t *transformer) implicitAPIs() {
	t.rest = &implicit{t: t, event: "Api", property: "RestApiId", id: "ServerlessRestApi", rest: true, condition: "ServerlessRestApiCondition"}
	t.http = &implicit{t: t, event: "HttpApi", property: "ApiId", id: "ServerlessHttpApi", condition: "ServerlessHttpApiCondition"}
	for _, i := range []*implicit{t.rest, t.http} {
		i.conditions = map[string]map[string]map[string]string{}
		i.run()
	}
}

// run links every event of the type to its API and writes its path there; an API that SAM adds is
// taken away again when no event needs it.
func (i *implicit) run() {
	for _, r := range append([]tree.Field(nil), i.t.resources().Fields...) {
		if typeOf(r.Value) == prefix+"Function" {
			i.link(r)
		}
	}
	i.conditionOfAPI()
	i.policies()
	i.conditionsOfPaths()
}

// link handles one function's events.
func (i *implicit) link(r tree.Field) {
	text := func(key string) string {
		if n := r.Value.Get(key); n.Is(tree.String) {
			return n.Text
		}
		return ""
	}
	for _, ev := range r.Value.Dig("Properties", "Events").Map() {
		if !ev.Value.Get("Type").IsString(i.event) {
			continue
		}
		p := ev.Value.Get("Properties")
		if p.Absent() || p.Is(tree.Map) && len(p.Fields) == 0 {
			if i.rest {
				continue
			}
			p = tree.M().At(ev.Pos)
			ev.Value.Set("Properties", p)
		}
		if !p.Is(tree.Map) {
			i.t.fail(r.Key, tree.Errorf(p.Pos, "Event with id [%s] is invalid. Properties should be a map.", ev.Key))
			continue
		}
		if !p.Has(i.property) {
			i.ensure(ev.Pos)
			i.tags(r.Value)
			p.Set(i.property, ref(i.id).At(ev.Pos))
		} else if apiOf(p.Get(i.property)) == i.id {
			i.ensure(ev.Pos)
		}
		if err := i.route(ev, p, text("Condition")); err != nil {
			i.t.fail(r.Key, eventError(ev, err))
			continue
		}
		if apiOf(p.Get(i.property)) == i.id {
			i.deletion = append(i.deletion, text("DeletionPolicy"))
			i.replace = append(i.replace, text("UpdateReplacePolicy"))
		}
	}
}

// ensure adds the API of the fixed id. It takes the place of a resource of that id.
func (i *implicit) ensure(p tree.Pos) {
	res := i.t.resources()
	if n := res.Get(i.id); n.Dig("Properties", managed).True() && len(i.conditions[i.id]) > 0 {
		return
	}
	props := tree.M("DefinitionBody", skeleton(i.rest), managed, true)
	if i.rest {
		props = tree.M("StageName", "Prod", "DefinitionBody", skeleton(true), managed, true)
	}
	res.Set(i.id, tree.M("Type", prefix+i.event, "Properties", props).At(p))
}

// tags gives the API the tags of a function that propagates its own.
func (i *implicit) tags(fn *Node) {
	globals := i.t.doc.Dig("Globals", "Function")
	pick := func(key string) *Node {
		if n := fn.Dig("Properties", key); !n.Empty() {
			return n
		}
		return globals.Get(key)
	}
	tags := pick("Tags")
	if tags.Empty() || pick("PropagateTags").Empty() {
		return
	}
	p := i.t.resources().Get(i.id).Get("Properties")
	own := p.Get("Tags")
	if own == nil {
		own = tree.M()
		p.Set("Tags", own)
	}
	for _, f := range tags.Map() {
		own.Set(f.Key, f.Value.Clone())
	}
	p.Set("PropagateTags", tree.Truth(true))
}

func eventError(ev tree.Field, err error) error {
	e, ok := err.(*tree.Error)
	if !ok {
		return err
	}
	if len(e.At) == 0 {
		e.At = []tree.Pos{ev.Pos}
	}
	e.Message = "Event with id [" + ev.Key + "] is invalid. " + e.Message
	return e
}

// apiOf is the API that an event names.
func apiOf(n *Node) string {
	if r := n.Get("Ref"); r != nil {
		n = r
	}
	if n.Is(tree.String) {
		return n.Text
	}
	return ""
}

// route checks one event and adds its path to the API's definition.
func (i *implicit) route(ev tree.Field, p *Node, condition string) error {
	if !i.rest && p.Get("Path").Empty() && p.Get("Method").Empty() {
		p.Set("Path", tree.Str(defaultPath).At(ev.Pos))
		p.Set("Method", tree.Str(anyMethod).At(ev.Pos))
	}
	for _, k := range []string{"Path", "Method"} {
		if p.Get(k).Absent() {
			return tree.Errorf(p.Pos, "Property '%s' is required.", k)
		}
		if !p.Get(k).Is(tree.String) {
			return tree.Errorf(p.Get(k).Pos, "Property '%s' should be a string.", k)
		}
	}
	api := apiOf(p.Get(i.property))
	if api == "" {
		return tree.Errorf(p.Get(i.property).Pos, "Property '%s' should be a string.", i.property)
	}
	path, method := p.Get("Path").Text, p.Get("Method").Text
	if i.conditions[api] == nil {
		i.conditions[api] = map[string]map[string]string{}
	}
	if i.conditions[api][path] == nil {
		i.conditions[api][path] = map[string]string{}
	}
	i.conditions[api][path][method] = condition
	def := i.t.resources().Get(api)
	if def == nil || i.rest && typeOf(def) == prefix+"HttpApi" {
		return tree.Errorf(p.Get(i.property).Pos, "%s must be a valid reference to an '%s%s' resource in same template.", i.property, prefix, i.event)
	}
	body := def.Dig("Properties", "DefinitionBody")
	if validDefinition(body, i.rest) && def.Dig("Properties", managed).True() {
		e, err := newEditor(body, i.rest)
		if err != nil {
			return err
		}
		if err := e.addPath(path, method, ev.Pos); err != nil {
			return err
		}
	}
	if !i.rest && p.Has("RouteSettings") {
		return i.routeSettings(def, p, condition)
	}
	return nil
}

func (i *implicit) routeSettings(def, p *Node, condition string) error {
	route := strings.ToUpper(p.Get("Method").Text) + " " + p.Get("Path").Text
	if p.Get("Method").Text == anyMethod {
		route = p.Get("Path").Text
	}
	given := p.Get("RouteSettings").Clone()
	if condition != "" {
		given = ifElse(condition, given, nil)
	}
	if !given.Is(tree.Map) {
		return tree.Errorf(p.Get("RouteSettings").Pos, "Property 'RouteSettings' should be a map.")
	}
	props := def.Get("Properties")
	all := props.Get("RouteSettings")
	if all.Absent() {
		all = tree.M()
		props.Set("RouteSettings", all)
	}
	one := all.Get(route)
	if one.Absent() {
		one = tree.M()
		all.Set(route, one)
	}
	for _, f := range given.Fields {
		one.Set(f.Key, f.Value)
	}
	return nil
}

// common is the conditions in a set of functions' conditions, sorted, or nil when one function has
// none and so the whole must be there.
func common(methods ...map[string]string) []string {
	seen := map[string]bool{}
	for _, m := range methods {
		for _, c := range m {
			seen[c] = true
		}
	}
	if seen[""] {
		return nil
	}
	var out []string
	for c := range seen {
		out = append(out, c)
	}
	sort.Strings(out)
	return out
}

// combine is a condition that holds when one of list does: the only one itself, else a new one of
// that name. Fn::Or takes ten at most, so more make a chain.
func (t *transformer) combine(list []string, name string) string {
	if len(list) == 1 {
		return list[0]
	}
	conds := t.doc.Get("Conditions")
	if conds == nil {
		conds = tree.M()
		t.doc.Set("Conditions", conds)
	}
	number := (len(list) - 2) / 9
	for len(list) > 1 {
		made := name
		if number > 0 {
			made += strconv.Itoa(number)
			number--
		}
		n := min(10, len(list))
		or := tree.L()
		for _, c := range list[:n] {
			or.Add(tree.M("Condition", c))
		}
		conds.Set(made, tree.M("Fn::Or", or).At(t.doc.Pos))
		list = append(list[n:len(list):len(list)], made)
	}
	return name
}

func (i *implicit) conditionOfAPI() {
	var methods []map[string]string
	for _, m := range i.conditions[i.id] {
		methods = append(methods, m)
	}
	if list := common(methods...); len(list) > 0 {
		api := i.t.resources().Get(i.id)
		api.Set("Condition", tree.Str(i.t.combine(list, i.condition)).At(api.Pos))
	}
}

// policies keeps the API when one of its functions is to be kept.
func (i *implicit) policies() {
	api := i.t.resources().Get(i.id)
	if api == nil || len(i.conditions[i.id]) == 0 {
		return
	}
	strongest := func(have []string, order ...string) *Node {
		for _, o := range order {
			if in(have, o) {
				return tree.Str(o)
			}
		}
		return nil
	}
	if p := strongest(i.deletion, "Retain", "Delete"); p != nil {
		api.Set("DeletionPolicy", p)
	}
	if p := strongest(i.replace, "Retain", "Snapshot", "Delete"); p != nil {
		api.Set("UpdateReplacePolicy", p)
	}
}

func (i *implicit) conditionsOfPaths() {
	for _, r := range i.t.resources().Fields {
		if typeOf(r.Value) != prefix+i.event || !r.Value.Dig("Properties", managed).True() {
			continue
		}
		body := r.Value.Dig("Properties", "DefinitionBody")
		if !validDefinition(body, i.rest) {
			continue
		}
		e := &editor{body}
		for _, path := range keys(e.paths()) {
			if list := common(i.conditions[r.Key][path]); len(list) > 0 {
				name := strings.NewReplacer("/", "SLASH", "{", "OB", "}", "CB").Replace(path)
				e.conditional(path, i.t.combine(list, r.Key+name+"PathCondition"))
			}
		}
	}
}

func keys(n *Node) []string {
	var out []string
	for _, f := range n.Map() {
		out = append(out, f.Key)
	}
	return out
}
