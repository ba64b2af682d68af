package lambda

import (
	"errors"
	"time"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/arn"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/name"
	"github.com/bastide-cloud/bastide/internal/store"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// asyncOps are the operations on what functions say of their asynchronous invocations.
func (s *Service) asyncOps() []gate.Op {
	return []gate.Op{
		gate.On(lambda.OpPutFunctionEventInvokeConfig, gate.Write, onFunction(s, "lambda:PutFunctionEventInvokeConfig", func(in *lambda.PutFunctionEventInvokeConfigInput) named { return named{in.FunctionName, in.Qualifier} }), s.putInvokeConfig),
		gate.On(lambda.OpUpdateFunctionEventInvokeConfig, gate.Write, onFunction(s, "lambda:UpdateFunctionEventInvokeConfig", func(in *lambda.UpdateFunctionEventInvokeConfigInput) named {
			return named{in.FunctionName, in.Qualifier}
		}), s.updateInvokeConfig),
		gate.On(lambda.OpGetFunctionEventInvokeConfig, gate.Read, onFunction(s, "lambda:GetFunctionEventInvokeConfig", func(in *lambda.GetFunctionEventInvokeConfigInput) named { return named{in.FunctionName, in.Qualifier} }), s.getInvokeConfig),
		gate.On(lambda.OpDeleteFunctionEventInvokeConfig, gate.Write, onFunction(s, "lambda:DeleteFunctionEventInvokeConfig", func(in *lambda.DeleteFunctionEventInvokeConfigInput) named {
			return named{in.FunctionName, in.Qualifier}
		}), s.deleteInvokeConfig),
		gate.On(lambda.OpListFunctionEventInvokeConfigs, gate.Read, onFunction(s, "lambda:ListFunctionEventInvokeConfigs", func(in *lambda.ListFunctionEventInvokeConfigsInput) named { return named{in.FunctionName, nil} }), s.listInvokeConfigs),
	}
}

// setting is what a Put or an Update asks for.
type setting struct {
	reference
	retries, age *int32
	to           *lambda.DestinationConfig
}

func (s *Service) putInvokeConfig(c *gate.Call, in *lambda.PutFunctionEventInvokeConfigInput) (*lambda.FunctionEventInvokeConfig, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	return s.setInvokeConfig(c, setting{r, in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig}, false)
}

func (s *Service) updateInvokeConfig(c *gate.Call, in *lambda.UpdateFunctionEventInvokeConfigInput) (*lambda.FunctionEventInvokeConfig, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	return s.setInvokeConfig(c, setting{r, in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig}, true)
}

// setInvokeConfig writes a configuration; keep leaves what is not asked for as it was, where there
// must be one.
func (s *Service) setInvokeConfig(c *gate.Call, w setting, keep bool) (*lambda.FunctionEventInvokeConfig, error) {
	if w.retries == nil && w.age == nil && w.to == nil {
		return nil, invalid("You must specify at least one of error handling or destination setting.")
	}
	if err := s.checkDestinations(c, w.reference, w.to); err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.FunctionEventInvokeConfig, error) {
		f, err := s.t.find(tx, w.reference)
		if err != nil {
			return nil, absent(err)
		}
		of := qualified(w.Qualifier)
		was, ok, err := s.t.async.Get(tx, w.key(of))
		if err != nil {
			return nil, err
		}
		if keep && !ok {
			return nil, noInvokeConfig(w.reference)
		}
		if !keep {
			was = invokeConfig{}
		}
		was.functionKey, was.Qualifier, was.Modified = w.functionKey, of, tx.Now()
		if w.retries != nil {
			was.Retries = w.retries
		}
		if w.age != nil {
			was.Age = w.age
		}
		if w.to != nil {
			was.OnSuccess, was.OnFailure = destinations(w.to)
		}
		return was.show(), s.t.async.Put(tx, f, of, was)
	})
}

// absent words that there is no function, as these operations do.
func absent(err error) error {
	if awserr.Is(err, "ResourceNotFoundException") {
		return notFound("The function doesn't exist.")
	}
	return err
}

func noInvokeConfig(r reference) error {
	return notFound("The function %s doesn't have an EventInvokeConfig", r.functionKey.arn(qualified(r.Qualifier)))
}

// destinations are the ARNs of a configuration, "" where it has none.
func destinations(d *lambda.DestinationConfig) (success, failure string) {
	if d == nil {
		return "", ""
	}
	if d.OnSuccess != nil {
		success = wire.Val(d.OnSuccess.Destination)
	}
	if d.OnFailure != nil {
		failure = wire.Val(d.OnFailure.Destination)
	}
	return success, failure
}

