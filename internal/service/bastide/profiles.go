package bastide

import (
	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// Functions tells what was seen of functions.
type Functions interface {
	// Profiles are those of an account's functions in a region; of one, where a name is given.
	Profiles(c *gate.Call, name string) ([]bastide.FunctionProfile, error)
}

func (s *Service) listFunctionProfiles(c *gate.Call, in *bastide.ListFunctionProfilesInput) (*bastide.ListFunctionProfilesOutput, error) {
	name := wire.Val(in.FunctionName)
	all, err := s.Functions.Profiles(c, name)
	if err != nil {
		return nil, err
	}
	if name != "" && len(all) == 0 {
		return nil, awserr.New("NotFoundException", 404, "There is no function %q in %s.", name, c.Region())
	}
	return &bastide.ListFunctionProfilesOutput{Profiles: all}, nil
}
