package lambda

import (
	"cmp"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// What becomes of a function that calls itself again and again. On AWS the setting governs loops through
// SQS, SNS and S3, which AWS knows by the lineage that its SDKs pass on in X-Amzn-Trace-Id; a function that
// invokes itself by an SDK alone is not stopped there either ("Use Lambda recursive loop detection"). Here
// it governs chains of destinations: under Terminate they end after maxLoop, under Allow they go on.
const (
	loopTerminate = "Terminate"
	loopAllow     = "Allow"
)

func (s *Service) putRecursion(c *gate.Call, in *lambda.PutFunctionRecursionConfigInput) (*lambda.PutFunctionRecursionConfigOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.PutFunctionRecursionConfigOutput, error) {
		f, err := s.t.find(tx, reference{k, ""})
		if err != nil {
			return nil, err
		}
		if f.Recursion = in.RecursiveLoop; f.Recursion == loopTerminate {
			f.Recursion = ""
		}
		return &lambda.PutFunctionRecursionConfigOutput{RecursiveLoop: &in.RecursiveLoop}, s.t.functions.Put(tx, f.key(), f)
	})
}

func (s *Service) getRecursion(c *gate.Call, in *lambda.GetFunctionRecursionConfigInput) (*lambda.GetFunctionRecursionConfigOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	out := &lambda.GetFunctionRecursionConfigOutput{}
	err = c.View(func(tx *store.Tx) error {
		f, err := s.t.find(tx, reference{k, ""})
		out.RecursiveLoop = new(cmp.Or(f.Recursion, loopTerminate))
		return err
	})
	return out, err
}
