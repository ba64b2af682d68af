package lambda

import (
	"maps"
	"slices"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/sandbox/runtimes"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// wishes are what CreateFunction and UpdateFunctionConfiguration have in common; nil is not given.
type wishes struct {
	Runtime, Handler, Role, Description *string
	Timeout, Memory                     *int32
	Environment                         *lambda.Environment
	Layers                              []string
	Tmp                                 *lambda.EphemeralStorage
	Tracing                             *lambda.TracingConfig
	Logging                             *lambda.LoggingConfig
	Snap                                *lambda.SnapStart
	Package                             *string
	Image                               *lambda.ImageConfig
	Network                             *network
	Unbuilt                             unbuilt
}

// unbuilt are the parts of an input that Bastide has no service for. What says "none" is fine.
type unbuilt struct {
	DeadLetter *lambda.DeadLetterConfig
	KMSKey     *string
	Files      []lambda.FileSystemConfig
	Capacity   *lambda.CapacityProviderConfig
	Durable    *lambda.DurableConfig
	PublishTo  *string
}

// refuse says which part of the input is not built.
func (u unbuilt) refuse() error {
	for _, p := range []struct {
		asked bool
		what  string
	}{
		{u.DeadLetter != nil && wire.Val(u.DeadLetter.TargetArn) != "", "DeadLetterConfig"},
		{wire.Val(u.KMSKey) != "", "KMSKeyArn"},
		{len(u.Files) > 0, "FileSystemConfigs"},
		{u.Capacity != nil, "CapacityProviderConfig"},
		{u.Durable != nil, "DurableConfig"},
		{u.PublishTo != nil, "PublishTo"},
	} {
		if p.asked {
			return notBuilt("%s", p.what)
		}
	}
	return nil
}

func notBuilt(format string, args ...any) error {
	return awserr.Of(awserr.NotImplemented, format+" is not built in this version of Bastide.", args...)
}

// Defaults and limits of a function's configuration. Source: AWS Lambda API Reference,
// CreateFunction; Developer Guide, "Lambda quotas".
const (
	defaultTimeout = 3   // seconds
	defaultMemory  = 128 // MB
	defaultTmp     = 512 // MB
	maxTimeout     = 900
	maxMemory      = 10240
	maxEnvironment = 4096 // bytes, as JSON
	maxLayers      = 5
	logJSON        = "JSON"
)

// apply puts what was wished for into v, checked.
func (w wishes) apply(k functionKey, v *version) error {
	if err := w.Unbuilt.refuse(); err != nil {
		return err
	}
	set(&v.Runtime, w.Runtime)
	set(&v.Handler, w.Handler)
	set(&v.Role, w.Role)
	set(&v.Description, w.Description)
	set(&v.Timeout, w.Timeout)
	set(&v.Memory, w.Memory)
	if w.Tmp != nil {
		v.Tmp = w.Tmp.Size
	}
	if w.Logging != nil {
		if err := applyLogging(v, w.Logging); err != nil {
			return err
		}
	}
	if w.Tracing != nil {
		if wire.Val(w.Tracing.Mode) == "Active" {
			return notBuilt("TracingConfig with mode Active (AWS X-Ray)")
		}
		set(&v.Tracing, w.Tracing.Mode)
	}
	w.Network.put(v)
	if w.Snap != nil {
		v.Snap = wire.Val(w.Snap.ApplyOn) == snapPublished
	}
	if err := w.applyImage(v); err != nil {
		return err
	}
	return w.check(k, v)
}

func applyLogging(v *version, l *lambda.LoggingConfig) error {
	set(&v.LogGroup, l.LogGroup)
	set(&v.LogFormat, l.LogFormat)
	set(&v.LogLevel, l.ApplicationLogLevel)
	if v.LogFormat != logJSON {
		if l.ApplicationLogLevel != nil || l.SystemLogLevel != nil {
			return invalid("LogLevel is only supported when LogFormat is set to JSON.")
		}
		v.LogLevel = ""
	} else if v.LogLevel == "" {
		v.LogLevel = "INFO"
	}
	if level := wire.Val(l.SystemLogLevel); level != "" && level != "INFO" {
		return notBuilt("LoggingConfig with SystemLogLevel %s", level)
	}
	return nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (w wishes) check(k functionKey, v *version) error {
	if v.Timeout < 1 || v.Timeout > maxTimeout {
		return awserr.Of(awserr.Validation, "1 validation error detected: Value '%d' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to %d", v.Timeout, maxTimeout)
	}
	if v.Memory < defaultMemory || v.Memory > maxMemory {
		return invalid("'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to %d", maxMemory)
	}
	if v.Tmp < defaultTmp || v.Tmp > maxMemory {
		return invalid("'EphemeralStorage' value failed to satisfy constraint: Member must have value less than or equal to %d", maxMemory)
	}
	if err := checkRuntime(v); err != nil {
		return err
	}
	if err := checkSnap(v); err != nil {
		return err
	}
	role, err := arn.Parse(v.Role)
	if err != nil || role.Service != "iam" || !strings.HasPrefix(role.Resource, "role/") {
		return awserr.Of(awserr.Validation, "1 validation error detected: Value '%s' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+", v.Role)
	}
	if role.Account != k.Account {
		return awserr.Of(awserr.AccessDenied, "Cross-account pass role is not allowed.")
	}
	if w.Environment != nil {
		return checkEnvironment(w.Environment.Variables)
	}
	return nil
}

// checkRuntime wants a runtime that Bastide runs; one that Lambda has retired is refused in
// Lambda's words.
func checkRuntime(v *version) error {
	if v.Image != nil {
		return nil // it brings its own
	}
	if v.Runtime == "" || v.Handler == "" {
		return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	return checkRuntimeName(v.Runtime)
}

// checkRuntimeName is checkRuntime for a name alone.
func checkRuntimeName(name string) error {
	if _, err := runtimes.Lookup(name); err == nil {
		return nil
	}
	for _, old := range []string{"nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x", "nodejs16.x", "python2.7", "python3.6", "python3.7"} {
		if name == old {
			return invalid("The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.", old)
		}
	}
	var have []string
	for _, r := range runtimes.Identifiers() {
		have = append(have, r.Name)
	}
	return notBuilt("The runtime %s (Bastide runs %s)", name, strings.Join(have, ", "))
}

// reserved are the variables that Lambda sets itself. Source: AWS Lambda Developer Guide,
// "Defined runtime environment variables".
func reserved() []string {
	return []string{"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
		"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		"AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT"}
}

func checkEnvironment(env map[string]string) error {
	size := 2
	var taken []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		size += len(k) + len(env[k]) + 6 // quotes, colon, comma
		if slices.Contains(reserved(), k) {
			taken = append(taken, k)
		}
		if !variable(k) {
			return awserr.Of(awserr.Validation, "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]")
		}
		if strings.ContainsRune(env[k], 0) {
			return invalid("Lambda was unable to configure your environment variables because the value of %s contains a zero byte", k)
		}
	}
	if len(taken) > 0 {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", strings.Join(taken, ", "))
	}
	if size > maxEnvironment {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit.")
	}
	return nil
}

// variable reports whether k may name a variable: a letter and at least one more of letters,
// digits and underscores.
func variable(k string) bool {
	for i, c := range []byte(k) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return len(k) > 1
}

// resolveLayers finds the layers that a function wants.
func (t *tables) resolveLayers(tx *store.Tx, arns []string) ([]layerUse, error) {
	if len(arns) > maxLayers {
		return nil, invalid("Cannot reference more than %d layers.", maxLayers)
	}
	var out []layerUse
	var seen []layerKey
	for _, a := range arns {
		l, err := name.ParseLayer(a)
		if err != nil || l.Version == 0 {
			return nil, invalid("Invalid layer arn: %s", a)
		}
		k := layerKey{l.Account, l.Region, l.Name}
		if slices.Contains(seen, k) {
			return nil, invalid("Two different versions of the same layer are not allowed to be referenced in the same function. %s and another version of it were given.", a)
		}
		seen = append(seen, k)
		v, ok, err := t.layerVers.Get(tx, k.key(l.Version))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, invalid("Layer version %s does not exist.", a)
		}
		out = append(out, layerUse{a, v.Code})
	}
	return out, nil
}

// checkSize holds the quota of a function together with its layers.
func checkSize(v version) error {
	if v.Image != nil {
		return nil // it has a quota of its own, which unpacking holds
	}
	total := v.Code.Unzipped
	for _, l := range v.Layers {
		total += l.Unzipped
	}
	if total > pack.MaxUnzipped {
		return invalid("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", int64(pack.MaxUnzipped), total)
	}
	return nil
}

// checkMachine wants a runtime that this machine has, so that a deployment fails rather than the
// first call.
func (s *Service) checkMachine(c *gate.Call, name string) error {
	if name == "" { // an image brings its own
		return nil
	}
	if err := checkRuntimeName(name); err != nil || s.Runtime == nil {
		return err
	}
	if err := s.Runtime(c.Context(), name); err != nil {
		return invalid("%s", err.Error())
	}
	return nil
}
