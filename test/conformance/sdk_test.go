package conformance

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	apitypes "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/bastide-cloud/bastide/test/harness"
)

// limit bounds the SDK's waiters.
const limit = time.Minute

// goSDK is one pass over each service's main operations with aws-sdk-go-v2, whose wire habits
// differ from boto3's: its own serializers, trailing checksums, HTTP headers, error decoding.
func goSDK(t *testing.T, s *harness.Server) {
	cfg := s.SDK(t)
	for name, story := range map[string]func(*testing.T, aws.Config){"sts, iam": goIdentity, "dynamodb": goDynamoDB, "s3": goS3, "logs": goLogs,
		"lambda": goLambda, "apigateway": goGateways, "cloudformation": goStacks} {
		t.Run(name, func(t *testing.T) { story(t, cfg) })
	}
}

// failed wants the API error code.
func failed(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("answered %v, want %s", err, code)
	}
}

func goIdentity(t *testing.T, cfg aws.Config) {
	ctx := t.Context()
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	must(t, err)
	if *who.Account != harness.Account || !strings.HasSuffix(*who.Arn, ":user/admin") {
		t.Errorf("the caller is %s of %s", *who.Arn, *who.Account)
	}
	c := iam.NewFromConfig(cfg)
	_, err = c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("go-user")})
	must(t, err)
	got, err := c.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("go-user")})
	must(t, err)
	if got.User.CreateDate == nil || time.Since(*got.User.CreateDate) > time.Hour {
		t.Errorf("the user was made at %v", got.User.CreateDate)
	}
	_, err = c.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("go-nobody")})
	failed(t, err, "NoSuchEntity")
	_, err = c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("go-user")})
	must(t, err)
}

func goDynamoDB(t *testing.T, cfg aws.Config) {
	ctx, c, table := t.Context(), dynamodb.NewFromConfig(cfg), aws.String("go-table")
	_, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{TableName: table, BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddbtypes.KeyTypeHash}}})
	must(t, err)
	must(t, dynamodb.NewTableExistsWaiter(c).Wait(ctx, &dynamodb.DescribeTableInput{TableName: table}, limit))
	item := map[string]ddbtypes.AttributeValue{"id": &ddbtypes.AttributeValueMemberS{Value: "1"}, "n": &ddbtypes.AttributeValueMemberN{Value: "1.50"},
		"b": &ddbtypes.AttributeValueMemberB{Value: []byte{0, 255}}, "l": &ddbtypes.AttributeValueMemberL{Value: []ddbtypes.AttributeValue{&ddbtypes.AttributeValueMemberBOOL{Value: true}}}}
	_, err = c.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: item})
	must(t, err)
	got, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: map[string]ddbtypes.AttributeValue{"id": item["id"]}})
	must(t, err)
	if n := got.Item["n"].(*ddbtypes.AttributeValueMemberN); n.Value != "1.5" {
		t.Errorf("1.50 came back as %s", n.Value)
	}
	if b := got.Item["b"].(*ddbtypes.AttributeValueMemberB); !bytes.Equal(b.Value, []byte{0, 255}) {
		t.Errorf("bytes came back as %x", b.Value)
	}
	_, err = c.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: item, ConditionExpression: aws.String("attribute_not_exists(id)"),
		ReturnValuesOnConditionCheckFailure: ddbtypes.ReturnValuesOnConditionCheckFailureAllOld})
	if broken, ok := errors.AsType[*ddbtypes.ConditionalCheckFailedException](err); !ok || broken.Item["id"] == nil {
		t.Errorf("a broken condition: %v", err)
	}
	scanned, err := c.Scan(ctx, &dynamodb.ScanInput{TableName: table})
	must(t, err)
	if scanned.Count != 1 {
		t.Errorf("%d items were scanned", scanned.Count)
	}
	_, err = c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: table})
	must(t, err)
	must(t, dynamodb.NewTableNotExistsWaiter(c).Wait(ctx, &dynamodb.DescribeTableInput{TableName: table}, limit))
}

func goS3(t *testing.T, cfg aws.Config) {
	ctx, bucket, key := t.Context(), aws.String("go-bucket"), aws.String("a/b c+d")
	c := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
	must(t, err)
	// A body that cannot be rewound travels in chunks with a checksum behind them.
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("content"), ChecksumAlgorithm: s3types.ChecksumAlgorithmCrc32c})
	must(t, err)
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, ChecksumMode: s3types.ChecksumModeEnabled})
	must(t, err)
	b, err := io.ReadAll(got.Body) // which the SDK checks
	must(t, err)
	if string(b) != "content" || got.ChecksumCRC32C == nil {
		t.Errorf("the object is %q, checksum %v", b, got.ChecksumCRC32C)
	}
	link, err := s3.NewPresignClient(c).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	must(t, err)
	if text := fetched(t, link.URL); text != "content" {
		t.Errorf("the presigned URL gives %q", text)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
	if _, ok := errors.AsType[*s3types.NoSuchKey](err); !ok {
		t.Errorf("no such object: %v", err)
	}
	listed, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	must(t, err)
	if len(listed.Contents) != 1 || *listed.Contents[0].Key != *key {
		t.Errorf("listed %+v", listed.Contents)
	}
	gone, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &s3types.Delete{Objects: []s3types.ObjectIdentifier{{Key: key}}}})
	must(t, err)
	if len(gone.Deleted) != 1 {
		t.Errorf("deleted %+v", gone.Deleted)
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	must(t, err)
}