func (i invokeConfig) show() *lambda.FunctionEventInvokeConfig {
	out := &lambda.FunctionEventInvokeConfig{LastModified: new(i.Modified.UTC().Truncate(time.Millisecond)), FunctionArn: new(i.arn(i.Qualifier)), MaximumRetryAttempts: i.Retries,
		MaximumEventAgeInSeconds: i.Age, DestinationConfig: &lambda.DestinationConfig{OnSuccess: &lambda.OnSuccess{}, OnFailure: &lambda.OnFailure{}}}
	out.DestinationConfig.OnSuccess.Destination = optional(i.OnSuccess)
	out.DestinationConfig.OnFailure.Destination = optional(i.OnFailure)
	return out
}

// checkDestinations refuses what no record can be sent to: other services than this one, which are not
// built, functions that are not there, and those that the function's role may not invoke.
func (s *Service) checkDestinations(c *gate.Call, r reference, to *lambda.DestinationConfig) error {
	success, failure := destinations(to)
	for _, d := range []string{failure, success} {
		if d == "" {
			continue
		}
		if err := checkDestination(r.functionKey, d); err != nil {
			return err
		}
		if err := s.mayReach(c, r, d); err != nil {
			return err
		}
	}
	return nil
}

// unbuiltDestinations are the services that Lambda sends records to beside functions.
func unbuiltDestinations() map[string]string {
	return map[string]string{"sqs": "Amazon SQS", "sns": "Amazon SNS", "events": "Amazon EventBridge", "s3": "Amazon S3"}
}

// checkDestination refuses a destination by its name alone.
func checkDestination(f functionKey, destination string) error {
	a, err := arn.Parse(destination)
	if err != nil {
		return notBuilt("A destination that is no function (%s)", destination)
	}
	if what := unbuiltDestinations()[a.Service]; what != "" {
		return notBuilt("A destination in %s (%s)", what, destination)
	}
	to, err := name.ParseFunction(destination)
	if a.Service != "lambda" || err != nil || to.Region != f.Region {
		return invalid("The destination ARN %s is invalid.", destination)
	}
	if to.Account == f.Account && to.Name == f.Name {
		return invalid("You can't specify the function as a destination for itself.")
	}
	return nil
}

// mayReach asks, as the function's role, whether it may invoke a destination.
func (s *Service) mayReach(c *gate.Call, r reference, destination string) error {
	var role string
	err := c.View(func(tx *store.Tx) error {
		_, v, err := s.t.qualified(tx, r)
		role = v.Role
		return err
	})
	if err != nil {
		return absent(err)
	}
	as, err := s.inRole(c.Context(), r.functionKey, role, nil)
	if err == nil {
		_, err = as.Invoke(c.Context(), &lambda.InvokeInput{FunctionName: destination, InvocationType: new(invokeDryRun)})
	}
	switch e, ok := errors.AsType[*awserr.Error](err); {
	case err == nil:
		return nil
	case ok && e.Code == "ResourceNotFoundException":
		return invalid("The destination ARN %s is invalid.", destination)
	case ok && e.Kind == awserr.AccessDenied:
		return invalid("The function's execution role does not have permissions to call InvokeFunction on %s", destination)
	}
	return err
}

func (s *Service) getInvokeConfig(c *gate.Call, in *lambda.GetFunctionEventInvokeConfigInput) (*lambda.FunctionEventInvokeConfig, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	var got invokeConfig
	err = c.View(func(tx *store.Tx) error {
		var ok bool
		if got, ok, err = s.t.async.Get(tx, r.key(qualified(r.Qualifier))); err == nil && !ok {
			return noInvokeConfig(r)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return got.show(), nil
}

func (s *Service) deleteInvokeConfig(c *gate.Call, in *lambda.DeleteFunctionEventInvokeConfigInput) (*lambda.DeleteFunctionEventInvokeConfigOutput, error) {
	r, err := refer(c, named{in.FunctionName, in.Qualifier})
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.DeleteFunctionEventInvokeConfigOutput, error) {
		of := qualified(r.Qualifier)
		ok, err := s.t.async.Has(tx, r.key(of))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, noInvokeConfig(r)
		}
		f, err := s.t.find(tx, reference{r.functionKey, ""})
		if err != nil {
			return nil, err
		}
		return &lambda.DeleteFunctionEventInvokeConfigOutput{}, s.t.async.Delete(tx, f, of)
	})
}

func (s *Service) listInvokeConfigs(c *gate.Call, in *lambda.ListFunctionEventInvokeConfigsInput) (*lambda.ListFunctionEventInvokeConfigsOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	p, err := pageOf(in.Marker, in.MaxItems, 50)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionEventInvokeConfigsOutput{}
	err = c.View(func(tx *store.Tx) error {
		out.FunctionEventInvokeConfigs, out.NextMarker = []lambda.FunctionEventInvokeConfig{}, nil
		if _, err := s.t.find(tx, reference{k, ""}); err != nil {
			return absent(err)
		}
		for e, err := range s.t.async.Scan(tx, k.key(), p.from()) {
			if err != nil {
				return err
			}
			if len(out.FunctionEventInvokeConfigs) == p.size {
				out.NextMarker = p.next()
				return nil
			}
			out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, *e.Value.show())
			p.last = e.Key
		}
		return nil
	})
	return out, err
}
