package lambda

import (
	"math"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
)

// provision is the concurrency that is held ready for a version or an alias.
type provision struct {
	Qualifier string
	Wanted    int32
	Modified  time.Time
}

// share is a version's part of a provision.
type share struct {
	version int64
	n       int32
}

// shares are the versions that a provision is spread over: an alias with two divides it by weight.
func (t *tables) shares(tx *store.Tx, k functionKey, p provision) ([]share, error) {
	if n, ok := name.Number(p.Qualifier); ok {
		return []share{{n, p.Wanted}}, nil
	}
	a, err := t.alias(tx, k, p.Qualifier)
	if err != nil {
		return nil, err
	}
	if a.Other == 0 {
		return []share{{a.Version, p.Wanted}}, nil
	}
	other := int32(math.Round(float64(p.Wanted) * a.Weight))
	return []share{{a.Version, p.Wanted - other}, {a.Other, other}}, nil
}

// provisions are those of a function.
func (t *tables) provisions(tx *store.Tx, k functionKey) (all []provision, err error) {
	for e, err := range t.provisioned.Scan(tx, k.key(), store.Range{}) {
		if err != nil {
			return nil, err
		}
		all = append(all, e.Value)
	}
	return all, nil
}

// readyFor is how many instances are held ready for one version of a function.
func (t *tables) readyFor(tx *store.Tx, f function, version int64) (n int32, err error) {
	if f.Provisioned == 0 {
		return 0, nil
	}
	all, err := t.provisions(tx, f.functionKey)
	for _, p := range all {
		parts, err := t.shares(tx, f.functionKey, p)
		if err != nil {
			return 0, err
		}
		for _, s := range parts {
			if s.version == version {
				n += s.n
			}
		}
	}
	return n, err
}

func (s *Service) putProvisioned(c *gate.Call, in *lambda.PutProvisionedConcurrencyConfigInput) (*lambda.PutProvisionedConcurrencyConfigOutput, error) {
	r, err := refer(c, named{in.FunctionName, &in.Qualifier})
	if err != nil {
		return nil, err
	}
	if r.Qualifier == "" || r.Qualifier == name.Latest {
		return nil, invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	}
	var p provision
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.PutProvisionedConcurrencyConfigOutput, error) {
		f, err := s.t.find(tx, r)
		if err != nil {
			return nil, err
		}
		if err := s.t.mayProvision(tx, f, r); err != nil {
			return nil, err
		}
		was, _, err := s.t.provisioned.Get(tx, r.key(r.Qualifier))
		if err != nil {
			return nil, err
		}
		held := f.holds()
		f.Provisioned += in.ProvisionedConcurrentExecutions - was.Wanted
		if f.Reserved != nil && f.Provisioned > *f.Reserved {
			return nil, invalid("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
		}
		p = provision{Qualifier: r.Qualifier, Wanted: in.ProvisionedConcurrentExecutions, Modified: c.Now()}
		if err := s.t.hold(tx, f, held, "ProvisionedConcurrentExecutions"); err != nil {
			return nil, err
		}
		// What is new begins at nothing; what was there may be ready already, which Get tells.
		return &lambda.PutProvisionedConcurrencyConfigOutput{RequestedProvisionedConcurrentExecutions: new(p.Wanted), AllocatedProvisionedConcurrentExecutions: new(int32(0)),
			AvailableProvisionedConcurrentExecutions: new(int32(0)), Status: new(inProgress), LastModified: when(p.Modified)}, s.t.provisioned.Put(tx, f, p.Qualifier, p)
	})
	s.nudgeReady(err)
	return out, err
}

// mayProvision refuses what cannot be held ready.
func (t *tables) mayProvision(tx *store.Tx, f function, r reference) error {
	if f.Tenancy != "" {
		return invalid("Provisioned Concurrency is not supported for functions with tenant isolation.")
	}
	n, isNumber := name.Number(r.Qualifier)
	if !isNumber {
		a, err := t.alias(tx, r.functionKey, r.Qualifier)
		switch {
		case err != nil:
			return err
		case a.Other != 0:
			return invalid("Alias with weights can not be used with Provisioned Concurrency")
		}
		n = a.Version
	}
	return t.mayHold(tx, r, n)
}

// mayRetarget refuses to point an alias whose concurrency is provisioned to what cannot be held ready.
// Weights it may have: what is provisioned is spread by them, as while a deployment shifts traffic.
func (t *tables) mayRetarget(tx *store.Tx, f function, a alias) error {
	r := reference{f.functionKey, a.Name}
	if has, err := t.provisioned.Has(tx, r.key(r.Qualifier)); err != nil || !has {
		return err
	}
	if err := t.mayHold(tx, r, a.Version); err != nil || a.Other == 0 {
		return err
	}
	return t.mayHold(tx, r, a.Other)
}

