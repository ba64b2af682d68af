package conformance

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/test/harness"
)

// awsCLI is a walk through each service with the aws CLI, as a developer's shell script would take.
// The CLI takes a second to start, so that boto3, on which it is built, covers the rest.
func awsCLI(t *testing.T, s *harness.Server) {
	file := filepath.Join(t.TempDir(), "note.txt")
	must(t, os.WriteFile(file, []byte("a note\n"), 0o600))
	function := filepath.Join(t.TempDir(), "fn.zip")
	must(t, os.WriteFile(function, zipped(t, "app.py", "def handler(event, context):\n    return 'hello ' + event['name']\n"), 0o600))
	template := filepath.Join(t.TempDir(), "template.yaml")
	must(t, os.WriteFile(template, []byte("Resources: {Group: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: /cli/stack}}}\n"), 0o600))
	answer := filepath.Join(t.TempDir(), "answer.json")
	role := "arn:aws:iam::" + harness.Account + ":role/cli-role"
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	for _, step := range []struct{ command, want string }{
		{"sts get-caller-identity --output text --query Arn", ":user/admin"},
		{"iam create-role --role-name cli-role --assume-role-policy-document " + trust, role},
		{"dynamodb create-table --table-name cli --billing-mode PAY_PER_REQUEST --key-schema AttributeName=id,KeyType=HASH --attribute-definitions AttributeName=id,AttributeType=S", `"TableName": "cli"`},
		{`dynamodb put-item --table-name cli --item {"id":{"S":"1"},"n":{"N":"7"}}`, ""},
		{`dynamodb get-item --table-name cli --key {"id":{"S":"1"}} --output text --query Item.n.N`, "7"},
		{"s3 mb s3://cli-bucket", "make_bucket"},
		{"s3 cp " + file + " s3://cli-bucket/notes/note.txt", "upload"},
		{"s3 sync " + filepath.Dir(file) + " s3://cli-bucket/copy", "upload"},
		{"s3 ls s3://cli-bucket --recursive", "notes/note.txt"},
		{"s3 cp s3://cli-bucket/notes/note.txt -", "a note"},
		{"s3 rb s3://cli-bucket --force", "remove_bucket"},
		{"logs create-log-group --log-group-name /cli/group", ""},
		{"logs describe-log-groups --log-group-name-prefix /cli --output text --query logGroups[].logGroupName", "/cli/group"},
		{"lambda create-function --function-name cli --runtime " + python(t) + " --handler app.handler --role " + role + " --zip-file fileb://" + function, `"FunctionName": "cli"`},
		{"lambda wait function-active-v2 --function-name cli", ""},
		{`lambda invoke --function-name cli --payload {"name":"you"} ` + answer, `"StatusCode": 200`},
		{"cloudformation deploy --stack-name cli --template-file " + template, "Successfully created/updated stack - cli"},
		{"cloudformation delete-stack --stack-name cli", ""},
		{"cloudformation wait stack-delete-complete --stack-name cli", ""},
		{"apigatewayv2 create-api --name cli --protocol-type HTTP --output text --query Name", "cli"},
		{"apigateway create-rest-api --name cli --output text --query name", "cli"},
		{"lambda delete-function --function-name cli", ""},
		{"dynamodb delete-table --table-name cli", `"TableStatus": "DELETING"`},
		{"iam delete-role --role-name cli-role", ""},
	} {
		if got := s.AWS(t, strings.Fields(step.command)...); !strings.Contains(got, step.want) {
			t.Errorf("aws %s: no %q in\n%s", step.command, step.want, got)
		}
	}
	if b, err := os.ReadFile(answer); err != nil || string(b) != `"hello you"` {
		t.Errorf("the function answered %s %v", b, err)
	}
	if got := s.AWSFails(t, "s3", "ls", "s3://cli-none"); !strings.Contains(got, "NoSuchBucket") {
		t.Errorf("a missing bucket: %s", got)
	}
	if got := s.AWSFails(t, "dynamodb", "describe-table", "--table-name", "cli-none"); !strings.Contains(got, "ResourceNotFoundException") {
		t.Errorf("a missing table: %s", got)
	}
}

// python is the runtime of the python at hand.
func python(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])").Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}

// fetched is what a URL gives without any signature in its headers.
func fetched(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	must(t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(t, err)
	return string(b)
}
