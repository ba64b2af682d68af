package wire_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/wire"
)

// signed is an Authorization header that claims a scope.
func signed(region, service string) string {
	return "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240229/" + region + "/" + service + "/aws4_request, SignedHeaders=host, Signature=00"
}

func request(method, url, auth string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, url, nil)
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

const local = "http://127.0.0.1:4566"

func TestRoute(t *testing.T) {
	s3, lambda, apigw := signed("eu-west-1", "s3"), signed("eu-west-1", "lambda"), signed("eu-west-1", "apigateway")
	form := "application/x-www-form-urlencoded; charset=utf-8"
	for _, c := range []struct {
		name, want string
		req        *http.Request
		body       string
		labels     string
	}{
		{name: "json target", want: "dynamodb PutItem", req: request("POST", local+"/", signed("eu-west-1", "dynamodb"), "X-Amz-Target", "DynamoDB_20120810.PutItem")},
		{name: "query by body", want: "iam CreateUser", body: "Action=CreateUser&Version=2010-05-08", req: request("POST", local+"/", signed("us-east-1", "iam"), "Content-Type", form)},
		{name: "query by query string", want: "sts GetCallerIdentity", req: request("GET", local+"/?Action=GetCallerIdentity&Version=2011-06-15", signed("us-east-1", "sts"))},
		{name: "query by host, unsigned", want: "sts GetSessionToken", body: "Action=GetSessionToken&Version=2011-06-15", req: request("POST", "http://sts.eu-west-1.amazonaws.com/", "", "Content-Type", form)},
		{name: "query by version, unsigned", want: "cloudformation ListStacks", body: "Action=ListStacks&Version=2010-05-15", req: request("POST", local+"/", "", "Content-Type", form)},
		{name: "invoke", want: "lambda Invoke", req: request("POST", local+"/2015-03-31/functions/hello/invocations", lambda), labels: "FunctionName=hello"},
		{name: "invoke by ARN", want: "lambda Invoke", req: request("POST", local+"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Ahello/invocations", lambda), labels: "FunctionName=arn:aws:lambda:eu-west-1:123456789012:function:hello"},
		{name: "trailing slash", want: "lambda ListFunctions", req: request("GET", local+"/2015-03-31/functions/", lambda)},
		{name: "lambda unsigned", want: "lambda Invoke", req: request("POST", local+"/2015-03-31/functions/hello/invocations", "")},
		{name: "route parameter", want: "lambda GetLayerVersionByArn", req: request("GET", local+"/2018-10-31/layers?find=LayerVersion&Arn=x", lambda)},
		{name: "no route parameter", want: "lambda ListLayers", req: request("GET", local+"/2018-10-31/layers", lambda)},
		{name: "v1 under one signing name", want: "apigateway GetRestApis", req: request("GET", local+"/restapis", apigw)},
		{name: "v2 under one signing name", want: "apigatewayv2 GetApis", req: request("GET", local+"/v2/apis", apigw)},
		{name: "encoded slash stays in its label", want: "apigateway GetTags", req: request("GET", local+"/tags/arn%3Aaws%3Aapigateway%3A%3A%3A%2Frestapis%2Fx", apigw), labels: "resource_arn=arn:aws:apigateway:::/restapis/x"},
		{name: "import", want: "apigateway ImportRestApi", req: request("POST", local+"/restapis?mode=import", apigw)},
		{name: "list buckets", want: "s3 ListBuckets", req: request("GET", local+"/", s3)},
		{name: "bucket", want: "s3 CreateBucket", req: request("PUT", local+"/photos", s3), labels: "Bucket=photos"},
		{name: "bucket with slash", want: "s3 CreateBucket", req: request("PUT", local+"/photos/", s3), labels: "Bucket=photos"},
		{name: "object", want: "s3 PutObject", req: request("PUT", local+"/photos/2024/a%20b%2Bc.jpg?x-id=PutObject", s3), labels: "Bucket=photos|Key=2024/a b+c.jpg"},
		{name: "key with slashes around", want: "s3 GetObject", req: request("GET", local+"/photos//a//b/", s3), labels: "Bucket=photos|Key=/a//b/"},
		{name: "dots stay in the key", want: "s3 GetObject", req: request("GET", local+"/photos/../other/x", s3), labels: "Bucket=photos|Key=../other/x"},
		{name: "copy", want: "s3 CopyObject", req: request("PUT", local+"/photos/b", s3, "x-amz-copy-source", "photos/a")},
		{name: "upload part", want: "s3 UploadPart", req: request("PUT", local+"/photos/b?partNumber=1&uploadId=u", s3)},
		{name: "upload part copy", want: "s3 UploadPartCopy", req: request("PUT", local+"/photos/b?partNumber=1&uploadId=u", s3, "x-amz-copy-source", "photos/a")},
		{name: "start multipart", want: "s3 CreateMultipartUpload", req: request("POST", local+"/photos/b?uploads", s3)},
		{name: "complete multipart", want: "s3 CompleteMultipartUpload", req: request("POST", local+"/photos/b?uploadId=u", s3)},
		{name: "list parts", want: "s3 ListParts", req: request("GET", local+"/photos/b?uploadId=u", s3)},
		{name: "list v2", want: "s3 ListObjectsV2", req: request("GET", local+"/photos?list-type=2&prefix=a", s3)},
		{name: "list v1", want: "s3 ListObjects", req: request("GET", local+"/photos?prefix=a", s3)},
		{name: "policy", want: "s3 PutBucketPolicy", req: request("PUT", local+"/photos?policy", s3)},
		{name: "delete objects", want: "s3 DeleteObjects", req: request("POST", local+"/photos?delete=", s3)},
		{name: "virtual host", want: "s3 GetObject", req: request("GET", "http://photos.s3.localhost:4566/a/b", s3), labels: "Bucket=photos|Key=a/b"},
		{name: "virtual host with dots and region", want: "s3 GetObject", req: request("GET", "http://my.photos.s3.eu-west-1.amazonaws.com/a", s3), labels: "Bucket=my.photos|Key=a"},
		{name: "virtual host of localhost", want: "s3 ListObjectsV2", req: request("GET", "http://photos.localhost:4566/?list-type=2", s3), labels: "Bucket=photos"},
		{name: "service host", want: "s3 ListBuckets", req: request("GET", "http://s3.localhost.localstack.cloud:4566/", s3)},
		{name: "presigned", want: "s3 GetObject", req: request("GET", local+"/photos/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20240229%2Feu-west-1%2Fs3%2Faws4_request", "")},
		{name: "our own", want: "bastide GetStatus", req: request("GET", local+"/_bastide/v1/status", signed("us-east-1", "bastide"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := wire.NewRouter("us-east-1", allServices())
			routed, err := rt.Route(c.req, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := routed.Service.ID + " " + routed.Operation.Name; got != c.want {
				t.Errorf("routed to %s, want %s", got, c.want)
			}
			for l := range strings.SplitSeq(c.labels, "|") {
				name, want, _ := strings.Cut(l, "=")
				if got, _ := routed.Label(name); got != want {
					t.Errorf("label %s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestRouteRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		req    *http.Request
		body   string
		code   string
		status int
	}{
		{"operation not built", request("POST", local+"/", signed("eu-west-1", "dynamodb"), "X-Amz-Target", "DynamoDB_20120810.ExecuteStatement"), "", "NotImplemented", 501},
		{"no such operation", request("POST", local+"/", signed("eu-west-1", "dynamodb"), "X-Amz-Target", "DynamoDB_20120810.Nope"), "", "UnknownOperationException", 400},
		{"service not built, JSON", request("POST", local+"/", signed("eu-west-1", "kms"), "X-Amz-Target", "TrentService.Encrypt"), "", "NotImplemented", 501},
		{"service not built, rest", request("GET", local+"/v1/clusters", signed("eu-west-1", "kafka")), "", "NotImplemented", 501},
		{"no such action", request("POST", local+"/", signed("us-east-1", "iam"), "Content-Type", "application/x-www-form-urlencoded"), "Action=Nope&Version=2010-05-08", "InvalidAction", 400},
		{"action not built", request("POST", local+"/", signed("us-east-1", "iam"), "Content-Type", "application/x-www-form-urlencoded"), "Action=CreateSAMLProvider&Version=2010-05-08", "NotImplemented", 501},
		{"no action", request("POST", local+"/", signed("us-east-1", "iam")), "", "MissingAction", 400},
		{"sub-resource not built is no create", request("PUT", local+"/photos?accelerate", signed("eu-west-1", "s3")), "", "NotImplemented", 501},
		{"lifecycle is no list", request("GET", local+"/photos?lifecycle", signed("eu-west-1", "s3")), "", "NotImplemented", 501},
		{"method that S3 lacks", request("PATCH", local+"/photos/a", signed("eu-west-1", "s3")), "", "MethodNotAllowed", 405},
		{"key that is no text", request("GET", local+"/photos/%ff", signed("eu-west-1", "s3")), "", "InvalidURI", 400},
		{"no target", request("POST", local+"/", signed("eu-west-1", "dynamodb")), "", "UnknownOperationException", 400},
		{"path that lambda lacks", request("GET", local+"/2015-03-31/nothing", signed("eu-west-1", "lambda")), "", "UnknownOperationException", 404},
		{"scope of another service", request("POST", local+"/", signed("eu-west-1", "s3"), "X-Amz-Target", "DynamoDB_20120810.PutItem"), "", "InvalidSignatureException", 400},
		{"region that is none", request("POST", local+"/", signed("..%2Fx", "dynamodb"), "X-Amz-Target", "DynamoDB_20120810.PutItem"), "", "InvalidSignatureException", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := wire.NewRouter("us-east-1", allServices())
			routed, err := rt.Route(c.req, []byte(c.body))
			if err == nil {
				t.Fatalf("routed to %s", routed.Name)
			}
			w := httptest.NewRecorder()
			routed.Fail(w, err, "r-1")
			code, _ := routed.Code(err)
			if code != c.code || w.Code != c.status || !strings.Contains(w.Body.String()+w.Header().Get("X-Amzn-Errortype"), c.code) {
				t.Errorf("%s %d, want %s %d; body %s", code, w.Code, c.code, c.status, w.Body)
			}
		})
	}
}

// What is not built is named as its clients name it.
func TestUnservedAreNamed(t *testing.T) {
	rt := wire.NewRouter("us-east-1", allServices())
	for _, c := range []struct {
		req  *http.Request
		want string
	}{
		{request("GET", local+"/photos?lifecycle", signed("eu-west-1", "s3")), "GetBucketLifecycleConfiguration of s3"},
		{request("PUT", local+"/photos?notification", signed("eu-west-1", "s3")), "PutBucketNotificationConfiguration of s3"},
		{request("PUT", local+"/photos?accelerate", signed("eu-west-1", "s3")), "PutBucketAccelerateConfiguration of s3"},
		{request("POST", local+"/", signed("eu-west-1", "dynamodb"), "X-Amz-Target", "DynamoDB_20120810.ExecuteStatement"), "ExecuteStatement of dynamodb"},
	} {
		if _, err := rt.Route(c.req, nil); err == nil || !strings.Contains(err.Error(), "has not built the operation "+c.want) {
			t.Errorf("%s: %v, want %s", c.req.URL, err, c.want)
		}
	}
}

func TestRegion(t *testing.T) {
	rt := wire.NewRouter("us-east-1", allServices())
	for _, c := range []struct {
		req  *http.Request
		want string
	}{
		{request("GET", local+"/", signed("ap-southeast-2", "s3")), "ap-southeast-2"},
		{request("GET", "http://photos.s3.eu-central-1.amazonaws.com/", ""), "eu-central-1"},
		{request("GET", "http://s3-eu-west-1.amazonaws.com/photos", ""), "eu-west-1"},
		{request("GET", local+"/photos", ""), "us-east-1"},
		{request("GET", "http://s3.eu-central-1.amazonaws.com/photos", signed("us-gov-west-1", "s3")), "us-gov-west-1"},
	} {
		routed, err := rt.Route(c.req, nil)
		if err != nil {
			t.Fatal(err)
		}
		if routed.Region != c.want {
			t.Errorf("%s: region %q, want %q", c.req.URL, routed.Region, c.want)
		}
	}
}

func TestRegionNames(t *testing.T) {
	for _, s := range []string{"us-east-1", "eu-west-3", "us-gov-west-1", "us-isob-east-1", "ap-southeast-7", "eusc-de-east-1", "mx-central-12"} {
		if !wire.IsRegion(s) {
			t.Errorf("%s is refused", s)
		}
	}
	for _, s := range []string{"", "us", "us-1", "us-east", "us-east-", "us-east-1a", "us-east-123", "US-EAST-1", "us--east-1", "-east-1", "us-east-1/..", "us-east1",
		"..", "aws-global", "a-b-1", strings.Repeat("ab-", 20) + "1"} {
		if wire.IsRegion(s) {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestPeek(t *testing.T) {
	rt := wire.NewRouter("us-east-1", allServices())
	for _, c := range []struct {
		req    *http.Request
		stream bool
		limit  int64
	}{
		{request("PUT", local+"/photos/a", signed("eu-west-1", "s3")), true, 4 << 20},
		{request("PUT", local+"/photos/a?partNumber=1&uploadId=u", signed("eu-west-1", "s3")), true, 4 << 20},
		{request("PUT", local+"/photos/a", signed("eu-west-1", "s3"), "x-amz-copy-source", "b/c"), false, 4 << 20},
		{request("PUT", local+"/photos?policy", signed("eu-west-1", "s3")), false, 4 << 20},
		{request("POST", local+"/2015-03-31/functions", signed("eu-west-1", "lambda")), false, 70 << 20},
		{request("POST", local+"/", signed("eu-west-1", "dynamodb"), "X-Amz-Target", "DynamoDB_20120810.PutItem"), false, 16 << 20},
		{request("POST", local+"/", signed("eu-west-1", "nothing")), false, 1 << 20},
	} {
		if limit, stream := rt.Peek(c.req); limit != c.limit || stream != c.stream {
			t.Errorf("%s %s: limit %d stream %v, want %d %v", c.req.Method, c.req.URL, limit, stream, c.limit, c.stream)
		}
	}
}

func TestFailOfNobody(t *testing.T) {
	w := httptest.NewRecorder()
	wire.Routed{}.Fail(w, awserr.Of(awserr.RequestTooLarge, "too large"), "r-1")
	if w.Code != 413 || !strings.Contains(w.Body.String(), "too large") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
