package lambda

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// planeResources are the resource types around functions.
func planeResources() []gate.Resource {
	return []gate.Resource{
		{Type: "AWS::Lambda::CodeSigningConfig", Attributes: []string{"CodeSigningConfigArn", "CodeSigningConfigId"},
			Properties: []string{"Description", "AllowedPublishers", "AllowedPublishers.SigningProfileVersionArns", "CodeSigningPolicies",
				"CodeSigningPolicies.UntrustedArtifactOnDeployment", "Tags", "Tags.Key", "Tags.Value"},
			Replace: []string{"Tags"}, Create: createSigningResource, Update: updateSigningResource, Delete: deleteSigningResource},
		{Type: "AWS::Lambda::LayerVersionPermission", Attributes: []string{"Id"}, Properties: []string{"Action", "LayerVersionArn", "OrganizationId", "Principal"},
			NameLimit: 100, Create: createLayerPermissionResource, Delete: deleteLayerPermissionResource},
	}
}

// surroundings are what of a function's properties is not part of its own configuration.
type surroundings struct {
	signing, recursion *string
	runtimes           *lambda.PutRuntimeManagementConfigInput
}

func (r *reader) surroundings(props map[string]any) surroundings {
	return surroundings{r.text(props, "CodeSigningConfigArn"), r.text(props, "RecursiveLoop"), r.runtimePolicy(props, "RuntimeManagementConfig")}
}

// runtimePolicy reads UpdateRuntimeOn and RuntimeVersionArn; without a function yet.
func (r *reader) runtimePolicy(props map[string]any, name string) *lambda.PutRuntimeManagementConfigInput {
	g := r.group(props, name)
	if g == nil {
		return nil
	}
	return &lambda.PutRuntimeManagementConfigInput{UpdateRuntimeOn: r.must(g, "UpdateRuntimeOn"), RuntimeVersionArn: r.text(g, "RuntimeVersionArn")}
}

// sign gives a function its code signing configuration, before its code changes.
func (w surroundings) sign(ctx context.Context, c lambda.Client, fn string, was surroundings) error {
	var err error
	switch now, before := wire.Val(w.signing), wire.Val(was.signing); {
	case now == before:
	case now == "":
		_, err = c.DeleteFunctionCodeSigningConfig(ctx, &lambda.DeleteFunctionCodeSigningConfigInput{FunctionName: fn})
	default:
		_, err = c.PutFunctionCodeSigningConfig(ctx, &lambda.PutFunctionCodeSigningConfigInput{FunctionName: fn, CodeSigningConfigArn: now})
	}
	return err
}

// put gives a function the rest; what the template no longer has goes back to its default.
func (w surroundings) put(ctx context.Context, c lambda.Client, fn string, was surroundings) error {
	if now, before := w.runtimes, was.runtimes; now != nil || before != nil {
		if now == nil {
			now = &lambda.PutRuntimeManagementConfigInput{UpdateRuntimeOn: runtimeAuto}
		}
		in := *now
		in.FunctionName = fn
		if _, err := c.PutRuntimeManagementConfig(ctx, &in); err != nil {
			return err
		}
	}
	if wire.Val(w.recursion) == wire.Val(was.recursion) {
		return nil
	}
	to := loopTerminate
	set(&to, w.recursion)
	_, err := c.PutFunctionRecursionConfig(ctx, &lambda.PutFunctionRecursionConfigInput{FunctionName: fn, RecursiveLoop: to})
	return err
}

// readPoll is how often a deployment looks whether what it asked for is ready.
const readPoll = 200 * time.Millisecond