func goLogs(t *testing.T, cfg aws.Config) {
	ctx, c, group, stream := t.Context(), cloudwatchlogs.NewFromConfig(cfg), aws.String("/go/group"), aws.String("one")
	_, err := c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
	must(t, err)
	_, err = c.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream})
	must(t, err)
	_, err = c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream,
		LogEvents: []logtypes.InputLogEvent{{Message: aws.String("hello"), Timestamp: aws.Int64(time.Now().UnixMilli())}}})
	must(t, err)
	got, err := c.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: aws.String("hello")})
	must(t, err)
	if len(got.Events) != 1 || *got.Events[0].Message != "hello" {
		t.Errorf("events: %+v", got.Events)
	}
	_, err = c.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: group})
	must(t, err)
	_, err = c.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream})
	failed(t, err, "ResourceNotFoundException")
}

// goLambda runs a function on the python at hand.
func goLambda(t *testing.T, cfg aws.Config) {
	ctx, c, roles, name := t.Context(), lambda.NewFromConfig(cfg), iam.NewFromConfig(cfg), aws.String("go-function")
	role, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`)})
	must(t, err)
	_, err = c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Role: role.Role.Arn, Handler: aws.String("app.handler"), Runtime: lambdatypes.Runtime(python(t)),
		Code: &lambdatypes.FunctionCode{ZipFile: zipped(t, "app.py", "def handler(event, context):\n    return {'got': event}\n")}})
	must(t, err)
	must(t, lambda.NewFunctionActiveV2Waiter(c).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, limit))
	got, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, Payload: []byte(`{"a":1}`)})
	must(t, err)
	if got.FunctionError != nil || string(got.Payload) != `{"got": {"a": 1}}` {
		t.Errorf("invoked: %v %s", got.FunctionError, got.Payload)
	}
	flow, err := c.InvokeWithResponseStream(ctx, &lambda.InvokeWithResponseStreamInput{FunctionName: name, Payload: []byte(`{"a":2}`)})
	must(t, err)
	var body []byte
	ended := false
	for event := range flow.GetStream().Events() {
		switch e := event.(type) {
		case *lambdatypes.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			body = append(body, e.Value.Payload...)
		case *lambdatypes.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			ended = e.Value.ErrorCode == nil
		}
	}
	must(t, flow.GetStream().Close())
	if !ended || string(body) != `{"got": {"a": 2}}` {
		t.Errorf("streamed: %s, ended %v", body, ended)
	}
	_, err = c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("go-none")})
	if _, ok := errors.AsType[*lambdatypes.ResourceNotFoundException](err); !ok {
		t.Errorf("no such function: %v", err)
	}
	_, err = c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name})
	must(t, err)
	_, err = roles.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	must(t, err)
}

func goGateways(t *testing.T, cfg aws.Config) {
	ctx, httpAPIs, restAPIs := t.Context(), apigatewayv2.NewFromConfig(cfg), apigateway.NewFromConfig(cfg)
	made, err := httpAPIs.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("go"), ProtocolType: apitypes.ProtocolTypeHttp})
	must(t, err)
	_, err = httpAPIs.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: made.ApiId, RouteKey: aws.String("GET /")})
	must(t, err)
	routes, err := httpAPIs.GetRoutes(ctx, &apigatewayv2.GetRoutesInput{ApiId: made.ApiId})
	must(t, err)
	if len(routes.Items) != 1 || *routes.Items[0].RouteKey != "GET /" {
		t.Errorf("routes: %+v", routes.Items)
	}
	_, err = httpAPIs.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: made.ApiId})
	must(t, err)
	rest, err := restAPIs.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("go")})
	must(t, err)
	found, err := restAPIs.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: rest.Id})
	must(t, err)
	if len(found.Items) != 1 || *found.Items[0].Path != "/" {
		t.Errorf("resources: %+v", found.Items)
	}
	_, err = restAPIs.DeleteRestApi(ctx, &apigateway.DeleteRestApiInput{RestApiId: rest.Id})
	must(t, err)
	_, err = restAPIs.GetRestApi(ctx, &apigateway.GetRestApiInput{RestApiId: rest.Id})
	failed(t, err, "NotFoundException")
}

func goStacks(t *testing.T, cfg aws.Config) {
	ctx, c, name := t.Context(), cloudformation.NewFromConfig(cfg), aws.String("go-stack")
	_, err := c.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: name, TemplateBody: aws.String(
		"Resources: {Group: {Type: 'AWS::Logs::LogGroup'}}\nOutputs: {Name: {Value: !Ref Group}}")})
	must(t, err)
	must(t, cloudformation.NewStackCreateCompleteWaiter(c, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, time.Second
	}).
		Wait(ctx, &cloudformation.DescribeStacksInput{StackName: name}, limit))
	got, err := c.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: name})
	must(t, err)
	if out := got.Stacks[0].Outputs; len(out) != 1 || !strings.HasPrefix(*out[0].OutputValue, "go-stack-Group-") {
		t.Errorf("outputs: %+v", out)
	}
	_, err = c.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: name})
	must(t, err)
	must(t, cloudformation.NewStackDeleteCompleteWaiter(c, func(o *cloudformation.StackDeleteCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, time.Second
	}).
		Wait(ctx, &cloudformation.DescribeStacksInput{StackName: name}, limit))
}

func zipped(t *testing.T, name, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.Create(name)
	must(t, err)
	_, err = io.WriteString(w, text)
	must(t, err)
	must(t, z.Close())
	return out.Bytes()
}
