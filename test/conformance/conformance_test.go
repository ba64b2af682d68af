package conformance

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/audit"
	"github.com/bastide-cloud/bastide/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestOperations drives one server with boto3, aws-sdk-go-v2 and the aws CLI and then asks its
// trail whether each operation that is served has been driven.
func TestOperations(t *testing.T) {
	s := harness.Start(t)
	services := served(t, s)
	for _, service := range services {
		if service.name == "bastide" {
			t.Run("bastide", func(t *testing.T) { bastideStory(t, s) })
			continue
		}
		more, err := filepath.Glob(filepath.Join("boto3", service.name+"_*.py"))
		must(t, err)
		for _, story := range append([]string{filepath.Join("boto3", service.name+".py")}, more...) {
			t.Run(strings.TrimSuffix(story, ".py"), func(t *testing.T) { s.Python(t, story) })
		}
	}
	t.Run("aws-sdk-go-v2", func(t *testing.T) { goSDK(t, s) })
	t.Run("aws", func(t *testing.T) { awsCLI(t, s) })
	t.Run("every operation", func(t *testing.T) { everyOperation(t, s, services) })
	s.Alive(t)
}

// elsewhere are operations that no story can drive to success: Reset needs open credentials, and is
// shown with the attacks; a bucket's CORS rules cannot be made, so that the answer is that there are
// none, which the story of S3 asks for; no event source is served that could be mapped, which the story
// of Lambda's asynchronous invocations is told.
var elsewhere = []string{"bastide Reset", "s3 GetBucketCors", "lambda CreateEventSourceMapping", "lambda GetEventSourceMapping",
	"lambda UpdateEventSourceMapping", "lambda DeleteEventSourceMapping"}

// everyOperation names the operations that no story has driven to success.
func everyOperation(t *testing.T, s *harness.Server, services []servedService) {
	driven := map[string]bool{}
	for _, service := range services {
		for _, op := range service.operations {
			done := func(r audit.Record) bool { return r.ErrorCode == "" && service.owns(r) }
			driven[service.name+" "+op] = slices.ContainsFunc(s.Records(t, url.Values{"eventName": {op}, "eventSource": {service.source()}}), done)
		}
	}
	for _, service := range services {
		missing := slices.DeleteFunc(service.operations, func(op string) bool {
			return driven[service.name+" "+op] || slices.Contains(elsewhere, service.name+" "+op)
		})
		if len(missing) > 0 {
			t.Errorf("%s: no story has driven %s", service.name, strings.Join(missing, " "))
		}
	}
}

type servedService struct {
	name       string
	operations []string
}

// source is the service's name in the trail. The two API Gateways share one.
func (s servedService) source() string {
	if s.name == "apigatewayv2" {
		return "apigateway.amazonaws.com"
	}
	return s.name + ".amazonaws.com"
}

// owns tells the two API Gateways apart, by the version of their API.
func (s servedService) owns(r audit.Record) bool {
	switch s.name {
	case "apigatewayv2":
		return r.APIVersion == "2018-11-29"
	case "apigateway":
		return r.APIVersion == "2015-07-09"
	}
	return true
}

// served reads which operations are served, from the list that the API is generated from, for the
// services that the server says it has.
func served(t *testing.T, s *harness.Server) []servedService {
	t.Helper()
	root, err := harness.Root()
	must(t, err)
	f, err := os.Open(filepath.Join(root, "tools", "apigen", "served.txt"))
	must(t, err)
	defer f.Close()
	var status struct{ Services []string }
	must(t, s.Client(t).REST(context.Background(), "bastide", http.MethodGet, "/_bastide/v1/status", nil, &status))
	status.Services = slices.DeleteFunc(status.Services, func(id string) bool { return id == "execute-api" || id == "lambda-url" })
	var out []servedService
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || !slices.Contains(status.Services, words[0]) {
			continue
		}
		i := slices.IndexFunc(out, func(s servedService) bool { return s.name == words[0] })
		if i < 0 {
			out, i = append(out, servedService{name: words[0]}), len(out)
		}
		out[i].operations = append(out[i].operations, words[1:]...)
	}
	if len(out) != len(status.Services) {
		t.Fatalf("served.txt knows %d of the services %v", len(out), status.Services)
	}
	return out
}
