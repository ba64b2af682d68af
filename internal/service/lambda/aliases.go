package lambda

import (
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

func (s *Service) createAlias(c *gate.Call, in *lambda.CreateAliasInput) (*lambda.AliasConfiguration, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if !name.Alias(in.Name) {
		return nil, awserr.Of(awserr.Validation, "1 validation error detected: Value '%s' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)", in.Name)
	}
	revision := s.IDs.UUID()
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.AliasConfiguration, error) {
		f, err := s.t.find(tx, reference{k, ""})
		if err != nil {
			return nil, err
		}
		if has, err := s.t.aliases.Has(tx, k.key(in.Name)); err != nil {
			return nil, err
		} else if has {
			return nil, conflict("Alias already exists: %s", k.arn(in.Name))
		}
		a := alias{Name: in.Name, Description: wire.Val(in.Description), Revision: revision}
		return s.point(tx, f, a, &in.FunctionVersion, in.RoutingConfig)
	})
	s.nudgeReady(err)
	return out, err
}

// point writes an alias that points to the versions given, which must exist.
func (s *Service) point(tx *store.Tx, f function, a alias, to *string, routing *lambda.AliasRoutingConfiguration) (*lambda.AliasConfiguration, error) {
	k := f.functionKey
	if to != nil {
		a.Version, _ = name.Number(*to) // what is no number is $LATEST, by the model's pattern
	}
	if routing != nil {
		a.Other, a.Weight = 0, 0
		if len(routing.AdditionalVersionWeights) > 1 {
			return nil, invalid("An alias can point to at most 2 versions.")
		}
		for n, w := range routing.AdditionalVersionWeights {
			other, ok := name.Number(n)
			if !ok || w < 0 || w > 1 {
				return nil, invalid("Invalid function version weight: %s=%v", n, w)
			}
			a.Other, a.Weight = other, w
		}
	}
	if a.Other != 0 {
		if a.Version == 0 {
			return nil, invalid("$LATEST is not supported for an alias pointing to more than 1 version")
		}
		if a.Other == a.Version {
			return nil, invalid("Invalid function version %d. Function version %d is already included in routing configuration.", a.Other, a.Version)
		}
		if _, err := s.t.version(tx, k, a.Other); err != nil {
			return nil, err
		}
	}
	if _, err := s.t.version(tx, k, a.Version); err != nil {
		return nil, err
	}
	if err := s.t.mayRetarget(tx, f, a); err != nil {
		return nil, err
	}
	return a.show(k), s.t.aliases.Put(tx, f, a.Name, a)
}

func (a alias) show(k functionKey) *lambda.AliasConfiguration {
	out := &lambda.AliasConfiguration{AliasArn: new(k.arn(a.Name)), Name: new(a.Name), FunctionVersion: new(qualifierOf(a.Version)),
		Description: new(a.Description), RevisionId: new(a.Revision)}
	if a.Other != 0 {
		out.RoutingConfig = &lambda.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{qualifierOf(a.Other): a.Weight}}
	}
	return out
}

func (s *Service) getAlias(c *gate.Call, in *lambda.GetAliasInput) (*lambda.AliasConfiguration, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	var out *lambda.AliasConfiguration
	err = c.View(func(tx *store.Tx) error {
		if _, err := s.t.find(tx, reference{k, ""}); err != nil {
			return err
		}
		a, err := s.t.alias(tx, k, in.Name)
		out = a.show(k)
		return err
	})
	return out, err
}

func (s *Service) updateAlias(c *gate.Call, in *lambda.UpdateAliasInput) (*lambda.AliasConfiguration, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	revision := s.IDs.UUID()
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.AliasConfiguration, error) {
		f, err := s.t.find(tx, reference{k, ""})
		if err != nil {
			return nil, err
		}
		a, err := s.t.alias(tx, k, in.Name)
		if err != nil {
			return nil, err
		}
		if in.RevisionId != nil && *in.RevisionId != a.Revision {
			return nil, staleRevision("GetFunction/GetAlias")
		}
		set(&a.Description, in.Description)
		a.Revision = revision
		return s.point(tx, f, a, in.FunctionVersion, in.RoutingConfig)
	})
	s.nudgeReady(err)
	return out, err
}

func (s *Service) deleteAlias(c *gate.Call, in *lambda.DeleteAliasInput) (*lambda.DeleteAliasOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.DeleteAliasOutput, error) {
		f, err := s.t.find(tx, reference{k, ""})
		if err != nil {
			return nil, err
		}
		if f, err = s.t.unprovision(tx, f, in.Name); err != nil {
			return nil, err
		}
		// Deleting one that is gone succeeds, as on AWS.
		if err := s.t.aliases.Delete(tx, f, in.Name); err != nil {
			return nil, err
		}
		if err := s.t.permissions.Delete(tx, f, in.Name); err != nil {
			return nil, err
		}
		if err := s.t.async.Delete(tx, f, in.Name); err != nil {
			return nil, err
		}
		return &lambda.DeleteAliasOutput{}, s.t.urls.Delete(tx, f, in.Name)
	})
	s.nudgeReady(err)
	return out, err
}

func (s *Service) listAliases(c *gate.Call, in *lambda.ListAliasesInput) (*lambda.ListAliasesOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	p, err := pageOf(in.Marker, in.MaxItems, 50)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListAliasesOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.Aliases = []lambda.AliasConfiguration{}
		if _, err := s.t.find(tx, reference{k, ""}); err != nil {
			return err
		}
		for e, err := range s.t.aliases.Scan(tx, k.key(), p.from()) {
			if err != nil {
				return err
			}
			a := e.Value
			if v := in.FunctionVersion; v != nil && *v != qualifierOf(a.Version) && (a.Other == 0 || *v != qualifierOf(a.Other)) {
				continue
			}
			if len(out.Aliases) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			out.Aliases = append(out.Aliases, *a.show(k))
			p.last = e.Key
		}
		return nil
	})
	return out, err
}
