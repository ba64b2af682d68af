package sam

import (
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// macro is one serverless resource that is being replaced.
type macro struct {
	t       *transformer
	id, typ string
	def     *Node
	props   *Node
}

func newMacro(t *transformer, id string, def *Node) *macro {
	p := def.Get("Properties")
	if p.Absent() {
		p = tree.M()
	}
	return &macro{t, id, strings.TrimPrefix(typeOf(def), prefix), def, p}
}

// get is a property, nil when it is absent or null.
func (m *macro) get(name string) *Node {
	if n := m.props.Get(name); !n.Absent() {
		return n
	}
	return nil
}

// attrs are the attributes that every generated resource inherits; own adds those that only the
// resource of the same id keeps.
func (m *macro) attrs() *Node { return m.pick("Condition", "DeletionPolicy", "UpdateReplacePolicy") }

func (m *macro) own() *Node {
	return m.pick("DeletionPolicy", "UpdatePolicy", "Condition", "UpdateReplacePolicy", "Metadata")
}

func (m *macro) pick(keys ...string) *Node {
	out := tree.M()
	for _, k := range keys {
		if v := m.def.Get(k); v != nil {
			out.Set(k, v.Clone())
		}
	}
	return out
}

func (m *macro) child(id, typ string) *generated {
	return &generated{id: id, typ: typ, attrs: m.attrs(), props: tree.M()}
}

// main is the generated resource that takes the macro's own id.
func (m *macro) main(typ string) *generated {
	return &generated{id: m.id, typ: typ, depends: m.def.Get("DependsOn"), attrs: m.own(), props: tree.M()}
}

// pass copies properties as they are.
func (m *macro) pass(g *generated, names ...string) {
	for _, n := range names {
		if v := m.get(n); v != nil {
			g.props.Set(n, v.Clone())
		}
	}
}

func (m *macro) errorf(n *Node, format string, args ...any) *tree.Error {
	p := tree.Pos{}
	if n != nil {
		p = n.Pos
	}
	return tree.Errorf(p, format, args...)
}

// check refuses properties that the type does not have, and values of the wrong shape. A map of
// one key passes for any shape: it may be a function.
func (m *macro) check() error {
	shapes := propertyShapes(m.typ)
	for _, f := range m.props.Fields {
		shape, ok := shapes[f.Key]
		if !ok {
			return tree.Errorf(f.Pos, "property %s not defined for resource of type %s%s", f.Key, prefix, m.typ)
		}
		if f.Value.Absent() || f.Value.Is(tree.Map) && len(f.Value.Fields) == 1 {
			continue
		}
		if !fits(f.Value, shape) {
			return tree.Errorf(f.Value.Pos, "Property '%s' should be %s.", f.Key, shapeName(shape))
		}
	}
	for _, name := range requiredProperties(m.typ) {
		if m.get(name) == nil {
			return tree.Errorf(tree.Pos{}, "Missing required property '%s'.", name)
		}
	}
	return nil
}

// The letters of a shape: string, map, list, boolean, integer; "" is anything.
func fits(n *Node, shape string) bool {
	if shape == "" {
		return true
	}
	kind := map[tree.Kind]string{tree.String: "s", tree.Map: "m", tree.List: "l", tree.Bool: "b", tree.Int: "i"}[n.Kind]
	return kind != "" && strings.Contains(shape, kind)
}

func shapeName(shape string) string {
	names := map[rune]string{'s': "a string", 'm': "a map", 'l': "a list", 'b': "a boolean", 'i': "an integer"}
	var out []string
	for _, c := range shape {
		out = append(out, names[c])
	}
	return strings.Join(out, " or ")
}

func requiredProperties(typ string) []string {
	switch typ {
	case "Api":
		return []string{"StageName"}
	case "LayerVersion":
		return []string{"ContentUri"}
	}
	return nil
}

// managed marks an API whose definition SAM writes itself; it never leaves the transform.
const managed = "__MANAGE_SWAGGER"

func propertyShapes(typ string) map[string]string {
	switch typ {
	case "Function":
		return map[string]string{"FunctionName": "sm", "Handler": "", "Runtime": "", "CodeUri": "", "ImageUri": "", "PackageType": "",
			"InlineCode": "", "DeadLetterQueue": "m", "Description": "", "MemorySize": "", "Timeout": "", "VpcConfig": "", "Role": "s",
			"AssumeRolePolicyDocument": "m", "Policies": "sml", "RolePath": "", "PermissionsBoundary": "s", "Environment": "m",
			"Events": "m", "Tags": "m", "PropagateTags": "b", "Tracing": "ms", "KmsKeyArn": "", "DeploymentPreference": "m",
			"ReservedConcurrentExecutions": "", "Layers": "l", "EventInvokeConfig": "m", "EphemeralStorage": "", "AutoPublishAlias": "s",
			"AutoPublishCodeSha256": "s", "AutoPublishAliasAllProperties": "b", "VersionDescription": "", "ProvisionedConcurrencyConfig": "",
			"FileSystemConfigs": "", "ImageConfig": "", "CodeSigningConfigArn": "", "Architectures": "", "SnapStart": "m",
			"FunctionUrlConfig": "m", "RuntimeManagementConfig": "", "LoggingConfig": "", "RecursiveLoop": "", "SourceKMSKeyArn": "",
			"CapacityProviderConfig": "m", "FunctionScalingConfig": "m", "VersionDeletionPolicy": "s", "PublishToLatestPublished": "",
			"TenancyConfig": "", "DurableConfig": "m"}
	case "Api":
		return map[string]string{managed: "b", "Name": "sm", "StageName": "sm", "Tags": "m", "PropagateTags": "b", "DefinitionBody": "m",
			"DefinitionUri": "sm", "MergeDefinitions": "b", "CacheClusterEnabled": "b", "CacheClusterSize": "s", "Variables": "m",
			"EndpointConfiguration": "sm", "MethodSettings": "l", "BinaryMediaTypes": "l", "MinimumCompressionSize": "i", "Cors": "sm",
			"Auth": "m", "GatewayResponses": "m", "AccessLogSetting": "m", "CanarySetting": "m", "TracingEnabled": "b",
			"OpenApiVersion": "s", "Models": "m", "Domain": "m", "FailOnWarnings": "b", "Description": "s", "Mode": "s",
			"DisableExecuteApiEndpoint": "b", "ApiKeySourceType": "s", "AlwaysDeploy": "b", "Policy": "sm", "SecurityPolicy": "s",
			"EndpointAccessMode": "s"}
	case "HttpApi":
		return map[string]string{managed: "b", "Name": "", "StageName": "sm", "Tags": "m", "PropagateTags": "b", "DefinitionBody": "m",
			"DefinitionUri": "sm", "StageVariables": "m", "CorsConfiguration": "bm", "AccessLogSettings": "m", "DefaultRouteSettings": "m",
			"Auth": "m", "RouteSettings": "m", "Domain": "m", "FailOnWarnings": "b", "Description": "s", "DisableExecuteApiEndpoint": "b"}
	case "SimpleTable":
		return map[string]string{"PointInTimeRecoverySpecification": "", "PrimaryKey": "m", "ProvisionedThroughput": "m", "TableName": "sm",
			"Tags": "m", "SSESpecification": "m"}
	case "LayerVersion":
		return map[string]string{"LayerName": "sm", "Description": "s", "PublishLambdaVersion": "b", "ContentUri": "sm",
			"CompatibleArchitectures": "l", "CompatibleRuntimes": "l", "LicenseInfo": "s", "RetentionPolicy": "s"}
	}
	return nil
}
