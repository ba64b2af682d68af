package sam

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/bastide-cloud/bastide/internal/template/tree"
)

// target is what a function's events call: its alias when it has one, else the function.
type target struct {
	id    string
	alias bool
	attrs *Node
}

// arn is the expression for the ARN; name the one that a permission uses.
func (f target) arn() *Node {
	if f.alias {
		return ref(f.id)
	}
	return getAtt(f.id, "Arn")
}

func (f target) name() *Node { return ref(f.id) }

func (f target) condition() string {
	if c := f.attrs.Get("Condition"); c.Is(tree.String) {
		return c.Text
	}
	return ""
}

// function generates a Function's resources: the function, its version, alias, URL, asynchronous
// destinations, role and what its events need.
func (m *macro) function() ([]*generated, error) {
	if c := m.get("CapacityProviderConfig"); c != nil {
		m.t.note(c.Pos, "CapacityProviderConfig (of %s) is not built.", m.id)
	}
	if p := m.get("VersionDeletionPolicy"); p != nil && m.get("AutoPublishAlias") == nil {
		return nil, m.errorf(p, "'VersionDeletionPolicy' requires 'AutoPublishAlias'.")
	}
	m.deploymentPreference()
	if err := m.expandPolicies(); err != nil {
		return nil, err
	}
	fn, err := m.lambda()
	if err != nil {
		return nil, err
	}
	made := []*generated{fn}
	to := target{id: m.id, attrs: fn.attrs}
	alias := ""
	if m.get("AutoPublishAlias") != nil {
		v, a, err := m.publish(fn)
		if err != nil {
			return nil, err
		}
		made = append(made, v, a)
		to, alias = target{a.id, true, a.attrs}, a.props.Get("Name").Text
	} else if p := m.get("ProvisionedConcurrencyConfig"); !p.Empty() {
		return nil, m.errorf(p, "To set ProvisionedConcurrencyConfig AutoPublishALias must be defined on the function")
	}
	more, err := m.functionURL(to)
	if err != nil {
		return nil, err
	}
	made = append(made, more...)
	more, policies, err := m.eventInvoke(alias, to)
	if err != nil {
		return nil, err
	}
	made = append(made, more...)
	if made, err = m.addRole(made, fn, policies); err != nil {
		return nil, err
	}
	if more, err = m.events(to); err != nil {
		return nil, err
	}
	made = append(made, more...)
	propagate(made, m.get("Tags"), m.get("PropagateTags").True())
	m.refer(made, "Alias", "AWS::Lambda::Alias", "Version", "AWS::Lambda::Version", "DestinationTopic", "AWS::SNS::Topic",
		"DestinationQueue", "AWS::SQS::Queue")
	return made, nil
}

func (m *macro) deploymentPreference() {
	d := m.get("DeploymentPreference")
	if d.Empty() {
		return
	}
	on := m.t.resolve(d.Get("Enabled").Clone())
	if on != nil && (on.IsString("false") || on.IsString("False") || on.Empty()) {
		return
	}
	m.t.note(d.Pos, "DeploymentPreference (of %s) is not built.", m.id)
}

func (m *macro) lambda() (*generated, error) {
	fn := m.main("AWS::Lambda::Function")
	m.pass(fn, "FunctionName", "Handler", "Runtime", "Description", "MemorySize", "Timeout", "VpcConfig", "Role", "Environment",
		"KmsKeyArn", "ReservedConcurrentExecutions", "Layers", "FileSystemConfigs", "ImageConfig", "PackageType", "Architectures",
		"SnapStart", "EphemeralStorage", "CodeSigningConfigArn", "RuntimeManagementConfig", "LoggingConfig", "TenancyConfig",
		"RecursiveLoop", "DurableConfig", "FunctionScalingConfig", "PublishToLatestPublished")
	if fn.props.Get("FunctionName").Empty() {
		fn.props.Delete("FunctionName")
	}
	code, err := m.code()
	if err != nil {
		return nil, err
	}
	fn.props.Set("Code", code)
	tags, err := m.samTags()
	if err != nil {
		return nil, err
	}
	fn.props.Set("Tags", tags)
	if m.tracing() {
		fn.props.Set("TracingConfig", tree.M("Mode", m.get("Tracing").Clone()))
	}
	if d := m.get("DeadLetterQueue"); !d.Empty() {
		if err := m.deadLetters(d); err != nil {
			return nil, err
		}
		fn.props.Set("DeadLetterConfig", tree.M("TargetArn", d.Get("TargetArn").Clone()))
	}
	return fn, m.packageType(fn)
}

// tracing reports whether Tracing is on; saying Disabled is the same as not saying it.
func (m *macro) tracing() bool {
	tr := m.get("Tracing")
	return !tr.Empty() && !m.t.resolve(tr).IsString("Disabled")
}

