package lambda

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/store"
)

// What becomes of a function that is invoked again and again in one chain of events. Source: AWS Lambda
// Developer Guide, "Use Lambda recursive loop detection": a loop of functions alone is detected too, however
// they invoke each other, after about 16 runs. AWS reads the chain in X-Amzn-Trace-Id, which its SDKs pass
// on; here each instance's own door knows the event that runs behind it, so that no call is outside of it.
//
// Under Terminate, the default, an invocation beyond maxLoop is refused to a caller who waits, and one that
// was queued is given up with its record and its destination. Under Allow nothing is stopped, as on AWS.
const (
	loopTerminate = "Terminate"
	loopAllow     = "Allow"

	// maxLoop is how often a function may run in one chain of events.
	maxLoop = 16
)

// lineageKey is the condition key in which a delivery to a destination names the functions that have
// run in its chain, each as ARN=COUNT. Only a call of this service's own can carry it.
const lineageKey = "bastide:Lineage"

// lineage counts how often functions, by their ARN, ran in the chain of events that led to an event; nil
// for one that begins a chain.
type lineage map[string]int

// lineageOf reads the chain that a call came through: as this service says of its own calls, or as the
// door of the calling function knows.
func lineageOf(c *gate.Call) lineage {
	var out lineage
	for _, pair := range slices.Concat(c.Given(lineageKey), c.Source().Lineage) {
		i := strings.LastIndexByte(pair, '=')
		n, err := strconv.Atoi(pair[i+1:])
		if i < 0 || err != nil {
			continue // this service alone writes them
		}
		if out == nil {
			out = lineage{}
		}
		out[pair[:i]] = max(n, out[pair[:i]])
	}
	return out
}

// with is the chain after one more run of a function.
func (l lineage) with(f functionKey) lineage {
	out := maps.Clone(l)
	if out == nil {
		out = lineage{}
	}
	out[f.arn("")]++
	return out
}

// pairs is the chain as texts.
func (l lineage) pairs() []string {
	var out []string
	for _, fn := range slices.Sorted(maps.Keys(l)) {
		out = append(out, fn+"="+strconv.Itoa(l[fn]))
	}
	return out
}

// loops says that the function has run so often in a chain that it is taken for a loop.
func (f function) loops(l lineage, k functionKey) bool {
	return f.Recursion != loopAllow && l[k.arn("")] >= maxLoop
}

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
