package app

import (
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/app/client"
)

func TestOutputsSayWhereTheyAnswerHere(t *testing.T) {
	url := strings.Repeat("u", 32)
	routes := []Route{
		{Url: "http://rest1.execute-api.localhost:4566/Prod/hello http://127.0.0.1:4566/_aws/execute-api/rest1/Prod/hello"},
		{Url: "http://http1.execute-api.localhost:4566/x http://127.0.0.1:4566/_aws/execute-api/http1/%24default/x"},
		{Url: "http://http1.execute-api.localhost:4566/dev/x http://127.0.0.1:4566/_aws/execute-api/http1/dev/x"},
		{Url: "http://" + url + ".lambda-url.localhost:4566/ http://127.0.0.1:4566/_aws/lambda-url/" + url + "/"},
	}
	for _, c := range []struct{ output, want string }{
		{"https://rest1.execute-api.us-east-1.amazonaws.com/Prod/hello/", "http://rest1.execute-api.localhost:4566/Prod/hello/ http://127.0.0.1:4566/_aws/execute-api/rest1/Prod/hello/"},
		{"https://http1.execute-api.eu-west-1.amazonaws.com/", "http://http1.execute-api.localhost:4566/ http://127.0.0.1:4566/_aws/execute-api/http1/%24default/"},
		{"https://http1.execute-api.eu-west-1.amazonaws.com", "http://http1.execute-api.localhost:4566 http://127.0.0.1:4566/_aws/execute-api/http1/%24default"},
		{"https://http1.execute-api.eu-west-1.amazonaws.com/dev/x?a=1", "http://http1.execute-api.localhost:4566/dev/x?a=1 http://127.0.0.1:4566/_aws/execute-api/http1/dev/x?a=1"},
		{"https://http1.execute-api.eu-west-1.amazonaws.com/device", "http://http1.execute-api.localhost:4566/device http://127.0.0.1:4566/_aws/execute-api/http1/%24default/device"},
		{"http://http1.execute-api.localhost:4566", "http://127.0.0.1:4566/_aws/execute-api/http1/%24default"},
		{"curl https://rest1.execute-api.us-east-1.amazonaws.com/Prod -d x", "http://rest1.execute-api.localhost:4566/Prod http://127.0.0.1:4566/_aws/execute-api/rest1/Prod"},
		{"https://" + url + ".lambda-url.us-east-1.on.aws/", "http://" + url + ".lambda-url.localhost:4566/ http://127.0.0.1:4566/_aws/lambda-url/" + url + "/"},
		{"https://other1.execute-api.us-east-1.amazonaws.com/Prod", ""},
		{"arn:aws:lambda:us-east-1:123456789012:function:f", ""},
	} {
		if got := strings.Join(localAddresses(c.output, routes), " "); got != c.want {
			t.Errorf("%s: %s", c.output, got)
		}
	}
}

func TestMissingParametersSayHowToGiveThem(t *testing.T) {
	err := &client.Error{Code: "ValidationError", Message: "Parameters: [Bucket, Stage] must have values (line 5, column 3)"}
	if got := toGive(err); got != "; give them as -p Bucket=… -p Stage=…" {
		t.Errorf("%q", got)
	}
	if got := toGive(&client.Error{Code: "ValidationError", Message: "Parameter 'Stage' must be a number."}); got != "" {
		t.Errorf("%q", got)
	}
}
