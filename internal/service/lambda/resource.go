package lambda

import (
	"context"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Resources are the CloudFormation resource types of the service. Properties of what is not built
// (file systems, dead-letter queues, provisioned concurrency …) are not listed: a template
// that has one is refused with its place before anything is made.
func (s *Service) Resources() []gate.Resource {
	return append(slices.Concat(s.asyncResources(), planeResources()), []gate.Resource{
		{Type: "AWS::Lambda::Function", Attributes: []string{"Arn", "SnapStartResponse.ApplyOn", "SnapStartResponse.OptimizationStatus"},
			Properties: []string{"FunctionName", "Code", "Code.ZipFile", "Code.S3Bucket", "Code.S3Key", "Code.S3ObjectVersion", "Code.ImageUri", "ImageConfig", "ImageConfig.EntryPoint", "ImageConfig.Command", "ImageConfig.WorkingDirectory", "Runtime", "Handler", "Role",
				"Description", "Timeout", "MemorySize", "Environment", "Layers", "Architectures", "PackageType", "EphemeralStorage", "EphemeralStorage.Size",
				"TracingConfig", "TracingConfig.Mode", "SnapStart", "SnapStart.ApplyOn",
				"CodeSigningConfigArn", "RecursiveLoop", "RuntimeManagementConfig", "RuntimeManagementConfig.UpdateRuntimeOn", "RuntimeManagementConfig.RuntimeVersionArn",
				"TenancyConfig", "TenancyConfig.TenantIsolationMode",
				"LoggingConfig", "LoggingConfig.LogFormat", "LoggingConfig.LogGroup", "LoggingConfig.ApplicationLogLevel", "LoggingConfig.SystemLogLevel",
				"VpcConfig", "VpcConfig.SecurityGroupIds", "VpcConfig.SubnetIds", "ReservedConcurrentExecutions", "Tags", "Tags.Key", "Tags.Value"},
			Unbuilt: map[string]map[string]string{"TracingConfig.Mode": {"Active": "TracingConfig with mode Active (AWS X-Ray) is not built"},
				"LoggingConfig.SystemLogLevel": {"WARN": "LoggingConfig with SystemLogLevel WARN is not built", "DEBUG": "LoggingConfig with SystemLogLevel DEBUG is not built"}},
			Lacks:   s.lacksOfFunction,
			Replace: []string{"FunctionName", "PackageType", "TenancyConfig"}, Create: createFunctionResource, Update: updateFunctionResource, Delete: deleteFunctionResource},
		{Type: "AWS::Lambda::Permission", Attributes: []string{"Id"},
			Properties: []string{"Action", "FunctionName", "Principal", "SourceArn", "SourceAccount", "EventSourceToken", "FunctionUrlAuthType", "PrincipalOrgID", "InvokedViaFunctionUrl"},
			NameLimit:  100, Create: createPermissionResource, Delete: deletePermissionResource},
		{Type: "AWS::Lambda::Version", Attributes: []string{"Version", "FunctionArn"}, Properties: []string{"FunctionName", "Description", "CodeSha256",
			"ProvisionedConcurrencyConfig", "ProvisionedConcurrencyConfig.ProvisionedConcurrentExecutions", "RuntimePolicy", "RuntimePolicy.UpdateRuntimeOn", "RuntimePolicy.RuntimeVersionArn"},
			Create: createVersionResource, Delete: deleteVersionResource},
		{Type: "AWS::Lambda::Alias", Attributes: []string{"AliasArn"},
			Properties: []string{"FunctionName", "FunctionVersion", "Name", "Description", "RoutingConfig", "RoutingConfig.AdditionalVersionWeights",
				"RoutingConfig.AdditionalVersionWeights.FunctionVersion", "RoutingConfig.AdditionalVersionWeights.FunctionWeight",
				"ProvisionedConcurrencyConfig", "ProvisionedConcurrencyConfig.ProvisionedConcurrentExecutions"},
			Replace: []string{"FunctionName", "Name"}, Create: createAliasResource, Update: updateAliasResource, Delete: deleteAliasResource},
		{Type: "AWS::Lambda::Url", Attributes: []string{"FunctionArn", "FunctionUrl"},
			Properties: []string{"TargetFunctionArn", "Qualifier", "AuthType", "InvokeMode", "Cors", "Cors.AllowCredentials", "Cors.AllowHeaders",
				"Cors.AllowMethods", "Cors.AllowOrigins", "Cors.ExposeHeaders", "Cors.MaxAge"},
			Replace: []string{"TargetFunctionArn", "Qualifier"}, Create: createURLResource, Update: updateURLResource, Delete: deleteURLResource},
		{Type: "AWS::Lambda::LayerVersion", Attributes: []string{"LayerVersionArn"},
			Properties: []string{"LayerName", "Content", "Content.S3Bucket", "Content.S3Key", "Content.S3ObjectVersion", "Description", "LicenseInfo",
				"CompatibleRuntimes", "CompatibleArchitectures"},
			Create: createLayerResource, Delete: deleteLayerResource},
	}...)
}

// lacksOfFunction is the processor that this machine has not.
func (s *Service) lacksOfFunction(props map[string]any) []gate.Lack {
	list, _ := props["Architectures"].([]any)
	for _, x := range list {
		if arch, ok := x.(string); ok && arch != s.Arch {
			return []gate.Lack{{Path: []string{"Architectures", "0"}, What: "the architecture " + arch + " is not built on a machine of " + s.Arch}}
		}
	}
	return nil
}

// gone makes the end of what is gone already no error.
func gone(err error) error {
	if awserr.Is(err, "ResourceNotFoundException") {
		return nil
	}
	return err
}

func readPermission(props map[string]any, sid string) (*lambda.AddPermissionInput, error) {
	r := &reader{}
	in := &lambda.AddPermissionInput{FunctionName: r.must(props, "FunctionName"), StatementId: sid, Action: r.must(props, "Action"), Principal: r.must(props, "Principal"),
		SourceArn: r.text(props, "SourceArn"), SourceAccount: r.text(props, "SourceAccount"), EventSourceToken: r.text(props, "EventSourceToken"),
		PrincipalOrgID: r.text(props, "PrincipalOrgID"), FunctionUrlAuthType: r.text(props, "FunctionUrlAuthType"), InvokedViaFunctionUrl: r.truth(props, "InvokedViaFunctionUrl")}
	return in, r.err
}

func createPermissionResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in, err := readPermission(props, m.Name)
	if err != nil {
		return gate.Made{}, err
	}
	_, err = lambda.Client{Caller: m}.AddPermission(ctx, in)
	if awserr.Is(err, "ResourceConflictException") {
		err = nil // the name is the making's own: an earlier attempt added it
	}
	return gate.Made{ID: m.Name, Attributes: map[string]any{"Id": m.Name}}, err
}

