package wire_test

import (
	"github.com/bastide-cloud/bastide/internal/api/apigateway"
	"github.com/bastide-cloud/bastide/internal/api/apigatewayv2"
	"github.com/bastide-cloud/bastide/internal/api/bastide"
	"github.com/bastide-cloud/bastide/internal/api/cloudformation"
	"github.com/bastide-cloud/bastide/internal/api/dynamodb"
	"github.com/bastide-cloud/bastide/internal/api/iam"
	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/api/logs"
	"github.com/bastide-cloud/bastide/internal/api/s3"
	"github.com/bastide-cloud/bastide/internal/api/sts"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// awsServices are those that botocore knows.
func awsServices() []*wire.Service {
	return []*wire.Service{sts.Service, iam.Service, lambda.Service, apigatewayv2.Service, apigateway.Service, dynamodb.Service,
		s3.Service, logs.Service, cloudformation.Service}
}

func allServices() []*wire.Service { return append(awsServices(), bastide.Service) }
