package lambda

import (
	"errors"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) createFunction(c *gate.Call, in *lambda.CreateFunctionInput) (*lambda.FunctionConfiguration, error) {
	r, err := refer(c, named{in.FunctionName, nil})
	if err != nil {
		return nil, err
	}
	if r.Qualifier != "" || r.Account != c.Account() {
		return nil, invalid("A function is made by its own account and without a qualifier.")
	}
	k := r.functionKey
	v := version{Timeout: defaultTimeout, Memory: defaultMemory, Tmp: defaultTmp, Arch: s.Arch, Tracing: "PassThrough",
		LogGroup: "/aws/lambda/" + k.Name, LogFormat: "Text", Revision: s.IDs.UUID(), Modified: c.Now()}
	w := wishes{Runtime: in.Runtime, Handler: in.Handler, Role: &in.Role, Description: in.Description, Timeout: in.Timeout, Memory: in.MemorySize,
		Environment: in.Environment, Layers: in.Layers, Tmp: in.EphemeralStorage, Tracing: in.TracingConfig, Logging: in.LoggingConfig, Snap: in.SnapStart,
		Package: in.PackageType, Image: in.ImageConfig,
		Unbuilt: unbuilt{in.DeadLetterConfig, in.KMSKeyArn, in.FileSystemConfigs,
			in.CapacityProviderConfig, in.DurableConfig, in.PublishTo}}
	if w.Network, err = s.networkOf(c.Context(), k, in.VpcConfig); err != nil {
		return nil, err
	}
	if err := w.apply(k, &v); err != nil {
		return nil, err
	}
	src := codeSource(in.Code)
	if err := src.suits(v, "creating"); err != nil {
		return nil, err
	}
	if err := s.checkArch(in.Architectures); err != nil {
		return nil, err
	}
	if err := s.checkMachine(c, v.Runtime); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if err := s.Isolation.check(in.Tags, w); err != nil {
		return nil, err
	}
	tenancy, err := tenancyOf(in.TenancyConfig, &v)
	if err != nil {
		return nil, err
	}
	// Refused before anything is unpacked, and again in the transaction.
	if err := c.View(func(tx *store.Tx) error { return s.t.absent(tx, k) }); err != nil {
		return nil, err
	}
	if err := s.checkRole(c, k, v.Role); err != nil {
		return nil, err
	}
	signing := wire.Val(in.CodeSigningConfigArn)
	conf, err := s.wantedOf(c, signing)
	if err != nil {
		return nil, err
	}
	code, err := s.fetchSigned(c, src, conf)
	if err != nil {
		return nil, err
	}
	defer s.settle(c, &code)
	if err := s.verifyLayers(c, conf, in.Layers); err != nil {
		return nil, err
	}
	f := function{functionKey: k, ID: s.IDs.Lower(16), Tags: in.Tags, Tenancy: tenancy, Signing: signing}
	published := s.IDs.UUID()
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.FunctionConfiguration, error) {
		if err := s.t.unmoved(tx, c, signing, conf); err != nil {
			return nil, err
		}
		return s.put(tx, f, v, code, w, wire.Val(in.Publish), published)
	})
	s.nudgeReady(err)
	return s.shown(c, k, out, err)
}

// put writes a new function, and its first version where that was asked for.
func (s *Service) put(tx *store.Tx, f function, v version, code fetched, w wishes, publish bool, published string) (*lambda.FunctionConfiguration, error) {
	k := f.functionKey
	if err := s.t.absent(tx, k); err != nil {
		return nil, err
	}
	if err := s.checkProfile(tx, k, f.Tags); err != nil {
		return nil, err
	}
	var env map[string]string
	if w.Environment != nil {
		env = w.Environment.Variables
	}
	var err error
	if f.Next, err = s.t.firstNumber(tx, k); err != nil {
		return nil, err
	}
	v = v.with(code)
	if v.Layers, err = s.t.resolveLayers(tx, w.Layers); err != nil {
		return nil, err
	}
	if err := checkSize(v); err != nil {
		return nil, err
	}
	if err := s.occupy(tx, k, v.Code.counted()); err != nil {
		return nil, err
	}
	if err := s.keep(tx, code); err != nil {
		return nil, err
	}
	if err := s.t.again(tx, v.packages()[1:]...); err != nil {
		return nil, err
	}
	if err := s.seal(tx, k, &v, env); err != nil {
		return nil, err
	}
	if err := s.t.versions.Put(tx, f, v.Number, v); err != nil {
		return nil, err
	}
	qualifier := ""
	if publish {
		if v, err = s.publish(tx, &f, v, env, v.Description, published); err != nil {
			return nil, err
		}
		qualifier = v.qualifier()
	}
	out := configuration(k, v, env, qualifier)
	f.showTenancy(out)
	return out, nil
}

