package lambda

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// signingConfig says whose signatures functions take, and what becomes of code without one.
type signingConfig struct {
	ID          string // "csc-" and 17 letters and digits
	Description string
	Publishers  []string // ARNs of signing profiles' versions
	Policy      string   // signWarn or signEnforce
	Modified    time.Time
	Tags        map[string]string
}

// What becomes of code that is not signed as its configuration wants.
const (
	signWarn    = "Warn"
	signEnforce = "Enforce"
)

// signingKey names a code signing configuration.
type signingKey struct{ Account, Region, ID string }

func (k signingKey) key() store.Key { return store.K(k.Account, k.Region, k.ID) }

const signingResource = "code-signing-config:"

func (k signingKey) arn() string {
	return arn.New("lambda", k.Region, k.Account, signingResource+k.ID).String()
}

// referSigning reads a configuration's ARN.
func referSigning(p place, text string) (signingKey, error) {
	a, err := arn.Parse(text)
	id, ok := strings.CutPrefix(a.Resource, signingResource)
	if err != nil || !ok || a.Service != "lambda" || !name.Account(a.Account) || a.Region != p.Region() {
		return signingKey{}, invalid("Invalid code signing configuration ARN: %s", text)
	}
	return signingKey{a.Account, a.Region, id}, nil
}

func onSigning[In any](action string, of func(*In) string) func(*gate.Ask, *In) ([]gate.Need, error) {
	return func(a *gate.Ask, in *In) ([]gate.Need, error) {
		k, err := referSigning(a, of(in))
		return []gate.Need{{Action: action, Resource: k.arn(), Account: k.Account}}, err
	}
}

func noSigningConfig(arn string) error {
	return notFound("The code signing configuration cannot be found. Check that the provided configuration is not deleted: %s.", arn)
}

// configNotFound is the same for a function that is to have it.
func configNotFound(arn string) error {
	return awserr.New("CodeSigningConfigNotFoundException", 404, "The code signing configuration cannot be found. Check that the provided configuration is not deleted: %s.", arn)
}

func (t *tables) signingConfig(tx *store.Tx, k signingKey) (signingConfig, error) {
	c, ok, err := t.signing.Get(tx, k.key())
	if err == nil && !ok {
		err = noSigningConfig(k.arn())
	}
	return c, err
}

func (c signingConfig) show(k signingKey) *lambda.CodeSigningConfig {
	return &lambda.CodeSigningConfig{CodeSigningConfigId: c.ID, CodeSigningConfigArn: k.arn(), Description: optional(c.Description), LastModified: *when(c.Modified),
		AllowedPublishers: &lambda.AllowedPublishers{SigningProfileVersionArns: c.Publishers}, CodeSigningPolicies: &lambda.CodeSigningPolicies{UntrustedArtifactOnDeployment: &c.Policy}}
}

// allow takes publishers that are versions of signing profiles.
func (c *signingConfig) allow(p *lambda.AllowedPublishers, policies *lambda.CodeSigningPolicies) error {
	if p != nil {
		for _, text := range p.SigningProfileVersionArns {
			a, err := arn.Parse(text)
			if err != nil || a.Service != "signer" || strings.Count(a.Resource, "/") != 3 || !strings.HasPrefix(a.Resource, "/signing-profiles/") {
				return invalid("The signing profile version ARN %s is not valid.", text)
			}
		}
		c.Publishers = slices.Compact(slices.Sorted(slices.Values(p.SigningProfileVersionArns)))
	}
	if policies != nil && policies.UntrustedArtifactOnDeployment != nil {
		c.Policy = *policies.UntrustedArtifactOnDeployment
	}
	return nil
}

func (s *Service) createSigning(c *gate.Call, in *lambda.CreateCodeSigningConfigInput) (*lambda.CreateCodeSigningConfigOutput, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	row := signingConfig{ID: "csc-" + s.IDs.Lower(17), Description: wire.Val(in.Description), Policy: signWarn, Modified: c.Now(), Tags: maps.Clone(in.Tags)}
	if err := row.allow(in.AllowedPublishers, in.CodeSigningPolicies); err != nil {
		return nil, err
	}
	k := signingKey{c.Account(), c.Region(), row.ID}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.CreateCodeSigningConfigOutput, error) {
		return &lambda.CreateCodeSigningConfigOutput{CodeSigningConfig: row.show(k)}, s.t.signing.Put(tx, k.key(), row)
	})
}

func (s *Service) getSigning(c *gate.Call, in *lambda.GetCodeSigningConfigInput) (*lambda.GetCodeSigningConfigOutput, error) {
	k, err := referSigning(c, in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	var row signingConfig
	err = c.View(func(tx *store.Tx) (err error) {
		row, err = s.t.signingConfig(tx, k)
		return err
	})
	return &lambda.GetCodeSigningConfigOutput{CodeSigningConfig: row.show(k)}, err
}

func (s *Service) updateSigning(c *gate.Call, in *lambda.UpdateCodeSigningConfigInput) (*lambda.UpdateCodeSigningConfigOutput, error) {
	k, err := referSigning(c, in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.UpdateCodeSigningConfigOutput, error) {
		row, err := s.t.signingConfig(tx, k)
		if err != nil {
			return nil, err
		}
		set(&row.Description, in.Description)
		if err := row.allow(in.AllowedPublishers, in.CodeSigningPolicies); err != nil {
			return nil, err
		}
		row.Modified = c.Now()
		return &lambda.UpdateCodeSigningConfigOutput{CodeSigningConfig: row.show(k)}, s.t.signing.Put(tx, k.key(), row)
	})
}