func (m *macro) deadLetters(d *Node) error {
	typ := d.Get("Type")
	if typ.Empty() || d.Get("TargetArn").Empty() {
		return m.errorf(d, "'DeadLetterQueue' requires Type and TargetArn properties to be specified.")
	}
	if !typ.IsString("SQS") && !typ.IsString("SNS") {
		return m.errorf(typ, "'DeadLetterQueue' requires Type of ['SQS', 'SNS']")
	}
	return nil
}

// samTags is SAM's own tag followed by the function's.
func (m *macro) samTags() (*Node, error) {
	tags := m.get("Tags")
	for _, r := range []string{"lambda:createdBy", "serverlessrepo:applicationId", "serverlessrepo:semanticVersion"} {
		if tags.Has(r) {
			return nil, m.errorf(tags, "%s is a reserved Tag key name and cannot be set on your resource. Please change the tag key in the input.", r)
		}
	}
	out := tree.L(tree.M("Key", "lambda:createdBy", "Value", "SAM"))
	out.Add(tagList(tags).Items...)
	return out, nil
}

func (m *macro) packageType(fn *generated) error {
	pt := m.get("PackageType")
	switch {
	case pt == nil || pt.IsString("Zip"):
		if m.get("Runtime").Empty() || m.get("Handler").Empty() {
			return m.errorf(nil, "Runtime and Handler needs to be present when PackageType is of type `Zip`")
		}
		if ic := m.get("ImageConfig"); !ic.Empty() {
			return m.errorf(ic, "ImageUri or ImageConfig cannot be present when PackageType is of type `Zip`")
		}
	case pt.IsString("Image"):
		if !m.get("Handler").Empty() || !m.get("Runtime").Empty() || !m.get("Layers").Empty() {
			return m.errorf(pt, "Runtime, Handler, Layers cannot be present when PackageType is of type `Image`")
		}
	default:
		return m.errorf(pt, "invalid 'PackageType' : %s", pt.JSON(""))
	}
	return nil
}

func (m *macro) code() (*Node, error) {
	var code *Node
	var err error
	if m.get("PackageType").IsString("Image") {
		if m.get("ImageUri").Empty() {
			return nil, m.errorf(nil, "'ImageUri' must be set.")
		}
		return tree.M("ImageUri", m.get("ImageUri").Clone()), nil
	}
	switch {
	case m.get("InlineCode") != nil:
		code = tree.M("ZipFile", m.get("InlineCode").Clone())
	case m.get("CodeUri") != nil:
		code, err = location(m.get("CodeUri"), "CodeUri")
	default:
		err = m.errorf(nil, "Only one of 'InlineCode' or 'CodeUri' can be set.")
	}
	if err != nil {
		return nil, err
	}
	if k := m.get("SourceKMSKeyArn"); !k.Empty() {
		code.Set("SourceKMSKeyArn", k.Clone())
	}
	return code, nil
}

var dynamicReference = regexp.MustCompile(`{{resolve:(ssm|ssm-secure|secretsmanager):[a-zA-Z0-9_.\-/]+(:\d+)?}}`)

// location reads where code lies: s3://bucket/key?versionId=v or {Bucket, Key, Version}.
func location(n *Node, property string) (*Node, error) {
	bucket, key, version, err := s3Location(n, property)
	if err != nil {
		return nil, err
	}
	out := tree.M("S3Bucket", bucket, "S3Key", key)
	if version != nil {
		out.Set("S3ObjectVersion", version)
	}
	return out, nil
}

func s3Location(n *Node, property string) (bucket, key, version *Node, err error) {
	if n.Is(tree.Map) {
		if n.Get("Bucket").Empty() || n.Get("Key").Empty() {
			return nil, nil, nil, tree.Errorf(n.Pos, "'%s' requires Bucket and Key properties to be specified.", property)
		}
		return n.Get("Bucket").Clone(), n.Get("Key").Clone(), n.Get("Version").Clone(), nil
	}
	if !n.Is(tree.String) {
		return nil, nil, nil, tree.Errorf(n.Pos, "'%s' must be of type dict or string.", property)
	}
	if d := dynamicReference.FindString(n.Text); strings.Contains(d, "/") {
		return nil, nil, nil, tree.Errorf(n.Pos, "Unsupported dynamic reference detected in '%s'. Please consider using alternative 'FunctionCode' object format.", property)
	}
	u, uerr := url.Parse(n.Text)
	if uerr != nil || u.Scheme != "s3" || u.Host == "" || u.Path == "" {
		return nil, nil, nil, tree.Errorf(n.Pos, "'%s' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter.", property)
	}
	path := n.Text[len("s3://")+len(u.Host):]
	path, _, _ = strings.Cut(path, "#")
	path, _, _ = strings.Cut(path, "?")
	if v := u.Query()["versionId"]; len(v) == 1 {
		version = tree.Str(v[0]).At(n.Pos)
	}
	return tree.Str(u.Host).At(n.Pos), tree.Str(strings.TrimLeft(path, "/")).At(n.Pos), version, nil
}
