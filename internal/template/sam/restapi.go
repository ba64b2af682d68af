package sam

import (
	"crypto/sha1"
	"encoding/hex"
	"regexp"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

var openAPIVersion = regexp.MustCompile(`^[2-3](\.\d)(\.\d)?$`)

// restAPI generates an Api's resources: the REST API with its definition, deployment and stage,
// permissions of its authorizers, and a usage plan.
func (m *macro) restAPI() ([]*generated, error) {
	if d := m.get("Domain"); !d.Empty() {
		m.t.note(d.Pos, "Domain (of %s) is not built.", m.id)
	}
	if d := m.get("AlwaysDeploy"); d.True() {
		m.t.note(d.Pos, "AlwaysDeploy (of %s) is not built: a name would change at each reading.", m.id)
	}
	for _, k := range []string{"BinaryMediaTypes", "Auth"} {
		if v := m.get(k); v != nil {
			m.props.Set(k, m.t.resolve(v))
		}
	}
	api, err := m.restResource()
	if err != nil {
		return nil, err
	}
	deployment, stage := m.deployment(api)
	made := []*generated{api, deployment, stage}
	permissions, err := m.authorizerPermissions(true)
	if err != nil {
		return nil, err
	}
	made = append(made, permissions...)
	plan, err := m.usagePlan(stage)
	if err != nil {
		return nil, err
	}
	made = append(made, plan...)
	propagate(made, m.get("Tags"), m.get("PropagateTags").True())
	m.refer(made, "Stage", "AWS::ApiGateway::Stage", "Deployment", "AWS::ApiGateway::Deployment", "UsagePlan",
		"AWS::ApiGateway::UsagePlan", "UsagePlanKey", "AWS::ApiGateway::UsagePlanKey", "ApiKey", "AWS::ApiGateway::ApiKey")
	return made, nil
}

// restDefinition is an Api's definition while it is put together; body is nil when it lies at a
// DefinitionUri.
type restDefinition struct {
	*macro
	body *Node
}

func (m *macro) restResource() (*generated, error) {
	d := &restDefinition{macro: m, body: m.get("DefinitionBody").Clone()}
	if d.body.Empty() {
		d.body = nil
	}
	uri := m.get("DefinitionUri")
	switch {
	case !uri.Empty() && d.body != nil:
		return nil, m.errorf(uri, "Specify either 'DefinitionUri' or 'DefinitionBody' property and not both.")
	case !uri.Empty() && m.get("MergeDefinitions").True():
		return nil, m.errorf(uri, "Cannot set 'MergeDefinitions' to True when using `DefinitionUri`.")
	}
	if v := m.get("OpenApiVersion"); !v.Empty() && !openAPIVersion.MatchString(v.Text) {
		return nil, m.errorf(v, "The OpenApiVersion value must be of the format '3.0.0'.")
	}
	api := m.main("AWS::ApiGateway::RestApi")
	m.pass(api, "BinaryMediaTypes", "MinimumCompressionSize")
	if c := m.get("EndpointConfiguration"); !c.Empty() {
		if err := m.endpoint(api, c); err != nil {
			return nil, err
		}
	}
	for _, step := range []func() error{d.cors, d.auth, d.gatewayResponses, d.binaryMediaTypes, d.models, d.disableEndpoint} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for _, k := range []string{"FailOnWarnings", "Name", "Description", "Mode", "ApiKeySourceType", "Policy", "SecurityPolicy", "EndpointAccessMode"} {
		if v := m.get(k); !v.Empty() {
			api.props.Set(k, v.Clone())
		}
	}
	if !uri.Empty() {
		loc, err := bodyLocation(uri)
		if err != nil {
			return nil, err
		}
		api.props.Set("BodyS3Location", loc)
	} else if d.body != nil {
		if err := d.postprocess(); err != nil {
			return nil, err
		}
		api.props.Set("Body", d.body)
	}
	return api, nil
}

func bodyLocation(uri *Node) (*Node, error) {
	bucket, key, version, err := s3Location(uri, "DefinitionUri")
	if err != nil {
		return nil, err
	}
	out := tree.M("Bucket", bucket, "Key", key)
	if version != nil {
		out.Set("Version", version)
	}
	return out, nil
}

func (m *macro) endpoint(api *generated, c *Node) error {
	typ := c.Get("Type")
	if typ.Empty() {
		api.props.Set("EndpointConfiguration", tree.M("Types", tree.L(c.Clone())))
		api.props.Set("Parameters", tree.M("endpointConfigurationTypes", c.Clone()))
		return nil
	}
	cfg := tree.M("Types", tree.L(typ.Clone()))
	if c.Has("VPCEndpointIds") && c.Has("VpcEndpointIds") {
		return m.errorf(c, "'VPCEndpointIds' and 'VpcEndpointIds' cannot be used together in EndpointConfiguration.")
	}
	for _, k := range []string{"VPCEndpointIds", "VpcEndpointIds"} {
		if v := c.Get(k); v != nil {
			cfg.Set("VpcEndpointIds", v.Clone())
		}
	}
	if v := c.Get("IpAddressType"); v != nil {
		cfg.Set("IpAddressType", v.Clone())
	}
	api.props.Set("EndpointConfiguration", cfg)
	api.props.Set("Parameters", tree.M("endpointConfigurationTypes", typ.Clone()))
	return nil
}

// deployment makes the deployment and the stage. The deployment's id ends in a hash of the
// definition, so that a change deploys anew. AWS's transform hashes the text that Python 2 gave
// such a dictionary, whose order depends on that language's hash tables; ours is of the canonical
// JSON: another suffix, which changes in the same cases.
func (m *macro) deployment(api *generated) (deployment, stage *generated) {
	name := m.get("StageName")
	suffix := ""
	if name.Is(tree.String) {
		suffix = name.Text
	}
	if !alphanumeric(suffix) {
		suffix = digest(suffix)
		stage = m.child(m.id+"Stage"+suffix, "AWS::ApiGateway::Stage")
	} else {
		stage = m.child(m.id+suffix+"Stage", "AWS::ApiGateway::Stage")
	}
	deployment = m.child(m.id+"Deployment", "AWS::ApiGateway::Deployment")
	deployment.props = tree.M("RestApiId", ref(m.id))
	if m.get("OpenApiVersion").Empty() {
		deployment.props.Set("StageName", tree.Str("Stage"))
	}
	definition := api.props.Get("Body")
	if definition == nil {
		definition = api.props.Get("BodyS3Location")
	}
	if !definition.Empty() {
		data := definition.Canonical()
		if v := m.get("OpenApiVersion"); !v.Empty() {
			data += "||" + v.Text
		}
		if names := m.t.functionNames(m.id); names != "" {
			data += "||" + names
		}
		h := sha1.Sum([]byte(data))
		full := hex.EncodeToString(h[:])
		deployment.id += full[:10]
		deployment.props.Set("Description", tree.Str("RestApi deployment id: "+full))
	}
	stage.props = tree.M("RestApiId", ref(m.id), "DeploymentId", ref(deployment.id), "StageName", name.Clone())
	m.pass(stage, "CacheClusterEnabled", "CacheClusterSize", "Variables", "MethodSettings", "AccessLogSetting", "CanarySetting", "TracingEnabled")
	if tags := m.get("Tags"); tags != nil {
		stage.props.Set("Tags", tagList(tags))
	}
	return deployment, stage
}

// functionNames is what functions that serve an API are named, since a new name needs a new
// deployment.
func (t *transformer) functionNames(api string) string {
	out := ""
	for _, r := range t.resources().Fields {
		if typeOf(r.Value) != prefix+"Function" {
			continue
		}
		for _, e := range r.Value.Dig("Properties", "Events").Map() {
			if e.Value.Get("Type").IsString("Api") && apiOf(e.Value.Dig("Properties", "RestApiId")) == api {
				if n := t.resolve(r.Value.Dig("Properties", "FunctionName").Clone()); !n.Empty() {
					if n.Is(tree.String) {
						out += n.Text
					} else {
						out += n.Canonical()
					}
				}
			}
		}
	}
	return out
}
