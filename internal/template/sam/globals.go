package sam

import (
	"sort"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// mergeGlobals puts the Globals section into every resource of its types, then takes it away.
func (t *transformer) mergeGlobals() {
	g := t.doc.Get("Globals")
	if g == nil && !t.doc.Has("Globals") {
		t.openAPIVersions()
		return
	}
	if !g.Is(tree.Map) {
		t.globalsError(t.doc.Field("Globals").Pos, "It must be a non-empty dictionary")
		return
	}
	for _, f := range g.Fields {
		allowed := globalProperties(f.Key)
		if allowed == nil {
			t.globalsError(f.Pos, "'"+f.Key+"' is not supported. Must be one of the following values - [Api, Function, HttpApi, LayerVersion, SimpleTable]")
			return
		}
		if !f.Value.Is(tree.Map) {
			t.globalsError(f.Pos, "Value of "+f.Key+" must be a dictionary")
			return
		}
		for _, p := range f.Value.Fields {
			if !allowed[p.Key] {
				var names []string
				for n := range allowed {
					names = append(names, n)
				}
				sort.Strings(names)
				t.globalsError(p.Pos, "'"+p.Key+"' is not a supported property of '"+f.Key+"'. Must be one of the following values - ["+strings.Join(names, ", ")+"]")
				return
			}
		}
	}
	for _, r := range t.resources().Fields {
		if !serverless(r.Value) {
			continue
		}
		section := g.Get(typeOf(r.Value)[len(prefix):])
		if section == nil {
			continue
		}
		section, err := t.unignored(r, section.Clone())
		if err != nil {
			t.fail(r.Key, err)
			continue
		}
		local := r.Value.Get("Properties")
		if local.Absent() {
			local = tree.M().At(r.Pos)
		}
		r.Value.Set("Properties", merge(section, local))
	}
	t.doc.Delete("Globals")
	t.openAPIVersions()
}

func (t *transformer) globalsError(p tree.Pos, message string) {
	t.errs = append(t.errs, tree.Errorf(p, "'Globals' section is invalid. %s", message))
}

// unignored leaves out what a resource's IgnoreGlobals names.
func (t *transformer) unignored(r tree.Field, section *Node) (*Node, error) {
	ig := r.Value.Get("IgnoreGlobals")
	switch {
	case ig.Empty():
		return section, nil
	case ig.IsString("*"):
		return tree.M(), nil
	case ig.Is(tree.List):
		for _, k := range ig.Items {
			if !section.Has(k.Text) {
				return nil, tree.Errorf(k.Pos, "Resource %s has invalid resource attribute 'IgnoreGlobals' on item '%s'.", r.Key, k.Text)
			}
			section.Delete(k.Text)
		}
		return section, nil
	}
	return nil, tree.Errorf(ig.Pos, "Resource %s has invalid resource attribute 'IgnoreGlobals'.", r.Key)
}

// merge puts a resource's own value over the global one: maps are merged, lists are concatenated
// (global first), all else (functions too) is replaced.
func merge(global, local *Node) *Node {
	switch {
	case global.Is(tree.Map) && local.Is(tree.Map) && !isIntrinsic(global) && !isIntrinsic(local):
		out := global.Clone()
		for _, f := range local.Fields {
			if g := out.Field(f.Key); g != nil {
				g.Value, g.Pos = merge(g.Value, f.Value), f.Pos
			} else {
				out.Fields = append(out.Fields, f)
			}
		}
		out.Pos = local.Pos
		return out
	case global.Is(tree.List) && local.Is(tree.List):
		return &Node{Kind: tree.List, Pos: local.Pos, Items: append(global.Clone().Items, local.Items...)}
	}
	return local
}

// openAPIVersions gives the definitions that SAM writes the version that OpenApiVersion asks for.
func (t *transformer) openAPIVersions() {
	for _, r := range t.resources().Fields {
		p := r.Value.Get("Properties")
		v := p.Get("OpenApiVersion")
		if typeOf(r.Value) != prefix+"Api" || v == nil || !p.Has(managed) || !version3(v) {
			continue
		}
		v.Kind = tree.String
		if b := p.Get("DefinitionBody"); b != nil {
			b.Set("openapi", v.Clone())
			b.Delete("swagger")
		}
	}
}

func globalProperties(section string) map[string]bool {
	var s string
	switch section {
	case "Function":
		s = "Handler Runtime CodeUri DeadLetterQueue Description MemorySize Timeout VpcConfig Environment Tags PropagateTags Tracing " +
			"KmsKeyArn AutoPublishAlias AutoPublishAliasAllProperties Layers DeploymentPreference RolePath PermissionsBoundary " +
			"ReservedConcurrentExecutions ProvisionedConcurrencyConfig AssumeRolePolicyDocument EventInvokeConfig FileSystemConfigs " +
			"CodeSigningConfigArn Architectures SnapStart EphemeralStorage FunctionUrlConfig RuntimeManagementConfig LoggingConfig " +
			"RecursiveLoop SourceKMSKeyArn TenancyConfig DurableConfig CapacityProviderConfig FunctionScalingConfig " +
			"PublishToLatestPublished VersionDeletionPolicy"
	case "Api":
		s = "Auth Name DefinitionUri CacheClusterEnabled CacheClusterSize MergeDefinitions Variables EndpointConfiguration " +
			"MethodSettings BinaryMediaTypes MinimumCompressionSize Cors GatewayResponses AccessLogSetting CanarySetting " +
			"TracingEnabled OpenApiVersion Domain AlwaysDeploy PropagateTags SecurityPolicy EndpointAccessMode"
	case "HttpApi":
		s = "Auth AccessLogSettings StageVariables Tags CorsConfiguration DefaultRouteSettings Domain RouteSettings FailOnWarnings PropagateTags"
	case "SimpleTable":
		s = "SSESpecification"
	case "LayerVersion":
		s = "PublishLambdaVersion"
	default:
		return nil
	}
	out := map[string]bool{}
	for _, f := range strings.Fields(s) {
		out[f] = true
	}
	return out
}