func (s *Service) deleteSigning(c *gate.Call, in *lambda.DeleteCodeSigningConfigInput) (*lambda.DeleteCodeSigningConfigOutput, error) {
	k, err := referSigning(c, in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.DeleteCodeSigningConfigOutput, error) {
		if _, err := s.t.signingConfig(tx, k); err != nil {
			return nil, err
		}
		used := false
		for e, err := range s.t.functions.Scan(tx, regionKey(k.Account, k.Region), store.Range{}) {
			if err != nil {
				return nil, err
			}
			used = used || e.Value.Signing == k.arn()
		}
		if used {
			return nil, conflict("The code signing configuration %s is in use by functions, and cannot be deleted.", k.arn())
		}
		_, err := s.t.signing.Delete(tx, k.key())
		return &lambda.DeleteCodeSigningConfigOutput{}, err
	})
}

// Pages of these lists are as long as the caller wants. Source: AWS Lambda API Reference,
// ListCodeSigningConfigs, "MaxItems".
const maxSigningPage = 10000

func (s *Service) listSigning(c *gate.Call, in *lambda.ListCodeSigningConfigsInput) (*lambda.ListCodeSigningConfigsOutput, error) {
	p, err := pageOf(in.Marker, in.MaxItems, maxSigningPage)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListCodeSigningConfigsOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.CodeSigningConfigs = []lambda.CodeSigningConfig{}
		for e, err := range s.t.signing.Scan(tx, regionKey(c.Account(), c.Region()), p.from()) {
			if err != nil {
				return err
			}
			if len(out.CodeSigningConfigs) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			out.CodeSigningConfigs = append(out.CodeSigningConfigs, *e.Value.show(signingKey{c.Account(), c.Region(), e.Value.ID}))
			p.last = e.Key
		}
		return nil
	})
	return out, err
}

func (s *Service) listSigned(c *gate.Call, in *lambda.ListFunctionsByCodeSigningConfigInput) (*lambda.ListFunctionsByCodeSigningConfigOutput, error) {
	k, err := referSigning(c, in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	p, err := pageOf(in.Marker, in.MaxItems, maxSigningPage)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionsByCodeSigningConfigOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.FunctionArns = []string{}
		if _, err := s.t.signingConfig(tx, k); err != nil {
			return err
		}
		for e, err := range s.t.functions.Scan(tx, regionKey(k.Account, k.Region), p.from()) {
			if err != nil {
				return err
			}
			if e.Value.Signing != k.arn() {
				continue
			}
			if len(out.FunctionArns) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			out.FunctionArns = append(out.FunctionArns, e.Value.arn(""))
			p.last = e.Key
		}
		return nil
	})
	return out, err
}

// needSigned is giving a function a configuration, which policies may limit to some.
func (s *Service) needSigned(a *gate.Ask, in *lambda.PutFunctionCodeSigningConfigInput) ([]gate.Need, error) {
	r, err := refer(a, named{in.FunctionName, nil})
	if err != nil {
		return nil, err
	}
	n, err := s.need(a, "lambda:PutFunctionCodeSigningConfig", r)
	n.Keys = map[string][]string{"lambda:CodeSigningConfigArn": {in.CodeSigningConfigArn}}
	return []gate.Need{n}, err
}

func (s *Service) putSigned(c *gate.Call, in *lambda.PutFunctionCodeSigningConfigInput) (*lambda.PutFunctionCodeSigningConfigOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	conf, err := referSigning(c, in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.PutFunctionCodeSigningConfigOutput, error) {
		f, v, err := s.t.qualified(tx, reference{k, ""})
		if err == nil && v.Image != nil {
			err = notSignable()
		}
		if err != nil {
			return nil, err
		}
		if has, err := s.t.signing.Has(tx, conf.key()); err != nil || !has {
			return nil, orElse(err, configNotFound(conf.arn()))
		}
		f.Signing = conf.arn()
		return &lambda.PutFunctionCodeSigningConfigOutput{FunctionName: f.Name, CodeSigningConfigArn: f.Signing}, s.t.functions.Put(tx, f.key(), f)
	})
}

// getSigned names no configuration where the function has none: Terraform's provider asks after every
// function.
func (s *Service) getSigned(c *gate.Call, in *lambda.GetFunctionCodeSigningConfigInput) (*lambda.GetFunctionCodeSigningConfigOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	out := &lambda.GetFunctionCodeSigningConfigOutput{}
	err = c.View(func(tx *store.Tx) error {
		f, err := s.t.find(tx, reference{k, ""})
		out.FunctionName, out.CodeSigningConfigArn = f.Name, f.Signing
		return err
	})
	return out, err
}

func (s *Service) deleteSigned(c *gate.Call, in *lambda.DeleteFunctionCodeSigningConfigInput) (*lambda.DeleteFunctionCodeSigningConfigOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.DeleteFunctionCodeSigningConfigOutput, error) {
		f, err := s.t.find(tx, reference{k, ""})
		if err != nil {
			return nil, err
		}
		f.Signing = ""
		return &lambda.DeleteFunctionCodeSigningConfigOutput{}, s.t.functions.Put(tx, f.key(), f)
	})
}