// holdResource holds as many instances of a version or alias ready as a template wants, and waits until
// they are.
func holdResource(ctx context.Context, c lambda.Client, props map[string]any, fn, qualifier string, had bool) error {
	r := &reader{}
	n := r.number(r.group(props, "ProvisionedConcurrencyConfig"), "ProvisionedConcurrentExecutions")
	if r.err != nil {
		return r.err
	}
	if n == nil {
		if had {
			_, err := c.DeleteProvisionedConcurrencyConfig(ctx, &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: fn, Qualifier: qualifier})
			return gone(err)
		}
		return nil
	}
	if _, err := c.PutProvisionedConcurrencyConfig(ctx, &lambda.PutProvisionedConcurrencyConfigInput{FunctionName: fn, Qualifier: qualifier, ProvisionedConcurrentExecutions: *n}); err != nil {
		return err
	}
	t := time.NewTicker(readPoll)
	defer t.Stop()
	for {
		now, err := c.GetProvisionedConcurrencyConfig(ctx, &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: fn, Qualifier: qualifier})
		switch {
		case err != nil:
			return err
		case wire.Val(now.Status) == ready:
			return nil
		case wire.Val(now.Status) == failed:
			return fmt.Errorf("Provisioned Concurrency configuration failed to be applied. Reason: %s", wire.Val(now.StatusReason))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// qualify gives a new version what its template wants beside its code.
func qualify(ctx context.Context, c lambda.Client, props map[string]any, fn, version string) error {
	r := &reader{}
	if p := r.runtimePolicy(props, "RuntimePolicy"); p != nil {
		p.FunctionName, p.Qualifier = fn, &version
		if _, err := c.PutRuntimeManagementConfig(ctx, p); err != nil {
			return err
		}
	}
	if r.err != nil {
		return r.err
	}
	return holdResource(ctx, c, props, fn, version, false)
}

func readSigning(props map[string]any) (*lambda.CreateCodeSigningConfigInput, error) {
	r := &reader{}
	in := &lambda.CreateCodeSigningConfigInput{Description: r.text(props, "Description"), Tags: r.tags(props),
		AllowedPublishers: &lambda.AllowedPublishers{SigningProfileVersionArns: r.texts(r.group(props, "AllowedPublishers"), "SigningProfileVersionArns")}}
	if p := r.group(props, "CodeSigningPolicies"); p != nil {
		in.CodeSigningPolicies = &lambda.CodeSigningPolicies{UntrustedArtifactOnDeployment: r.text(p, "UntrustedArtifactOnDeployment")}
	}
	return in, r.err
}

func madeSigning(c *lambda.CodeSigningConfig) gate.Made {
	return gate.Made{ID: c.CodeSigningConfigArn, Attributes: map[string]any{"CodeSigningConfigArn": c.CodeSigningConfigArn, "CodeSigningConfigId": c.CodeSigningConfigId}}
}

func createSigningResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in, err := readSigning(props)
	if err != nil {
		return gate.Made{}, err
	}
	out, err := lambda.Client{Caller: m}.CreateCodeSigningConfig(ctx, in)
	if err != nil {
		return gate.Made{}, err
	}
	return madeSigning(out.CodeSigningConfig), nil
}

func updateSigningResource(ctx context.Context, m gate.Making, id string, _, after map[string]any) (gate.Made, error) {
	in, err := readSigning(after)
	if err != nil {
		return gate.Made{}, err
	}
	if in.CodeSigningPolicies == nil {
		in.CodeSigningPolicies = &lambda.CodeSigningPolicies{UntrustedArtifactOnDeployment: new(signWarn)}
	}
	out, err := lambda.Client{Caller: m}.UpdateCodeSigningConfig(ctx, &lambda.UpdateCodeSigningConfigInput{CodeSigningConfigArn: id,
		Description: new(wire.Val(in.Description)), AllowedPublishers: in.AllowedPublishers, CodeSigningPolicies: in.CodeSigningPolicies})
	if err != nil {
		return gate.Made{}, err
	}
	return madeSigning(out.CodeSigningConfig), nil
}

func deleteSigningResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := lambda.Client{Caller: m}.DeleteCodeSigningConfig(ctx, &lambda.DeleteCodeSigningConfigInput{CodeSigningConfigArn: id})
	return gone(err)
}

// layerOf takes a layer version's ARN apart, for calls that want its two parts.
func layerOf(arn string) (layer string, version int64, err error) {
	l, err := name.ParseLayer(arn)
	if err != nil || l.Version == 0 {
		return "", 0, invalid("Invalid layer version arn: %s", arn)
	}
	return arn[:strings.LastIndexByte(arn, ':')], l.Version, nil
}

func createLayerPermissionResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	r := &reader{}
	in := &lambda.AddLayerVersionPermissionInput{StatementId: m.Name, Action: r.must(props, "Action"), Principal: r.must(props, "Principal"), OrganizationId: r.text(props, "OrganizationId")}
	arn := r.must(props, "LayerVersionArn")
	if r.err != nil {
		return gate.Made{}, r.err
	}
	var err error
	if in.LayerName, in.VersionNumber, err = layerOf(arn); err != nil {
		return gate.Made{}, err
	}
	_, err = lambda.Client{Caller: m}.AddLayerVersionPermission(ctx, in)
	if awserr.Is(err, "ResourceConflictException") {
		err = nil // the name is the making's own: an earlier attempt added it
	}
	id := arn + "#" + m.Name
	return gate.Made{ID: id, Attributes: map[string]any{"Id": id}}, err
}

func deleteLayerPermissionResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	arn, statement, _ := strings.Cut(id, "#")
	layer, version, err := layerOf(arn)
	if err != nil {
		return err
	}
	_, err = lambda.Client{Caller: m}.RemoveLayerVersionPermission(ctx, &lambda.RemoveLayerVersionPermissionInput{LayerName: layer, VersionNumber: version, StatementId: statement})
	return gone(err)
}