func deletePermissionResource(ctx context.Context, m gate.Making, id string, props map[string]any) error {
	r := &reader{}
	in := &lambda.RemovePermissionInput{FunctionName: r.must(props, "FunctionName"), StatementId: id}
	if r.err != nil {
		return r.err
	}
	_, err := lambda.Client{Caller: m}.RemovePermission(ctx, in)
	return gone(err)
}

func createVersionResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	r := &reader{}
	in := &lambda.PublishVersionInput{FunctionName: r.must(props, "FunctionName"), Description: r.text(props, "Description"), CodeSha256: r.text(props, "CodeSha256")}
	if r.err != nil {
		return gate.Made{}, r.err
	}
	// Publishing what was published already gives the same version: a retry needs no more.
	out, err := lambda.Client{Caller: m}.PublishVersion(ctx, in)
	if err != nil {
		return gate.Made{}, err
	}
	made := gate.Made{ID: *out.FunctionArn, Attributes: map[string]any{"Version": *out.Version, "FunctionArn": *out.FunctionArn}}
	return made, qualify(ctx, lambda.Client{Caller: m}, props, in.FunctionName, *out.Version)
}

func deleteVersionResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := lambda.Client{Caller: m}.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: id})
	return gone(err)
}

func readAlias(props map[string]any) (*lambda.CreateAliasInput, error) {
	r := &reader{}
	in := &lambda.CreateAliasInput{FunctionName: r.must(props, "FunctionName"), Name: r.must(props, "Name"), FunctionVersion: r.must(props, "FunctionVersion"),
		Description: r.text(props, "Description"), RoutingConfig: &lambda.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}}}
	for _, w := range r.groups(r.group(props, "RoutingConfig"), "AdditionalVersionWeights") {
		var weight float64
		switch v := w["FunctionWeight"].(type) {
		case float64:
			weight = v
		case int:
			weight = float64(v)
		case int64:
			weight = float64(v)
		default:
			r.fault("FunctionWeight", v)
		}
		in.RoutingConfig.AdditionalVersionWeights[r.must(w, "FunctionVersion")] = weight
	}
	return in, r.err
}

func createAliasResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in, err := readAlias(props)
	if err != nil {
		return gate.Made{}, err
	}
	out, err := lambda.Client{Caller: m}.CreateAlias(ctx, in)
	if awserr.Is(err, "ResourceConflictException") && m.Again {
		return updateAliasResource(ctx, m, "", props, props) // an earlier attempt may have made it
	}
	if err != nil {
		return gate.Made{}, err
	}
	return madeAlias(out), holdResource(ctx, lambda.Client{Caller: m}, props, in.FunctionName, in.Name, false)
}

func madeAlias(a *lambda.AliasConfiguration) gate.Made {
	return gate.Made{ID: *a.AliasArn, Attributes: map[string]any{"AliasArn": *a.AliasArn}}
}

func updateAliasResource(ctx context.Context, m gate.Making, _ string, before, after map[string]any) (gate.Made, error) {
	in, err := readAlias(after)
	if err != nil {
		return gate.Made{}, err
	}
	out, err := lambda.Client{Caller: m}.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: in.FunctionName, Name: in.Name,
		FunctionVersion: &in.FunctionVersion, Description: new(wire.Val(in.Description)), RoutingConfig: in.RoutingConfig})
	if err != nil {
		return gate.Made{}, err
	}
	return madeAlias(out), holdResource(ctx, lambda.Client{Caller: m}, after, in.FunctionName, in.Name, before["ProvisionedConcurrencyConfig"] != nil)
}

func deleteAliasResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	a, err := arn.Parse(id)
	if err != nil {
		return err
	}
	// The id is the alias's ARN: …:function:NAME:ALIAS.
	parts := strings.Split(a.Resource, ":")
	if len(parts) != 3 {
		return invalid("%s is no alias", id)
	}
	_, err = lambda.Client{Caller: m}.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: parts[1], Name: parts[2]})
	return gone(err)
}

func createLayerResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	r := &reader{}
	content := r.group(props, "Content")
	in := &lambda.PublishLayerVersionInput{LayerName: m.Name, Description: r.text(props, "Description"), LicenseInfo: r.text(props, "LicenseInfo"),
		CompatibleRuntimes: r.texts(props, "CompatibleRuntimes"), CompatibleArchitectures: r.texts(props, "CompatibleArchitectures"),
		Content: &lambda.LayerVersionContentInput{S3Bucket: r.text(content, "S3Bucket"), S3Key: r.text(content, "S3Key"), S3ObjectVersion: r.text(content, "S3ObjectVersion")}}
	if n := r.text(props, "LayerName"); n != nil {
		in.LayerName = *n
	}
	if r.err != nil {
		return gate.Made{}, r.err
	}
	c := lambda.Client{Caller: m}
	out, err := c.PublishLayerVersion(ctx, in)
	if err != nil {
		return gate.Made{}, err
	}
	id := *out.LayerVersionArn
	if m.Again && *out.Version > 1 { // the version before may be an earlier attempt's: then it is the one
		was, err := c.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: in.LayerName, VersionNumber: *out.Version - 1})
		if err == nil && *was.Content.CodeSha256 == *out.Content.CodeSha256 && wire.Val(was.Description) == wire.Val(out.Description) {
			if _, err := c.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: in.LayerName, VersionNumber: *out.Version}); err != nil {
				return gate.Made{ID: id}, err
			}
			id = *was.LayerVersionArn
		}
	}
	return gate.Made{ID: id, Attributes: map[string]any{"LayerVersionArn": id}}, nil
}

func deleteLayerResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	k, n, err := referLayer(at{m.Account, m.Region}, id)
	if err != nil {
		return err
	}
	_, err = lambda.Client{Caller: m}.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: k.Name, VersionNumber: n})
	return gone(err)
}

// at is a place.
type at struct{ account, region string }

func (a at) Account() string { return a.account }

func (a at) Region() string { return a.region }
