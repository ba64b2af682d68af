package template

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// Parameter is one parameter of a template with the value that a stack gives it.
type Parameter struct {
	Name, Type, Description string
	// Value is what Ref yields: a string, or a list of strings for the list types.
	Value *Node
	// Given is the value as it was passed or defaulted, before a list is split.
	Given string
	// Default is the template's own value; HasDefault tells an empty one from none.
	Default    string
	HasDefault bool
	// NoEcho values must never be shown or recorded.
	NoEcho bool
	Pos    Pos

	def     *Node
	unbuilt *tree.Error // its type is one that Bastide has not built
}

// Parameters lists what the template declares, without values, in its order.
func (t *Template) Parameters() ([]Parameter, error) {
	out, err := t.declarations()
	for _, p := range out {
		if err == nil && p.unbuilt != nil {
			return nil, p.unbuilt
		}
	}
	return out, err
}

// declarations are the parameters, also those whose type is not built.
func (t *Template) declarations() ([]Parameter, error) {
	var out []Parameter
	sec := t.root.Get("Parameters")
	if sec == nil {
		return nil, nil
	}
	for _, f := range sec.Fields {
		p, err := declared(f)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func declared(f tree.Field) (Parameter, error) {
	p := Parameter{Name: f.Key, Pos: f.Pos, def: f.Value}
	if !logicalID.MatchString(f.Key) {
		return p, tree.Errorf(f.Pos, "Template format error: Parameter name %s is non alphanumeric.", f.Key)
	}
	typ := f.Value.Get("Type")
	if !typ.Is(tree.String) {
		return p, tree.Errorf(f.Pos, "Template format error: Every Parameters object must contain a Type attribute.")
	}
	p.Type = typ.Text
	switch {
	case knownType(p.Type):
	case strings.HasPrefix(p.Type, "AWS::SSM::Parameter::"):
		p.unbuilt = tree.Unbuiltf(typ.Pos, "The parameter %s has type %s: reading parameters from Systems Manager is not built.", p.Name, p.Type)
	default:
		return p, tree.Errorf(typ.Pos, "Template format error: Unrecognized parameter type: %s", p.Type)
	}
	if err := parameterKinds(f.Value); err != nil {
		return p, err
	}
	if d := f.Value.Get("Default"); d != nil {
		if !d.Scalar() {
			return p, tree.Errorf(d.Pos, "Template format error: Every Default member must be a string.")
		}
		p.Default, p.HasDefault = d.Text, true
	}
	if d := f.Value.Get("Description"); d.Scalar() {
		p.Description = d.Text
	}
	p.NoEcho = isTrue(f.Value.Get("NoEcho"))
	return p, nil
}

// parameterKinds checks what a parameter says beside its type and default. A NoEcho or a constraint
// that could not be read would leave a secret open, or a value unchecked.
func parameterKinds(n *Node) error {
	for _, k := range n.Fields {
		ok, want := k.Value.Scalar(), "a string"
		switch k.Key {
		case "Type", "Default":
			continue // read by their own
		case "AllowedPattern", "Description", "ConstraintDescription":
		case "NoEcho":
			ok, want = ok && (strings.EqualFold(k.Value.Text, "true") || strings.EqualFold(k.Value.Text, "false")), "true or false"
		case "MaxLength", "MinLength", "MaxValue", "MinValue":
			_, number := num(k.Value)
			ok, want = number, "a number"
		case "AllowedValues":
			ok, want = k.Value.Is(tree.List), "a list"
			for _, v := range k.Value.List() {
				ok = ok && v.Scalar()
			}
		default:
			return tree.Errorf(k.Pos, "Invalid template parameter property '%s'", k.Key)
		}
		if !ok {
			return tree.Errorf(k.Value.Pos, "Template format error: Every %s member must be %s.", k.Key, want)
		}
	}
	return nil
}

func isTrue(n *Node) bool { return n != nil && strings.EqualFold(n.Text, "true") }

// The types that name something of AWS's (a key pair, a VPC) hold strings; whether the thing
// exists is left to the resource that uses it.
var awsType = regexp.MustCompile(`^(List<AWS::(EC2|Route53)::[A-Za-z:]+>|AWS::(EC2|Route53)::[A-Za-z:]+)$`)

func knownType(s string) bool {
	switch s {
	case "String", "Number", "CommaDelimitedList", "List<Number>", "List<String>", "AWS::SSM::Parameter::Name":
		return true
	}
	return awsType.MatchString(s)
}

func (p *Parameter) list() bool {
	return p.Type == "CommaDelimitedList" || strings.HasPrefix(p.Type, "List<")
}

// bindParameters gives every parameter its value and checks it.
func (t *Template) bindParameters(given map[string]string) ([]Parameter, error) {
	params, err := t.declarations()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	var missing []string
	var at []Pos
	for i := range params {
		p := &params[i]
		known[p.Name] = true
		v, ok := given[p.Name]
		if !ok && p.HasDefault {
			v, ok = p.Default, true
		}
		if !ok {
			missing, at = append(missing, p.Name), append(at, p.Pos)
			continue
		}
		p.Given = v
		if err := p.check(v); err != nil {
			return nil, err
		}
		p.Value = p.value(v)
	}
	if len(missing) > 0 {
		return nil, &tree.Error{Message: "Parameters: [" + strings.Join(missing, ", ") + "] must have values", At: at}
	}
	var extra []string
	for name := range given {
		if !known[name] {
			extra = append(extra, name)
		}
	}
	if len(extra) > 0 {
		return nil, tree.Errorf(Pos{}, "Parameters: [%s] do not exist in the template", strings.Join(sorted(extra), ", "))
	}
	return params, nil
}

func (p *Parameter) value(v string) *Node {
	if !p.list() {
		return tree.Str(v)
	}
	list := tree.L()
	if v == "" {
		return list
	}
	for _, it := range strings.Split(v, ",") {
		list.Add(tree.Str(strings.TrimSpace(it)))
	}
	return list
}

func (p *Parameter) check(v string) error {
	items := []string{v}
	if p.list() {
		items = nil
		for _, n := range p.value(v).Items {
			items = append(items, n.Text)
		}
	}
	for _, it := range items {
		if err := p.checkOne(it); err != nil {
			return err
		}
	}
	if !p.list() {
		return p.length(v)
	}
	return nil
}

func (p *Parameter) checkOne(v string) error {
	if p.Type == "Number" || p.Type == "List<Number>" {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return tree.Errorf(p.Pos, "Parameter '%s' must be a number.", p.Name)
		}
		if m, ok := num(p.def.Get("MinValue")); ok && f < m {
			return p.refuse("must be a number not less than %s", text(p.def.Get("MinValue")))
		}
		if m, ok := num(p.def.Get("MaxValue")); ok && f > m {
			return p.refuse("must be a number not greater than %s", text(p.def.Get("MaxValue")))
		}
	}
	if allowed := p.def.Get("AllowedValues"); allowed != nil {
		ok := false
		for _, a := range allowed.Items {
			ok = ok || text(a) == v
		}
		if !ok {
			if d := p.def.Get("ConstraintDescription"); d.Scalar() {
				return p.refuse("")
			}
			return tree.Errorf(p.Pos, "Parameter '%s' must be one of AllowedValues", p.Name)
		}
	}
	if pat := p.def.Get("AllowedPattern"); pat.Scalar() {
		re, err := regexp.Compile("^(?:" + pat.Text + ")$")
		if err != nil {
			return tree.Errorf(pat.Pos, "Template format error: AllowedPattern %q of the parameter %s is not a regular expression that can be read (look-around and back references are not built).", pat.Text, p.Name)
		}
		if !re.MatchString(v) {
			return p.refuse("must match pattern %s", pat.Text)
		}
	}
	return nil
}

func (p *Parameter) length(v string) error {
	n := float64(utf8.RuneCountInString(v))
	if m, ok := num(p.def.Get("MinLength")); ok && n < m {
		return p.refuse("must contain at least %s characters", text(p.def.Get("MinLength")))
	}
	if m, ok := num(p.def.Get("MaxLength")); ok && n > m {
		return p.refuse("must contain at most %s characters", text(p.def.Get("MaxLength")))
	}
	return nil
}

// refuse words a broken constraint; the template's own description comes first.
func (p *Parameter) refuse(format string, args ...any) error {
	if d := p.def.Get("ConstraintDescription"); d.Scalar() {
		return tree.Errorf(p.Pos, "Parameter %s failed to satisfy constraint: %s", p.Name, d.Text)
	}
	return tree.Errorf(p.Pos, "Parameter '"+p.Name+"' "+format, args...)
}

func num(n *Node) (float64, bool) {
	if !n.Scalar() {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.Text, 64)
	return f, err == nil
}
