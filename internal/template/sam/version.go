package sam

import (
	"regexp"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

var aliasName = regexp.MustCompile(`^[a-zA-Z0-9\-_]+$`)

// publish makes the version and the alias of a function with AutoPublishAlias. The version's id
// ends in a hash of what must publish anew when it changes.
func (m *macro) publish(fn *generated) (version, alias *generated, err error) {
	given := m.get("AutoPublishAlias")
	name := m.t.resolve(given)
	if !name.Is(tree.String) {
		return nil, nil, m.errorf(given, "'AutoPublishAlias' must be a string or a Ref to a template parameter")
	}
	if !aliasName.MatchString(name.Text) || strings.Trim(name.Text, "0123456789") == "" {
		return nil, nil, m.errorf(given, "AutoPublishAlias name ('%s') must contain only alphanumeric characters, hyphens, or underscores matching (?!^[0-9]+$)([a-zA-Z0-9-_]+) pattern.", name.Text)
	}
	sha := ""
	if s := m.get("AutoPublishCodeSha256"); s != nil {
		v := m.t.resolve(s)
		if !v.Is(tree.String) {
			return nil, nil, m.errorf(s, "AutoPublishCodeSha256 must be a string")
		}
		sha = v.Text
		m.describe(fn, sha)
	}
	hash := sha
	if len(hash) > 10 {
		hash = hash[:10]
	}
	if basis := m.versionBasis(fn); sha == "" && !basis.Empty() {
		hash = digestNode(basis)
	}
	version = m.child(m.id+"Version"+hash, "AWS::Lambda::Version")
	if !version.attrs.Has("DeletionPolicy") {
		policy := tree.Str("Retain")
		if p := m.get("VersionDeletionPolicy"); p != nil {
			policy = p.Clone()
		}
		version.attrs.Set("DeletionPolicy", policy)
	}
	version.props.Set("FunctionName", ref(m.id))
	if d := m.get("VersionDescription"); d != nil {
		version.props.Set("Description", d.Clone())
	}
	alias = m.child(m.id+"Alias"+strings.NewReplacer("-", "D", "_", "U").Replace(name.Text), "AWS::Lambda::Alias")
	alias.props = tree.M("Name", name.Text, "FunctionName", ref(m.id), "FunctionVersion", getAtt(version.id, "Version"))
	if p := m.get("ProvisionedConcurrencyConfig"); !p.Empty() {
		alias.props.Set("ProvisionedConcurrencyConfig", p.Clone())
	}
	return version, alias, nil
}

// describe appends the code's hash to the description, so that Lambda sees a change too.
func (m *macro) describe(fn *generated, sha string) {
	d := m.t.resolve(m.get("Description").Clone())
	switch {
	case d.Empty():
		fn.props.Set("Description", tree.Str(sha))
	case d.Is(tree.String):
		fn.props.Set("Description", tree.Str(d.Text+" "+sha))
	default:
		fn.props.Set("Description", tree.M("Fn::Join", tree.L(tree.Str(" "), tree.L(d, tree.Str(sha)))))
	}
}

// versionBasis is what the hash is made of: the code, environment, memory and snapshot mode, or
// with AutoPublishAliasAllProperties all properties (and those of layers that ask for it).
func (m *macro) versionBasis(fn *generated) *Node {
	fn.props.Set("Code", m.t.resolve(fn.props.Get("Code")))
	if m.get("AutoPublishAliasAllProperties").True() {
		out := fn.props.Clone()
		for _, l := range m.get("Layers").List() {
			id := logicalIDOf(l)
			p := m.t.out.Get("Resources").Get(id).Get("Properties")
			if id != "" && !p.Get("PublishLambdaVersion").Empty() {
				out.Set(id, p.Clone())
			}
		}
		return out
	}
	out := fn.props.Get("Code").Clone()
	if env := fn.props.Get("Environment"); env.Is(tree.Map) {
		for _, f := range env.Fields {
			out.Set(f.Key, f.Value.Clone())
		}
	}
	if mem := fn.props.Get("MemorySize"); !mem.Empty() {
		out.Set("MemorySize", mem.Clone())
	}
	if s := fn.props.Get("SnapStart"); s.Is(tree.Map) && s.Has("ApplyOn") && !s.Get("ApplyOn").IsString("None") {
		out.Set("SnapStart", s.Clone())
	}
	return out
}

// logicalIDOf is the resource that a Ref or Fn::GetAtt names, "" for anything else.
func logicalIDOf(n *Node) string {
	switch name, arg, _ := n.Intrinsic(); {
	case name == "Ref" && arg.Is(tree.String):
		return arg.Text
	case name == "Fn::GetAtt" && arg.Is(tree.List) && len(arg.Items) == 2 && arg.Items[0].Is(tree.String):
		return arg.Items[0].Text
	case name == "Fn::GetAtt" && arg.Is(tree.String):
		if p := strings.Split(arg.Text, "."); len(p) == 2 {
			return p[0]
		}
	}
	return ""
}

// functionURL makes the URL and, when it is open to all, the permissions that say so.
func (m *macro) functionURL(to target) ([]*generated, error) {
	c := m.get("FunctionUrlConfig")
	if c.Empty() {
		return nil, nil
	}
	fixed := !isIntrinsic(c)
	auth := c.Get("AuthType")
	if fixed && !isIntrinsic(auth) && !auth.IsString("AWS_IAM") && !auth.IsString("NONE") {
		return nil, m.errorf(c, "AuthType is required to configure function property `FunctionUrlConfig`. Please provide either AWS_IAM or NONE.")
	}
	if fixed {
		if err := m.urlCors(c.Get("Cors")); err != nil {
			return nil, err
		}
	}
	name := to.name()
	u := m.child(m.id+"Url", "AWS::Lambda::Url")
	if cors := c.Get("Cors"); !cors.Empty() {
		u.props.Set("Cors", cors.Clone())
	}
	for _, k := range []string{"AuthType", "InvokeMode"} {
		if v := c.Get(k); !v.Absent() {
			u.props.Set(k, v.Clone())
		}
	}
	u.props.Set("TargetFunctionArn", name)
	if !fixed || !auth.IsString("NONE") {
		return []*generated{u}, nil
	}
	p := m.child(m.id+"UrlPublicPermissions", "AWS::Lambda::Permission")
	p.props = tree.M("Action", "lambda:InvokeFunctionUrl", "FunctionName", name.Clone(), "Principal", "*", "FunctionUrlAuthType", "NONE")
	i := m.child(m.id+"URLInvokeAllowPublicAccess", "AWS::Lambda::Permission")
	i.props = tree.M("Action", "lambda:InvokeFunction", "Principal", "*", "FunctionName", name.Clone(), "InvokedViaFunctionUrl", true)
	return []*generated{u, p, i}, nil
}

func (m *macro) urlCors(cors *Node) error {
	if cors.Empty() || isIntrinsic(cors) {
		return nil
	}
	if !cors.Is(tree.Map) {
		return m.errorf(cors, "Property 'FunctionUrlConfig.Cors' should be a map.")
	}
	shapes := map[string]string{"AllowOrigins": "l", "AllowMethods": "l", "AllowCredentials": "b", "AllowHeaders": "l", "ExposeHeaders": "l", "MaxAge": "i"}
	words := map[string]string{"l": "list", "b": "bool", "i": "int"}
	for _, f := range cors.Fields {
		shape, ok := shapes[f.Key]
		if !ok {
			return tree.Errorf(f.Pos, "%s is not a valid property for configuring Cors.", f.Key)
		}
		if !isIntrinsic(f.Value) && !fits(f.Value, shape) {
			return tree.Errorf(f.Value.Pos, "%s must be of type %s.", f.Key, words[shape])
		}
	}
	return nil
}