// absent refuses a name that is taken.
func (t *tables) absent(tx *store.Tx, k functionKey) error {
	has, err := t.functions.Has(tx, k.key())
	if err == nil && has {
		err = conflict("Function already exist: %s", k.Name)
	}
	return err
}

func codeSource(c *lambda.FunctionCode) source {
	if c == nil {
		return source{}
	}
	return source{c.ZipFile, c.S3Bucket, c.S3Key, c.S3ObjectVersion, c.ImageUri, c.SourceKMSKeyArn, "CreateFunction"}
}

// checkArch: functions run on this machine's processor.
func (s *Service) checkArch(asked []string) error {
	if len(asked) > 0 && asked[0] != s.Arch {
		return notBuilt("Architecture %s on a machine of %s", asked[0], s.Arch)
	}
	return nil
}

// checkRole takes the role once, as Lambda does before it accepts a function.
func (s *Service) checkRole(c *gate.Call, k functionKey, role string) error {
	a := Assumption{k.Account, k.Region, role, k.arn(""), sessionName(k.Name)}
	cred, err := s.Roles.Assume(c.Context(), a)
	if err == nil {
		s.renew(a, cred)
	}
	if e, ok := errors.AsType[*awserr.Error](err); ok && e.Kind != awserr.Internal {
		return invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return err
}

func (s *Service) getFunction(c *gate.Call, in *lambda.GetFunctionInput) (*lambda.GetFunctionOutput, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	out := &lambda.GetFunctionOutput{}
	var shown version
	err = c.View(func(tx *store.Tx) error {
		f, v, err := s.t.qualified(tx, r)
		if err != nil {
			return err
		}
		env, err := s.environment(tx, r.functionKey, v)
		out.Configuration = configuration(r.functionKey, v, env, r.Qualifier)
		shown = v
		f.showTenancy(out.Configuration)
		out.Code, out.Tags = v.Image.location(), f.Tags
		if f.Reserved != nil {
			out.Concurrency = &lambda.Concurrency{ReservedConcurrentExecutions: f.Reserved}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.showRuntime(c.Context(), r.functionKey, out.Configuration)
	if shown.Image == nil {
		out.Code.Location, err = s.location(c, r.arn(), shown.Code) // as it was named, which is what policies may be about
	}
	return out, err
}

func (s *Service) getFunctionConfiguration(c *gate.Call, in *lambda.GetFunctionConfigurationInput) (*lambda.FunctionConfiguration, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	var out *lambda.FunctionConfiguration
	err = c.View(func(tx *store.Tx) error {
		f, v, err := s.t.qualified(tx, r)
		if err != nil {
			return err
		}
		env, err := s.environment(tx, r.functionKey, v)
		out = configuration(r.functionKey, v, env, r.Qualifier)
		f.showTenancy(out)
		return err
	})
	return s.shown(c, r.functionKey, out, err)
}

func (s *Service) listFunctions(c *gate.Call, in *lambda.ListFunctionsInput) (*lambda.ListFunctionsOutput, error) {
	if in.MasterRegion != nil {
		return nil, notBuilt("MasterRegion (Lambda@Edge)")
	}
	out := &lambda.ListFunctionsOutput{}
	all := wire.Val(in.FunctionVersion) == "ALL"
	p, err := pageOf(in.Marker, in.MaxItems, 50)
	if err != nil {
		return nil, err
	}
	err = c.View(func(tx *store.Tx) error {
		out.Functions = []lambda.FunctionConfiguration{} // the closure may run twice
		for e, err := range s.t.versions.Scan(tx, regionKey(c.Account(), c.Region()), p.from()) {
			if err != nil {
				return err
			}
			if e.Value.Number != 0 && !all {
				continue
			}
			if len(out.Functions) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			k := functionKey{c.Account(), c.Region(), e.Key.Text(2)}
			qualifier := ""
			if all {
				qualifier = e.Value.qualifier()
			}
			conf, err := s.listed(tx, k, e.Value, qualifier)
			if err != nil {
				return err
			}
			out.Functions = append(out.Functions, *conf)
			p.last = e.Key
		}
		return nil
	})
	return out, err
}

// listed is a configuration as lists show it: without its states.
func (s *Service) listed(tx *store.Tx, k functionKey, v version, qualifier string) (*lambda.FunctionConfiguration, error) {
	env, err := s.environment(tx, k, v)
	conf := configuration(k, v, env, qualifier)
	conf.State, conf.LastUpdateStatus, conf.RuntimeVersionConfig = nil, nil, nil
	return conf, err
}

func (s *Service) updateFunctionCode(c *gate.Call, in *lambda.UpdateFunctionCodeInput) (*lambda.FunctionConfiguration, error) {
	r, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if in.PublishTo != nil {
		return nil, notBuilt("PublishTo")
	}
	if err := s.checkArch(in.Architectures); err != nil {
		return nil, err
	}
	src := source{in.ZipFile, in.S3Bucket, in.S3Key, in.S3ObjectVersion, in.ImageUri, in.SourceKMSKeyArn, "UpdateFunctionCode"}
	if err := c.View(func(tx *store.Tx) error { return s.t.takes(tx, r, in.RevisionId, src) }); err != nil {
		return nil, err
	}
	to, err := s.updating(c, r, nil)
	if err != nil {
		return nil, err
	}
	code, err := s.fetchSigned(c, src, to.conf)
	if err != nil {
		return nil, err
	}
	defer s.settle(c, &code)
	revision, published := s.IDs.UUID(), s.IDs.UUID()
	change := func(tx *store.Tx) (*lambda.FunctionConfiguration, error) {
		if err := s.t.current(tx, r, in.RevisionId); err != nil {
			return nil, err
		}
		f, v, err := s.t.qualified(tx, reference{r, ""})
		if err != nil {
			return nil, err
		}
		if err := s.t.still(tx, c, f, to); err != nil {
			return nil, err
		}
		old := v.Code
		v.Runtimes.settle(to.machine)
		v = v.with(code)
		v.Revision, v.Modified = revision, c.Now()
		if err := checkSize(v); err != nil {
			return nil, err
		}
		more := v.Code.counted() - old.counted()
		if wire.Val(in.DryRun) {
			if _, err := s.fits(tx, r, more); err != nil {
				return nil, err
			}
			env, err := s.environment(tx, r, v)
			return configuration(r, v, env, ""), err
		}
		if err := s.occupy(tx, r, more); err != nil {
			return nil, err
		}
		if err := s.keep(tx, code); err != nil {
			return nil, err
		}
		if err := s.release(tx, old); err != nil {
			return nil, err
		}
		return s.changed(tx, f, v, wire.Val(in.Publish), published)
	}
	out, err := s.change(c, wire.Val(in.DryRun), change)
	return s.shown(c, r, out, err)
}

// change commits a change, or only says what would come of it.
func (s *Service) change(c *gate.Call, dry bool, change func(*store.Tx) (*lambda.FunctionConfiguration, error)) (out *lambda.FunctionConfiguration, err error) {
	if dry {
		err = c.View(func(tx *store.Tx) error {
			out, err = change(tx)
			return err
		})
		return out, err
	}
	out, err = gate.Commit(c, change)
	s.nudgeReady(err)
	return out, err
}

// changed writes a changed $LATEST, publishes it where that was asked for, and shows the outcome.
func (s *Service) changed(tx *store.Tx, f function, v version, publish bool, published string) (*lambda.FunctionConfiguration, error) {
	k := f.functionKey
	if err := s.t.versions.Put(tx, f, v.Number, v); err != nil {
		return nil, err
	}
	env, err := s.environment(tx, k, v)
	if err != nil {
		return nil, err
	}
	qualifier := ""
	if publish {
		if v, err = s.publish(tx, &f, v, env, v.Description, published); err != nil {
			return nil, err
		}
		qualifier = v.qualifier()
	}
	out := configuration(k, v, env, qualifier)
	f.showTenancy(out)
	return out, nil
}

// latest is a function that is changed as a whole: only $LATEST can be.
func latest(p place, fn string) (functionKey, error) {
	r, err := refer(p, named{fn, nil})
	if err == nil && r.Qualifier != "" && r.Qualifier != name.Latest {
		err = invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	return r.functionKey, err
}

// current holds the revision that the caller has seen, if it says which.
func (t *tables) current(tx *store.Tx, k functionKey, revision *string) error {
	_, v, err := t.qualified(tx, reference{k, ""})
	if err == nil && revision != nil && *revision != v.Revision {
		err = awserr.New("PreconditionFailedException", 412, "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
	}
	return err
}

func (s *Service) updateFunctionConfiguration(c *gate.Call, in *lambda.UpdateFunctionConfigurationInput) (*lambda.FunctionConfiguration, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	w := wishes{Runtime: in.Runtime, Handler: in.Handler, Role: in.Role, Description: in.Description, Timeout: in.Timeout, Memory: in.MemorySize,
		Environment: in.Environment, Layers: in.Layers, Tmp: in.EphemeralStorage, Tracing: in.TracingConfig, Logging: in.LoggingConfig, Snap: in.SnapStart,
		Image: in.ImageConfig,
		Unbuilt: unbuilt{in.DeadLetterConfig, in.KMSKeyArn, in.FileSystemConfigs,
			in.CapacityProviderConfig, in.DurableConfig, nil}}
	if err := c.View(func(tx *store.Tx) error { return s.t.current(tx, k, in.RevisionId) }); err != nil {
		return nil, err
	}
	if w.Network, err = s.networkOf(c.Context(), k, in.VpcConfig); err != nil {
		return nil, err
	}
	if err := s.Isolation.check(nil, w); err != nil {
		return nil, err
	}
	if in.Runtime != nil {
		if err := s.checkMachine(c, *in.Runtime); err != nil {
			return nil, err
		}
	}
	if in.Role != nil {
		if err := s.checkRole(c, k, *in.Role); err != nil {
			return nil, err
		}
	}
	to, err := s.updating(c, k, in.Runtime)
	if err != nil {
		return nil, err
	}
	if err := s.verifyLayers(c, to.conf, in.Layers); err != nil {
		return nil, err
	}
	revision := s.IDs.UUID()
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.FunctionConfiguration, error) {
		if err := s.t.current(tx, k, in.RevisionId); err != nil {
			return nil, err
		}
		f, v, err := s.t.qualified(tx, reference{k, ""})
		if err != nil {
			return nil, err
		}
		if err := s.t.still(tx, c, f, to); err != nil {
			return nil, err
		}
		if in.Runtime != nil && *in.Runtime != v.Runtime {
			v.Runtimes = v.Runtimes.changed()
		}
		if err := w.apply(k, &v); err != nil {
			return nil, err
		}
		if err := f.alone(v); err != nil {
			return nil, err
		}
		v.Runtimes.settle(to.machine)
		if in.Layers != nil {
			if err := s.relayer(tx, &v, in.Layers); err != nil {
				return nil, err
			}
		}
		if in.Environment != nil {
			if err := s.seal(tx, k, &v, in.Environment.Variables); err != nil {
				return nil, err
			}
		}
		v.Revision, v.Modified = revision, c.Now()
		return s.changed(tx, f, v, false, "")
	})
	return s.shown(c, k, out, err)
}

// relayer gives a version other layers.
func (s *Service) relayer(tx *store.Tx, v *version, arns []string) error {
	layers, err := s.t.resolveLayers(tx, arns)
	if err != nil {
		return err
	}
	old := v.packages()[1:]
	v.Layers = layers
	if err := checkSize(*v); err != nil {
		return err
	}
	if err := s.t.again(tx, v.packages()[1:]...); err != nil {
		return err
	}
	return s.release(tx, old...)
}
