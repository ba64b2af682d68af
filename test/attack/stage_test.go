package attack

import (
	"errors"

	"github.com/aws/smithy-go"
)

func asAPI(err error, api *smithy.APIError) bool { return errors.As(err, api) }
