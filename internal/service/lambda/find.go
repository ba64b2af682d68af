package lambda

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/store/sealing"
)

// find is the function that r names, whose version or alias must exist too.
func (t *tables) find(tx *store.Tx, r reference) (function, error) {
	f, ok, err := t.functions.Get(tx, r.key())
	if err != nil {
		return f, err
	}
	if !ok {
		return f, noFunction(r.arn())
	}
	switch n, number := name.Number(r.Qualifier); {
	case r.Qualifier == "" || r.Qualifier == name.Latest:
	case number:
		ok, err = t.versions.Has(tx, r.key(n))
	default:
		ok, err = t.aliases.Has(tx, r.key(r.Qualifier))
	}
	if err == nil && !ok {
		err = noFunction(r.arn())
	}
	return f, err
}

// version is one version of a function that must exist.
func (t *tables) version(tx *store.Tx, k functionKey, n int64) (version, error) {
	v, ok, err := t.versions.Get(tx, k.key(n))
	if err == nil && !ok {
		err = noFunction(k.arn(qualifierOf(n)))
	}
	return v, err
}

// alias is one alias of a function that must exist.
func (t *tables) alias(tx *store.Tx, k functionKey, alias string) (alias, error) {
	a, ok, err := t.aliases.Get(tx, k.key(alias))
	if err == nil && !ok {
		err = notFound("Cannot find alias arn: %s", k.arn(alias))
	}
	return a, err
}

// qualified is the version that a reference means; of an alias with two, the first.
func (t *tables) qualified(tx *store.Tx, r reference) (function, version, error) {
	f, err := t.find(tx, r)
	if err != nil {
		return f, version{}, err
	}
	var n int64
	if r.Qualifier != "" && r.Qualifier != name.Latest {
		var ok bool
		if n, ok = name.Number(r.Qualifier); !ok {
			a, err := t.alias(tx, r.functionKey, r.Qualifier)
			if err != nil {
				return f, version{}, err
			}
			n = a.Version
		}
	}
	v, err := t.version(tx, r.functionKey, n)
	return f, v, err
}

// environment is bound to the row that it stands in.
func environmentRow(k functionKey, n int64) []byte {
	return []byte("lambda environment " + k.arn(qualifierOf(n)))
}

func (k functionKey) scope() sealing.Scope {
	return sealing.Scope{Account: k.Account, Region: k.Region, Resource: "lambda/" + k.Name}
}

// seal puts an environment into a version.
func (s *Service) seal(tx *store.Tx, k functionKey, v *version, env map[string]string) error {
	v.Env, v.EnvHash = nil, nil
	if len(env) == 0 {
		return nil
	}
	plain, err := json.Marshal(env) // keys sorted, so that equal environments are equal text
	if err != nil {
		return err
	}
	if v.EnvHash, err = s.Sealer.Equality(k.scope(), plain); err != nil {
		return err
	}
	v.Env, err = s.Sealer.Seal(tx, k.scope(), environmentRow(k, v.Number), plain)
	return err
}

// environment opens a version's environment, nil where it has none.
func (s *Service) environment(tx *store.Tx, k functionKey, v version) (map[string]string, error) {
	if v.Env == nil {
		return nil, nil
	}
	plain, err := s.Sealer.Open(tx, environmentRow(k, v.Number), v.Env)
	if err != nil {
		return nil, err
	}
	var env map[string]string
	return env, json.Unmarshal(plain, &env)
}

// lastModified is how Lambda writes times.
const lastModified = "2006-01-02T15:04:05.000-0700"

func when(t time.Time) *string { return new(t.UTC().Format(lastModified)) }

// configuration shows a version under the ARN with the given qualifier.
func configuration(k functionKey, v version, env map[string]string, qualifier string) *lambda.FunctionConfiguration {
	c := &lambda.FunctionConfiguration{
		FunctionName: new(k.Name), FunctionArn: new(k.arn(qualifier)), Runtime: new(v.Runtime), Role: new(v.Role), Handler: new(v.Handler),
		CodeSize: new(v.Code.Size), Description: new(v.Description), Timeout: new(v.Timeout), MemorySize: new(v.Memory),
		LastModified: when(v.Modified), CodeSha256: new(v.shownSHA()), Version: new(v.qualifier()),
		TracingConfig: &lambda.TracingConfigResponse{Mode: new(v.Tracing)}, RevisionId: new(v.Revision),
		State: new("Active"), LastUpdateStatus: new("Successful"), PackageType: new("Zip"), Architectures: []string{v.Arch},
		EphemeralStorage: &lambda.EphemeralStorage{Size: v.Tmp},
		SnapStart:        v.snapStart(),
		VpcConfig:        v.Network.shown(),

		RuntimeVersionConfig: v.Runtimes.shown(k.Region),
		LoggingConfig:        &lambda.LoggingConfig{LogFormat: new(v.LogFormat), LogGroup: new(v.LogGroup), ApplicationLogLevel: optional(v.LogLevel)},
	}
	if v.LogFormat == logJSON {
		c.LoggingConfig.SystemLogLevel = new("INFO")
	}
	v.showPlane(c)
	if len(env) > 0 {
		c.Environment = &lambda.EnvironmentResponse{Variables: env}
	}
	for _, l := range v.Layers {
		c.Layers = append(c.Layers, lambda.Layer{Arn: new(l.ARN), CodeSize: new(l.Size)})
	}
	v.Image.show(c)
	return c
}

// codeSHA is a hash as Lambda shows it, in base64.
func codeSHA(hexadecimal string) string {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b)
}
