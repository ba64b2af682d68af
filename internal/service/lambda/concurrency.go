package lambda

import (
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/service/lambda/pack"
	"github.com/bastide-cloud/bastide/internal/store"
)

// Quotas of an account in a region. Source: AWS Lambda Developer Guide, "Lambda quotas" and
// "Configuring reserved concurrency".
const (
	accountConcurrency       = 1000
	minUnreserved            = 100
	accountCode        int64 = 75 << 30 // bytes of archives
)

func throttled(reason string) error {
	return &awserr.Error{Code: "TooManyRequestsException", Status: 429, Message: "Rate Exceeded.", Fields: map[string]any{"Reason": reason}}
}

// reserve writes a function's concurrency.
func (t *tables) reserve(tx *store.Tx, f function, n *int32) error {
	if n != nil && *n < f.Provisioned {
		return invalid("ReservedConcurrentExecutions should not be lower than function's total provisioned concurrency [%d].", f.Provisioned)
	}
	was := f.holds()
	f.Reserved = n
	if n == nil {
		return t.hold(tx, f, was, "")
	}
	return t.hold(tx, f, was, "ReservedConcurrentExecutions")
}

// holds is what a function takes from what all functions of its region share.
func (f function) holds() int32 { return max(value(f.Reserved), f.Provisioned) }

// hold writes a function that holds another share than it did, and the sum of its region's, which
// leaves the other functions enough; asked is what the caller asked for, "" where it gave something up.
func (t *tables) hold(tx *store.Tx, f function, was int32, asked string) error {
	k := regionKey(f.Account, f.Region)
	r, _, err := t.reserved.Get(tx, k)
	if err != nil {
		return err
	}
	r.Sum += f.holds() - was
	if asked != "" && f.holds() > was && r.Sum > accountConcurrency-minUnreserved {
		return invalid("Specified %s for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", asked, minUnreserved)
	}
	if err := t.reserved.Put(tx, k, r); err != nil {
		return err
	}
	return t.functions.Put(tx, f.key(), f)
}

func value(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}

func (s *Service) putConcurrency(c *gate.Call, in *lambda.PutFunctionConcurrencyInput) (*lambda.Concurrency, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.Concurrency, error) {
		f, err := s.t.find(tx, reference{k, ""})
		if err != nil {
			return nil, err
		}
		n := new(in.ReservedConcurrentExecutions)
		return &lambda.Concurrency{ReservedConcurrentExecutions: n}, s.t.reserve(tx, f, n)
	})
}

func (s *Service) getConcurrency(c *gate.Call, in *lambda.GetFunctionConcurrencyInput) (*lambda.GetFunctionConcurrencyOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	out := &lambda.GetFunctionConcurrencyOutput{}
	err = c.View(func(tx *store.Tx) error {
		f, err := s.t.find(tx, reference{k, ""})
		out.ReservedConcurrentExecutions = f.Reserved
		return err
	})
	return out, err
}

func (s *Service) deleteConcurrency(c *gate.Call, in *lambda.DeleteFunctionConcurrencyInput) (*lambda.DeleteFunctionConcurrencyOutput, error) {
	k, err := latest(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	return gate.Commit(c, func(tx *store.Tx) (*lambda.DeleteFunctionConcurrencyOutput, error) {
		f, err := s.t.find(tx, reference{k, ""})
		if err != nil {
			return nil, err
		}
		return &lambda.DeleteFunctionConcurrencyOutput{}, s.t.reserve(tx, f, nil)
	})
}

func (s *Service) getAccountSettings(c *gate.Call, _ *lambda.GetAccountSettingsInput) (*lambda.GetAccountSettingsOutput, error) {
	var usage *lambda.AccountUsage
	var held reservations
	err := c.View(func(tx *store.Tx) error {
		under := regionKey(c.Account(), c.Region())
		sum, err := s.t.stored(tx, under)
		if err != nil {
			return err
		}
		usage = &lambda.AccountUsage{TotalCodeSize: &sum, FunctionCount: new(int64(0))}
		for _, err := range s.t.functions.Scan(tx, under, store.Range{}) {
			if err != nil {
				return err
			}
			*usage.FunctionCount++
		}
		held, _, err = s.t.reserved.Get(tx, under)
		return err
	})
	return &lambda.GetAccountSettingsOutput{AccountUsage: usage, AccountLimit: &lambda.AccountLimit{
		TotalCodeSize: new(s.CodeStorage), CodeSizeUnzipped: new(int64(pack.MaxUnzipped)), CodeSizeZipped: new(int64(maxZipped)),
		ConcurrentExecutions: new(int32(accountConcurrency)), UnreservedConcurrentExecutions: new(accountConcurrency - held.Sum)}}, err
}