// mayHold refuses a version that cannot be held ready for r, which is it or an alias of it.
func (t *tables) mayHold(tx *store.Tx, r reference, n int64) error {
	if n == 0 {
		return invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	}
	_, isNumber := name.Number(r.Qualifier)
	v, err := t.version(tx, r.functionKey, n)
	if err != nil {
		return err
	}
	if v.Snap {
		return invalid("Provisioned Concurrency is not supported for SnapStart enabled functions.")
	}
	all, err := t.provisions(tx, r.functionKey)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Qualifier == r.Qualifier {
			continue
		}
		parts, err := t.shares(tx, r.functionKey, p)
		if err != nil {
			return err
		}
		for _, s := range parts {
			if s.version == n && isNumber {
				return invalid("Version can't be used for Provisioned Concurrency configuration on an already provisioned alias [%s]", p.Qualifier)
			} else if s.version == n {
				return invalid("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
			}
		}
	}
	return nil
}

// The states of a provision.
const (
	inProgress = "IN_PROGRESS"
	ready      = "READY"
	failed     = "FAILED"
)

// progress is how far a provision is.
func (s *Service) progress(k functionKey, p provision, parts []share) *lambda.ProvisionedConcurrencyConfigListItem {
	available, reason := int32(0), ""
	for _, part := range parts {
		r := s.Runner.Ready(k.arn(""), qualifierOf(part.version))
		available += min(part.n, int32(r.Ready))
		if r.Failure != "" {
			reason = "FUNCTION_ERROR_INIT_FAILURE: " + r.Failure
		}
	}
	status := inProgress
	switch {
	case available >= p.Wanted:
		status, reason = ready, ""
	case reason != "":
		status = failed
	}
	return &lambda.ProvisionedConcurrencyConfigListItem{FunctionArn: new(k.arn(p.Qualifier)), RequestedProvisionedConcurrentExecutions: new(p.Wanted),
		AvailableProvisionedConcurrentExecutions: &available, AllocatedProvisionedConcurrentExecutions: new(available), Status: &status,
		StatusReason: optional(reason), LastModified: when(p.Modified)}
}

func noProvision() error {
	return awserr.New("ProvisionedConcurrencyConfigNotFoundException", 404, "No Provisioned Concurrency Config found for this function")
}

func (s *Service) getProvisioned(c *gate.Call, in *lambda.GetProvisionedConcurrencyConfigInput) (*lambda.GetProvisionedConcurrencyConfigOutput, error) {
	r, err := refer(c, named{in.FunctionName, &in.Qualifier})
	if err != nil {
		return nil, err
	}
	var p provision
	var parts []share
	err = c.View(func(tx *store.Tx) error {
		if _, err := s.t.find(tx, r); err != nil {
			return err
		}
		var ok bool
		if p, ok, err = s.t.provisioned.Get(tx, r.key(r.Qualifier)); err != nil || !ok {
			return orElse(err, noProvision())
		}
		parts, err = s.t.shares(tx, r.functionKey, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	i := s.progress(r.functionKey, p, parts)
	return &lambda.GetProvisionedConcurrencyConfigOutput{RequestedProvisionedConcurrentExecutions: i.RequestedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: i.AvailableProvisionedConcurrentExecutions, AllocatedProvisionedConcurrentExecutions: i.AllocatedProvisionedConcurrentExecutions,
		Status: i.Status, StatusReason: i.StatusReason, LastModified: i.LastModified}, nil
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func (s *Service) deleteProvisioned(c *gate.Call, in *lambda.DeleteProvisionedConcurrencyConfigInput) (*lambda.DeleteProvisionedConcurrencyConfigOutput, error) {
	r, err := refer(c, named{in.FunctionName, &in.Qualifier})
	if err != nil {
		return nil, err
	}
	out, err := gate.Commit(c, func(tx *store.Tx) (*lambda.DeleteProvisionedConcurrencyConfigOutput, error) {
		f, err := s.t.find(tx, r)
		if err != nil {
			return nil, err
		}
		_, err = s.t.unprovision(tx, f, r.Qualifier) // deleting one that is gone succeeds, as on AWS
		return &lambda.DeleteProvisionedConcurrencyConfigOutput{}, err
	})
	s.nudgeReady(err)
	return out, err
}

// unprovision ends what is held ready for a qualifier, and gives the function as it is then.
func (t *tables) unprovision(tx *store.Tx, f function, qualifier string) (function, error) {
	p, ok, err := t.provisioned.Get(tx, f.key(qualifier))
	if err != nil || !ok {
		return f, err
	}
	was := f.holds()
	f.Provisioned -= p.Wanted
	if err := t.hold(tx, f, was, ""); err != nil {
		return f, err
	}
	return f, t.provisioned.Delete(tx, f, qualifier)
}

func (s *Service) listProvisioned(c *gate.Call, in *lambda.ListProvisionedConcurrencyConfigsInput) (*lambda.ListProvisionedConcurrencyConfigsOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	p, err := pageOf(in.Marker, in.MaxItems, 50)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListProvisionedConcurrencyConfigsOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.ProvisionedConcurrencyConfigs = []lambda.ProvisionedConcurrencyConfigListItem{}
		if _, err := s.t.find(tx, reference{k, ""}); err != nil {
			return err
		}
		for e, err := range s.t.provisioned.Scan(tx, k.key(), p.from()) {
			if err != nil {
				return err
			}
			if len(out.ProvisionedConcurrencyConfigs) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			parts, err := s.t.shares(tx, k, e.Value)
			if err != nil {
				return err
			}
			out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, *s.progress(k, e.Value, parts))
			p.last = e.Key
		}
		return nil
	})
	return out, err
}
